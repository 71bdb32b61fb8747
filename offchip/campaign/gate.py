# SPDX-License-Identifier: Apache-2.0
"""The place through which all that a device takes from flash and media must pass before it acts on it.

Credentials are parsed by one function, from one structure in RAM: what the device then says of them follows from these
bytes. So of devices that come to it with the same credentials only the first goes on; the others get its verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from offchip.campaign.sources import Sources
from offchip.engines.embedded.engine import Arrived, EmbeddedEngine
from offchip.errors import FirmwareError

#: firmware/src/net/identity.h: identity_parse(struct identity *, const struct credentials *)
PARSER = "identity_parse"
#: firmware/src/vault/config.h, CONFIG_ANCHORS_MAX
ANCHORS = 8
_TEXT = 16  # the longest name of a source, with its zero
_WORD = 4


class Gate:
    """The parser's first instruction; a firmware without a function of this name has none.

    Args:
        elf: the firmware.

    Attributes:
        known: SHA-256 of credentials -> what a device came to that had them.
    """

    def __init__(self, elf: Path) -> None:
        self.known: dict[bytes, str] = {}
        try:
            self._address = Sources(elf, lambda unit: False).address(PARSER)
        except FirmwareError:
            self._address = 0

    def decide(self, engine: EmbeddedEngine, decide: Callable[[], str], untouched: Callable[[], object]) -> str:
        """The verdict of ``decide``, or the one known for the credentials with which the device comes to its parser.

        ``untouched``: equal before and behind it while the device has neither looked at nor written anything more; only
        then does what came out follow from the credentials alone, and is known from now on.
        """
        if not self._address:
            return decide()
        injector = engine.machine.injector
        injector.stop_before(self._address)
        try:
            return decide()
        except Arrived:
            injector.arrived = None
        finally:
            injector.forget_stops()
        key = _credentials(engine)
        if key not in self.known:
            before = untouched()
            verdict = decide()
            if untouched() != before:
                return verdict
            self.known[key] = verdict
        return self.known[key]


def _credentials(engine: EmbeddedEngine) -> bytes:
    """Of the structure behind the parser's second argument, and of what it points to."""
    def words(address: int, count: int) -> list[int]:
        raw = engine.read_memory(address, _WORD * count)
        return [int.from_bytes(raw[at:at + _WORD], "little") for at in range(0, len(raw), _WORD)]

    (address,) = engine.machine.core.get("r1")
    source, count, *blobs = words(address, 2 + 2 * (ANCHORS + 2))
    digest = hashlib.sha256(engine.read_memory(source, _TEXT).split(b"\0")[0])
    pairs = list(zip(blobs[::2], blobs[1::2], strict=True))
    for data, length in [*pairs[:min(count, ANCHORS)], *pairs[ANCHORS:]]:
        digest.update(length.to_bytes(_WORD, "little") + (engine.read_memory(data, length) if length else b""))
    return digest.digest()
