# SPDX-License-Identifier: Apache-2.0
"""What lies on a medium, piece by piece, as somebody sees it who has read SPEC.md and holds no key.

A piece can be read, and anything that fits can be put in its place, with the checksums around it put right.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass

from offchip.attacks.record_head import HEAD, MAGIC, TAG, At, length_of
from offchip.board.media import Eeprom, SdCard
from offchip.errors import MediumError
from offchip.vault import PLAIN
from offchip.vault.chunk import AREA_SIZE, CREDENTIAL_TAGS, SLOTS, VAULT_FILE, Chunk
from offchip.vault.credentials import pem
from offchip.vault.plain import FILES, places, record_place
from offchip.vault.records import EEPROM_MAGIC, Tag, decode_record, encode_record

#: what a blank cell may read as
_BLANK = b"\xFF\x00"
_BLANK_TEXT = _BLANK + b"\n"
_XTS_SECTOR = 512
#: where nothing can be told apart, in so many places
_PARTS = 8
#: bytes from the start and from the end of a certificate to within its first field and its signature
_INSIDE_BEGIN, _INSIDE_END = 12, 20
_CHUNKS = {tag: chunk for chunk, tag in CREDENTIAL_TAGS.items()}
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that is kept on its own.

    Attributes:
        name: for the evidence: file, field or slot.
        group: pieces of one group say the same thing (the slots of a chunk).
        room: bytes it may take.
    """

    name: str
    group: str
    room: int


class Pieces:
    """A medium taken apart. Base of :class:`Files`, :class:`Fields` and :class:`Slots`."""

    def __init__(self, medium: SdCard | Eeprom) -> None:
        self.medium = medium

    def all(self) -> list[Piece]:
        """Every place, filled or not."""
        raise NotImplementedError

    def read(self, piece: Piece) -> bytes:
        """What is there, without blank cells behind it; empty: nothing."""
        raise NotImplementedError

    def put(self, contents: dict[Piece, bytes]) -> None:
        """Replace these; an empty content: nothing is there any more."""
        raise NotImplementedError

    def chunk(self, piece: Piece) -> Chunk:
        """What is kept there, or ought to be."""
        raise NotImplementedError

    def value_size(self, piece: Piece, expected: int) -> int:
        """Bytes of the first DER value there; ``expected`` where that cannot be seen."""
        raise NotImplementedError

    def spot(self, piece: Piece, at: int) -> int:
        """Where in the piece byte ``at`` of its first DER value lies, or is stored in other words.

        In text it is the next character from there on that stays one of its alphabet when its bit 0 is inverted.
        """
        raise NotImplementedError

    def fields(self, piece: Piece) -> list[tuple[str, int, bytes]]:
        """Everything in the piece that says something of its own: (name, where in the piece, a mask to change it)."""
        size = self.value_size(piece, 0)
        parts = (("begin", _INSIDE_BEGIN), ("middle", size // 2), ("end", size - _INSIDE_END))
        return [(name, self.spot(piece, at), b"\x01") for name, at in parts]

    def forged(self, piece: Piece, value: bytes) -> bytes:
        """What somebody without a key can put there to say ``value`` (DER): right in everything but its tag."""
        raise NotImplementedError

    def of(self, chunk: Chunk) -> list[Piece]:
        """The places that hold this chunk now."""
        return [piece for piece in self.filled() if self.chunk(piece) is chunk]

    def filled(self) -> list[Piece]:
        """The places that hold something."""
        return [piece for piece in self.all() if self.read(piece)]

    def targets(self) -> list[Piece]:
        """Where something could be put that the device then reads."""
        return self.all()

    def moves(self) -> Iterator[tuple[str, dict[Piece, bytes]]]:
        """Every way in which one piece can pass for another: (in words, what to put where).

        Each pair is exchanged; each piece is also copied to every place of every other group that is in use and has
        room, with what that group held taken away, so that the device has no other choice.
        """
        filled = self.filled()
        in_use = {piece.group for piece in filled}
        held = {piece: self.read(piece) for piece in filled}
        for at, one in enumerate(filled):
            for other in filled[at + 1:]:
                if one.group != other.group and len(held[one]) <= other.room and len(held[other]) <= one.room:
                    yield f"{one.name} and {other.name} exchanged", {one: held[other], other: held[one]}
        for source in filled:
            for target in self.targets():
                if target.group in in_use - {source.group} and len(held[source]) <= target.room:
                    emptied = {piece: b"" for piece in filled if piece.group == target.group}
                    yield f"{source.name} copied to {target.name}", {**emptied, target: held[source]}


class Files(Pieces):
    """Credentials as files on a card, each in one of its places (SPEC.md section 4)."""

    def __init__(self, card: SdCard) -> None:
        super().__init__(card)
        self._card = card

    def all(self) -> list[Piece]:
        there = set(self._card.files())
        return [Piece(place, path, self._card.size) for path in FILES for place in places(path) if place in there]

    def read(self, piece: Piece) -> bytes:
        text = self._card.read_file(piece.name).rstrip(_BLANK_TEXT)
        return text and text + b"\n"

    def targets(self) -> list[Piece]:
        return self.filled()  # which of a file's places counts is not the card's to say

    def put(self, contents: dict[Piece, bytes]) -> None:
        for piece, content in contents.items():
            # a file for updates keeps its size, as the device makes none
            size = len(self._card.read_file(piece.name)) if piece.name != piece.group else 0
            self._card.write_file(piece.name, content.ljust(size, b"\n"))

    def chunk(self, piece: Piece) -> Chunk:
        return _CHUNKS[FILES[piece.group][0]]

    def value_size(self, piece: Piece, expected: int) -> int:
        body = self.read(piece).partition(b"-----END")[0].partition(b"\n")[2]
        return len(b64decode(b"".join(body.split())))

    def spot(self, piece: Piece, at: int) -> int:
        text = self.read(piece)
        line = text.index(b"\n") + 1
        width = text.index(b"\n", line) - line
        character = at * 4 // 3
        position = line + character + character // width
        while not {text[position], text[position] ^ 1} <= _BASE64:
            position += 1
        return position

    def forged(self, piece: Piece, value: bytes) -> bytes:
        return pem(FILES[piece.group][1], value)


class Fields(Pieces):
    """Credentials as fields of the EEPROM's record, whose checksum is put right (SPEC.md section 3)."""

    _NAMES = {Tag.TRUST_ANCHOR: "anchor", Tag.DEVICE_CERTIFICATE: "certificate", Tag.DEVICE_PRIVATE_KEY: "key"}

    def __init__(self, eeprom: Eeprom) -> None:
        super().__init__(eeprom)
        self._place = record_place(eeprom)
        self._entries = decode_record(eeprom.image[self._place:], EEPROM_MAGIC)

    def all(self) -> list[Piece]:
        return [Piece(f"{self._NAMES[Tag(tag)]} field {number}", str(int(tag)), 0xFFFF)
                for number, (tag, _) in enumerate(self._entries)]

    def read(self, piece: Piece) -> bytes:
        return self._entries[self._number(piece)][1]

    def put(self, contents: dict[Piece, bytes]) -> None:
        changed = {self._number(piece): content for piece, content in contents.items()}
        entries = [(tag, changed.get(number, value)) for number, (tag, value) in enumerate(self._entries)]
        self.medium.write(self._place, encode_record(EEPROM_MAGIC, [entry for entry in entries if entry[1]]))

    def chunk(self, piece: Piece) -> Chunk:
        return _CHUNKS[Tag(int(piece.group))]

    def value_size(self, piece: Piece, expected: int) -> int:
        return len(self.read(piece))

    def spot(self, piece: Piece, at: int) -> int:
        return at

    def forged(self, piece: Piece, value: bytes) -> bytes:
        return value

    @staticmethod
    def _number(piece: Piece) -> int:
        return int(piece.name.rpartition(" ")[2])


class Slots(Pieces):
    """Records in the slots of the vault area (SPEC.md section 9)."""

    def all(self) -> list[Piece]:
        return [Piece(f"{chunk.value}/{slot}", chunk.value, chunk.slot_size)
                for chunk in Chunk for slot in range(SLOTS)]

    @staticmethod
    def start(piece: Piece) -> int:
        """Where in the area the slot begins."""
        chunk, _, slot = piece.name.partition("/")
        return Chunk(chunk).offset + int(slot) * Chunk(chunk).slot_size

    def area(self) -> bytes:
        """The whole area."""
        if isinstance(self.medium, SdCard):
            return self.medium.read_file(VAULT_FILE)
        return self.medium.read(0, AREA_SIZE)

    def read(self, piece: Piece) -> bytes:
        return self.area()[self.start(piece):][:piece.room].rstrip(b"\xFF")

    def filled(self) -> list[Piece]:
        area = self.area()
        return [piece for piece in self.all() if area[self.start(piece):][:piece.room].strip(_BLANK)]

    def put(self, contents: dict[Piece, bytes]) -> None:
        area = bytearray(self.area())
        for piece, content in contents.items():
            start = self.start(piece)
            area[start:start + piece.room] = content.ljust(piece.room, b"\xFF")
        if isinstance(self.medium, SdCard):
            self.medium.write_file(VAULT_FILE, bytes(area))
        else:
            self.medium.write(0, bytes(area))

    def chunk(self, piece: Piece) -> Chunk:
        return Chunk(piece.group)

    def value_size(self, piece: Piece, expected: int) -> int:
        return expected

    def spot(self, piece: Piece, at: int) -> int:
        return HEAD + 2 + at

    def fields(self, piece: Piece) -> list[tuple[str, int, bytes]]:
        held = self.read(piece)
        if not held.startswith(MAGIC):  # no head can be seen, and no tag: all over it
            return [(f"part {part + 1} of {_PARTS}", len(held) * part // _PARTS + 1, b"\x01") for part in range(_PARTS)]
        end = HEAD + length_of(held)
        tag = held[end:end + TAG]
        # bit 1: the version 1 becomes 3, which is newer
        bit = b"\x02"
        return [*((each.name.lower(), int(each), bit) for each in At), ("begin of the content", HEAD + 2, bit),
                ("end of the content", end - 1, bit),
                ("begin of the tag", end, bit), ("end of the tag", end + TAG - 1, bit),
                # what a comparison by sums does not see, and what might be taken for "no tag"
                ("one bit in two bytes of the tag", end, bit * 2), ("tag backwards", end, _difference(tag, tag[::-1])),
                ("tag of zeros", end, tag), ("tag of FF", end, _difference(tag, b"\xFF" * TAG))]

    def forged(self, piece: Piece, value: bytes) -> bytes:
        held = self.read(piece)
        content = len(value).to_bytes(2, "little") + value
        length = len(content).to_bytes(4, "little")
        if held.startswith(MAGIC):  # everything the head says is left as it was
            return held[:At.LENGTH] + length + held[At.VERSION:HEAD] + content + held[-TAG:]
        number = self.chunk(piece).number
        head = (b"OCX1" + bytes([1, 3, number, 0]) + length + (1).to_bytes(4, "little")).ljust(HEAD, b"\0")
        return head + content + bytes(-len(head + content) % _XTS_SECTOR)


def _difference(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def taken_apart(medium: SdCard | Eeprom) -> Pieces:
    """The pieces of whatever lies on this medium. Raises MediumError when it is nothing the device would keep there."""
    if isinstance(medium, SdCard):
        files = medium.files()
        if VAULT_FILE in files:
            return Slots(medium)
        if set(files) & set(FILES):
            return Files(medium)
        raise MediumError(f"{medium.name}: neither {VAULT_FILE} nor any of {', '.join(FILES)} is on the card")
    try:
        PLAIN.read(medium.kind, medium)
        return Fields(medium)
    except MediumError:
        if not medium.image.strip(_BLANK):
            raise MediumError(f"{medium.name}: the chip is blank") from None
        return Slots(medium)
