# SPDX-License-Identifier: Apache-2.0
"""What stands against the attacker: how the credentials are stored, and who lets whom do what."""

from __future__ import annotations

from dataclasses import dataclass

from offchip.broker.world import NARROW
from offchip.scene.guard import Guard
from offchip.vault import INTERNAL, NONE, Chunk, MediumKind, Scheme


@dataclass(frozen=True, slots=True)
class Defence:
    """One column of the matrix.

    Attributes:
        scheme, medium: where the credentials lie.
        rdp_level: readout protection of the chip (RM0090 3.7.3).
        policy: what the server lets the thing do: ``narrow`` or ``wide``.
        guard: one measure more.
    """

    scheme: Scheme = INTERNAL
    medium: MediumKind = NONE
    rdp_level: int = 0
    policy: str = NARROW
    guard: Guard = Guard.NONE

    @property
    def off_chip(self) -> bool:
        """Something of the credentials lies on a medium."""
        return self.medium is not NONE

    def clear_on(self, medium: MediumKind) -> bool:
        """The private key may be seen on this medium and its bus, because the scheme puts it there in clear."""
        return Chunk.DEVICE_KEY in self.scheme.clear and medium is self.medium

    def record(self) -> dict[str, str]:
        """The form in a verdict record."""
        other = [f"RDP {self.rdp_level}"] if self.rdp_level else []
        other += [f"{self.policy} policy"] if self.policy != NARROW else []
        other += [self.guard.words.partition(":")[0]] if self.guard else []
        return {"scheme": self.scheme.name, "medium": self.medium.name,
                **({"other": ", ".join(other)} if other else {})}
