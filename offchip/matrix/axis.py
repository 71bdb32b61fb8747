# SPDX-License-Identifier: Apache-2.0
"""The defences: each scheme on each medium it can use, with the chip's protection and the server's switches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from offchip.broker.world import NARROW
from offchip.scene.defence import Defence
from offchip.scene.guard import Guard
from offchip.vault import SCHEMES

#: the chip's readout protection as a maker would ship it; only attacks on the chip itself ask at other levels
SHIPPED_RDP = 1


def storages() -> Iterator[Defence]:
    """Each scheme on each of its media, in the order of the ladder: the columns of the matrix."""
    for scheme in SCHEMES.values():
        yield from (Defence(scheme, medium, SHIPPED_RDP) for medium in scheme.media)


def with_switches(storage: Defence, rdp_levels: Sequence[int] = (), policies: Sequence[str] = (),
                  guards: Sequence[Guard] = (Guard.NONE,)) -> Iterator[Defence]:
    """The variants of one column an attack asks for; without any, the column as it is.

    A guard is asked for alone, with everything else as shipped: so it is seen what it does by itself.
    """
    if Guard.NONE in guards:
        for rdp in rdp_levels or (storage.rdp_level,):
            for policy in policies or (storage.policy,):
                yield replace(storage, rdp_level=rdp, policy=policy)
    yield from (replace(storage, guard=guard) for guard in guards if guard)


def column(defence: Defence) -> str:
    """Name of the column: ``fresh sd``; a scheme that uses no medium stands alone."""
    return defence.scheme.name + (f" {defence.medium.name}" if defence.off_chip else "")


def switches(defence: Defence) -> tuple[str, ...]:
    """What differs from the column as shipped, for a cell's id: ``rdp2``, ``wide``, ``tamper``."""
    rdp = (f"rdp{defence.rdp_level}",) if defence.rdp_level != SHIPPED_RDP else ()
    others = (defence.policy if defence.policy != NARROW else "", str(defence.guard))
    return (*rdp, *(each for each in others if each))


