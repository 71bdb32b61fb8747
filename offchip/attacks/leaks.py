# SPDX-License-Identifier: Apache-2.0
"""Attacks that only watch: what the device tells on its console, and how long it takes to refuse."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.loot import Loot
from offchip.attacks.medium import await_or_fail, start_and_listen, switch_off
from offchip.attacks.moving import apart
from offchip.attacks.pieces import Piece, Pieces
from offchip.attacks.reach import Reach
from offchip.attacks.record_head import HEAD, TAG, length_of, records_in
from offchip.evidence import Evidence
from offchip.scene import spellings
from offchip.scene.defence import Defence
from offchip.vault import SD, MediumKind
from offchip.vault.vaulted import Vaulted

_HEX = re.compile(rb"(?:(?:0x)?[0-9A-Fa-f]{2}[ :,\r\n]{0,2}){16,}")
_BASE64 = re.compile(rb"[0-9A-Za-z+/=\r\n]{24,}")
_NOT_HEX = re.compile(rb"0x|[^0-9A-Fa-f]")
#: what somebody types who hopes for a shell
_TYPED = "\r\nhelp\r\n?\r\ndump\r\n\x03\x1b\r\n"
#: bytes of a private key's number that are worth a try
_SHORTEST = 32
_OVER = ("mqtt: published", "state: waiting", "state: fault")
#: how often a time that stands out is taken once more
_AGAIN = 12
#: the core's clock; the emulation executes one instruction in each of its periods
CLOCK_HZ = 168_000_000


def decoded(text: bytes) -> Iterator[bytes]:
    """The bytes a console may have spelled out: in hexadecimal or base64 digits, as numbers, behind labels or not."""
    for each in (text, *spellings.behind_labels(text)):
        yield from _in_digits(each)
    yield from (each for each in spellings.numbers(text) if len(each) >= _SHORTEST)


def _in_digits(text: bytes) -> Iterator[bytes]:
    """At any start within a run of digits."""
    for run in _HEX.findall(text):
        digits = _NOT_HEX.sub(b"", run)
        for start in (0, 1):
            yield bytes.fromhex(digits[start:len(digits) - (len(digits) - start) % 2].decode())
    for run in _BASE64.findall(text):
        letters = re.sub(rb"[=\r\n]", b"", run)
        for start in range(4):
            part = letters[start:]
            yield b64decode(part[:len(part) // 4 * 4])


def search_spelled(loot: Loot, heard: bytes, place: str) -> str:
    """Search what a console said, as it is and as what its digits stand for; returns what was in it as it is."""
    detail = loot.search(heard, place)
    for number, content in enumerate(decoded(heard)):
        loot.search(content, f"{place}, spelled out {number}")
        loot.search_numbers(content, f"{place}, spelled out {number}", alignment=1)
    return detail


def refusals(traces: list[list[int]]) -> list[int]:
    """From the times of transfers in several attempts: how long the device worked on what it then refused.

    That is the longest pause between two transfers of the attempt's second half. What follows the attempt is left
    out: a wait of random length lies between it and the next one.
    """
    steps = min(map(len, traces))
    pauses = [[trace[at] - trace[at - 1] for at in range(1, steps)] for trace in traces]
    turn = max(range((steps - 1) // 2, steps - 1), key=lambda at: min(each[at] for each in pauses))
    return [round(each[turn] * CLOCK_HZ / 1e9) for each in pauses]


@dataclass(frozen=True)
class ListenOnTheConsole(Attack):
    """Clip on the serial console, listen to a whole start, type, and search what comes out for keys in every spelling.

    ``provoke``: also break what lies on the device's medium, piece by piece, and its server's name, as a device says
    most when something goes wrong; everything is put back.
    """

    id, title, keyword = "A22", "secrets on the console", "Listen On The Console"
    needs = (Need.BUS,)
    psa, emb3d, cwe = "-", "TID-226", (532, 215)
    provoke: bool = True

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, "the console's pins are there whatever the scheme")

    def fire(self, scene: Reach) -> list[Evidence]:
        console = scene.board.console
        begun = len(console.raw)
        self._whole_start(scene)
        console.send(_TYPED)
        scene.board.run(0.2)
        if self.provoke:
            self._provoke(scene)
        heard = bytes(console.raw[begun:])
        if not heard:
            raise AttackFailed("the console said nothing")
        place = "usart1, the console"
        detail = search_spelled(scene.loot, heard, place)
        return [self.note(scene, "listen", place, detail, sent=_TYPED.encode(), received=heard)]

    @staticmethod
    def _whole_start(scene: Reach) -> None:
        scene.start()
        said = len(scene.board.console.lines)
        await_or_fail(scene, lambda: any(line.text.startswith(_OVER) for line in scene.board.console.lines[said:]),
                      "the end of the device's first attempt")

    def _provoke(self, scene: Reach) -> None:
        scene.answer_as_server(scene.authority.issue_server([scene.host]))
        self._whole_start(scene)
        scene.board.internet.restore(scene.host, scene.port)
        for medium in (scene.board.sd, scene.board.eeprom):
            try:
                pieces = apart(scene, medium.kind)
            except AttackFailed:
                continue  # nothing lies there
            image = medium.image
            for piece in pieces.filled():
                size = len(pieces.read(piece))
                for at in (size // 2, 0):  # a bit within, and where that is believed, in what all else hangs on
                    switch_off(scene)
                    content = bytearray(pieces.read(piece))
                    content[at] ^= 1
                    pieces.put({piece: bytes(content)})
                    told = start_and_listen(scene)
                    switch_off(scene)
                    medium.replace(image)
                    pieces = apart(scene, medium.kind)
                    if not told.startswith("credentials: ok"):
                        break


@dataclass(frozen=True)
class TimeTheTag(Attack):
    """Spoil one byte of a record's tag after the other and take the time until the device turns to the other slot.

    The spoilt record lies in both slots of its chunk, so the device goes on to read the second one as soon as it has
    refused the first, and a probe on the bus sees when: to the instruction. A comparison that stops at the first wrong
    byte shows where it stopped, and a tag is then guessed byte by byte.

    The tick's interrupt may fall into that time in one start and beside it in another, because a start is as long as
    its random numbers make it. So a time that is not the usual one is taken again, and counts if it never is.
    """

    id, title, keyword = "A25", "timing of the tag comparison", "Time The Tag Comparison"
    needs = (Need.MEDIUM, Need.BUS)
    psa, emb3d, cwe = "-", "TID-330", (208,)
    medium: MediumKind

    def applies(self, defence: Defence) -> Applies:
        if defence.medium is self.medium and isinstance(defence.scheme, Vaulted) \
                and defence.scheme.format.authenticated:
            return Applies(True, f"{defence.scheme.name} compares a tag")
        return Applies(False, f"under {defence.scheme.name} no tag on the {self.medium.name} medium is compared")

    def fire(self, scene: Reach) -> list[Evidence]:
        medium, pieces = scene.medium(self.medium), apart(scene, self.medium)
        image, piece, record = medium.image, *self._record(pieces)
        both = [each for each in pieces.all() if each.group == piece.group]
        start = HEAD + length_of(record)

        def refused(number: int) -> tuple[int, list[int]]:
            spoilt = bytearray(record)
            spoilt[start + number] ^= 0xFF
            switch_off(scene)
            pieces.put({each: bytes(spoilt) for each in both})
            lies = pieces.read(piece)  # what is told is what lies there
            place = next(at for at, value in enumerate(record) if lies[at] != value) - start
            return place, self._trace(scene)

        places, traces = map(list, zip(*(refused(number) for number in range(TAG)), strict=True))
        counts = self._steadied(traces, lambda number: refused(number)[1])
        switch_off(scene)
        medium.replace(image)
        tag = record[start:]
        words = f"all alike: {counts[0]} instructions" if len(set(counts)) == 1 else \
            f"{len(set(counts))} different times: {', '.join(map(str, counts))} instructions"
        return [self.note(scene, "spoil a byte of the tag", f"{medium.name}:{piece.name}, byte {number}",
                          f"turned to the other slot after {count} instructions", before=tag[number:number + 1],
                          after=bytes([tag[number] ^ 0xFF])) for number, count in zip(places, counts, strict=True)] + [
            self.note(scene, "compare the times", medium.name, words,
                      received=b"".join(count.to_bytes(8, "little") for count in counts))]

    @staticmethod
    def _steadied(traces: list[list[int]], again: Callable[[int], list[int]]) -> list[int]:
        """The times of all refusals; one that stands out was measured again, and is that at which it stayed."""
        counts = refusals(traces)
        usual = Counter(counts).most_common(1)[0][0]
        for number in [each for each, count in enumerate(counts) if count != usual]:
            if any(refusals([*traces, again(number)])[-1] == usual for _ in range(_AGAIN)):
                counts[number] = usual
        return counts

    def _record(self, pieces: Pieces) -> tuple[Piece, bytes]:
        for piece in pieces.filled():
            content = pieces.read(piece)
            found = next(records_in(content), None)
            if found is not None and found[0] == 0:
                size = HEAD + length_of(content) + TAG
                return piece, content[:size].ljust(size, b"\xFF")
        raise AttackFailed(f"{pieces.medium.name}: there is no record with a tag")

    def _trace(self, scene: Reach) -> list[int]:
        """When each transfer on the medium's bus began, in nanoseconds, until the device has refused the record."""
        tap = scene.board.spi_tap if self.medium is SD else scene.board.i2c_tap
        tap.record()
        tap.drain()
        told = start_and_listen(scene)
        if not told.startswith("storage: error record-forged"):
            raise AttackFailed(f"the device did not refuse a spoilt tag: {told}")
        return [transfer.time_ns for transfer in tap.drain()]
