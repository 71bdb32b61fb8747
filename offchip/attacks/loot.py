# SPDX-License-Identifier: Apache-2.0
"""What an attacker has brought home."""

from __future__ import annotations

from dataclasses import dataclass, field

from offchip.attacks.carving import COMPUTED, FoundCertificate, FoundKey, carve, carve_numbers
from offchip.pki import Identity
from offchip.pki.device_key import DeviceKey


@dataclass(slots=True)
class Loot:
    """Keys and certificates; each once, where it was first found."""

    keys: list[FoundKey] = field(default_factory=list)
    certificates: list[FoundCertificate] = field(default_factory=list)

    def search(self, data: bytes, where: str) -> str:
        """Carve ``data`` and keep what is new; returns what was in it, in one sentence."""
        keys, certificates = carve(data, where)
        known = {key.public for key in self.keys}
        self.keys += [key for key in keys if key.public not in known]
        held = {each.certificate for each in self.certificates}
        self.certificates += [each for each in certificates if each.certificate not in held]
        return f"{len(data)} bytes, {len(keys)} private keys and {len(certificates)} certificates in them"

    def search_numbers(self, data: bytes, where: str, alignment: int = 4) -> None:
        """Look for the bare private number of any certificate found so far, as crypto libraries keep it in RAM."""
        known = {key.public for key in self.keys}
        publics = [each.public_key for each in self.certificates]
        self.keys += [key for key in carve_numbers(data, publics, where, alignment) if key.public not in known]

    def add_key(self, key: DeviceKey | None, where: str) -> None:
        """Keep a key that was computed, not found; None: there is none."""
        if key is not None:
            found = FoundKey(where, 0, COMPUTED, key)
            self.keys += [found] if found.public not in {each.public for each in self.keys} else []

    @property
    def identity(self) -> Identity | None:
        """A private key with the certificate it belongs to: enough to be the device. None without such a pair."""
        for certificate in self.certificates:
            for key in self.keys:
                if key.public_key == certificate.public_key:
                    return Identity(certificate.certificate, key.key)
        return None
