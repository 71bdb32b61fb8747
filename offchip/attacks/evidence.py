# SPDX-License-Identifier: Apache-2.0
"""What an attack brings home."""

from __future__ import annotations

from dataclasses import dataclass, field

from offchip.attacks.carving import FoundCertificate, FoundKey
from offchip.errors import OffchipError


class AttackFailed(OffchipError):
    """The action could not be carried out at all (not: it brought nothing)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was done or seen.

    ``action``: what was done; ``where``: medium, path, address or host; ``before`` / ``after``: the bytes concerned
    (``after`` empty when nothing was changed); ``time_ns``: virtual time; ``detail``: one sentence for the report.
    """

    action: str
    where: str
    time_ns: int
    detail: str
    before: bytes = b""
    after: bytes = b""


@dataclass(slots=True)
class Loot:
    """Everything one action found."""

    evidence: list[Evidence] = field(default_factory=list)
    keys: list[FoundKey] = field(default_factory=list)
    certificates: list[FoundCertificate] = field(default_factory=list)

    @property
    def identity(self) -> tuple[FoundKey, FoundCertificate] | None:
        """A private key with the certificate it belongs to: enough to be the device. None without such a pair."""
        for certificate in self.certificates:
            for key in self.keys:
                if key.public_key == certificate.public_key:
                    return key, certificate
        return None
