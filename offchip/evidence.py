# SPDX-License-Identifier: Apache-2.0
"""What an attack leaves behind: one class from the wire to the report.

An attack that leaves no evidence did not take place. Evidence has bytes: those before and after a change, or those that
were sent and received; a record keeps their length, their SHA-256 and their beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from offchip.engines.protocol import Fired
from offchip.memo import once_per_object

#: so many bytes of each content stand in a record; the SHA-256 is over all of it
HEAD_BYTES = 32


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing an attack did.

    Attributes:
        attack: id of the attack in the catalogue, e.g. ``A01``.
        action: what was done, a verb.
        place: medium and file or offset, bus and block, memory and address, or host name and port.
        time_ns: virtual time since the first power-on, in nanoseconds.
        before, after: what was there and what came in its place.
        sent, received: what the attacker put in and what he got.
        detail: one sentence for the report; nothing of the host in it (no TCP port, path or date).

    Raises:
        ValueError: no attack, no place, no time or no bytes.
    """

    attack: str
    action: str
    place: str
    time_ns: int
    before: bytes = field(default=b"", repr=False)
    after: bytes = field(default=b"", repr=False)
    sent: bytes = field(default=b"", repr=False)
    received: bytes = field(default=b"", repr=False)
    detail: str = ""

    def __post_init__(self) -> None:
        if not self.attack or not self.action or not self.place:
            raise ValueError(f"evidence needs an attack, an action and a place, not {self!r}")
        if self.time_ns < 0:
            raise ValueError(f"evidence of {self.attack} at {self.time_ns} ns, before time began")
        if not any((self.before, self.after, self.sent, self.received)):
            raise ValueError(f"evidence of {self.attack} ({self.action} at {self.place}) has no bytes")

    @classmethod
    def of_tap(cls, attack: str, fired: Iterable[Fired]) -> list[Evidence]:
        """A probe's own records of what it changed on the wire."""
        return [cls(attack, each.rule, f"{each.bus} {each.place}", each.time_ns, each.before, each.after,
                    detail="changed on the wire") for each in fired]

    @property
    def changed(self) -> bool:
        """Bytes are not what they were."""
        return self.before != self.after

    def record(self) -> dict[str, Any]:
        """The form in a verdict record: contents that are there, shortened."""
        contents = {name: _shortened(content) for name in ("before", "after", "sent", "received")
                    if (content := getattr(self, name))}
        return {"attack": self.attack, "action": self.action, "place": self.place, "time_ns": self.time_ns,
                **contents, "detail": self.detail}


def _shortened(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": _sha256(content), "head": content[:HEAD_BYTES].hex()}


@once_per_object
def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
