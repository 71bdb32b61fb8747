# SPDX-License-Identifier: Apache-2.0
"""``plain``: everything on the medium, in clear (SPEC.md sections 3 and 4)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable
from contextlib import suppress

from offchip.errors import MediumError, VaultError
from offchip.vault import fat
from offchip.vault.chunk import CREDENTIAL_CHUNKS, CREDENTIAL_TAGS, Chunk
from offchip.vault.credentials import Credentials, pem
from offchip.vault.fat import Storage
from offchip.vault.medium import EEPROM, SD, MediumKind
from offchip.vault.records import EEPROM_MAGIC, Entries, Tag, decode_record, encode_record
from offchip.vault.scheme import Chip, Place, Scheme

#: file -> the tag whose values are in it, and their PEM label
FILES = {
    "/CREDS/ROOTCA.CRT": (Tag.TRUST_ANCHOR, "CERTIFICATE"),
    "/CREDS/DEVICE.CRT": (Tag.DEVICE_CERTIFICATE, "CERTIFICATE"),
    "/CREDS/DEVICE.KEY": (Tag.DEVICE_PRIVATE_KEY, "PRIVATE KEY"),
}
#: file -> where its updates go, in turns, and the size the factory gives these in advance (SPEC.md section 4)
SPARE_SIZES = {"/CREDS/ROOTCA.CRT": 8192, "/CREDS/DEVICE.CRT": 4000, "/CREDS/DEVICE.KEY": 1920}
#: file -> bytes from which on the device refuses it (SPEC.md section 4)
TOO_LARGE = {"/CREDS/ROOTCA.CRT": 16384, "/CREDS/DEVICE.CRT": 4096, "/CREDS/DEVICE.KEY": 2048}
#: the record's two places on an EEPROM
RECORD_PLACES = (0, 16384)
_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----(.*?)-----END [A-Z ]+-----", re.DOTALL)


def files(entries: Entries) -> dict[str, bytes]:
    """The PEM files of SPEC.md section 4."""
    held = {tag for tag, _ in entries}
    return {path: b"".join(pem(label, value) for tag, value in entries if tag == wanted)
            for path, (wanted, label) in FILES.items() if wanted in held}


def places(path: str) -> tuple[str, str, str]:
    """Where the values of a file may lie: there as the factory wrote them, and in two places for updates."""
    stem, _, suffix = path.rpartition(".")
    return path, f"{stem}1.{suffix}", f"{stem}2.{suffix}"


def spares(paths: Iterable[str]) -> dict[str, bytes]:
    """The blank files the device puts its updates in, as it does not make files."""
    return {spare: b"\n" * SPARE_SIZES[path] for path in paths for spare in places(path)[1:]}


def record(entries: Entries) -> bytes:
    """The record of SPEC.md section 3. Raises VaultError when a field is too long."""
    try:
        encoded = encode_record(EEPROM_MAGIC, entries)
    except MediumError as error:
        raise VaultError(f"{EEPROM_MAGIC.decode('ascii')} record: {error}") from error
    if len(encoded) > RECORD_PLACES[1]:
        raise VaultError(f"{EEPROM_MAGIC.decode('ascii')} record: {len(encoded)} bytes do not fit its place of "
                         f"{RECORD_PLACES[1]}")
    return encoded


class Plain(Scheme):
    """Everything on the medium, for everybody to read."""

    name, code, shows = "plain", 1, "everything on the medium in clear: everything falls"
    media = (SD, EEPROM)
    on_chip = frozenset[Chunk]()
    clear = CREDENTIAL_CHUNKS

    def image(self, medium: MediumKind, size: int, credentials: Credentials, chip: Chip | None = None) -> bytes:
        tags = {CREDENTIAL_TAGS[chunk] for chunk in CREDENTIAL_CHUNKS - self.on_chip}
        entries = [entry for entry in credentials.entries() if entry[0] in tags]
        if medium.has_files:
            held = files(entries) or {path: b"\n" for path, (tag, _) in FILES.items() if tag in tags}
            for path, content in held.items():
                if len(content) >= TOO_LARGE[path]:
                    raise VaultError(f"{path}: {len(content)} bytes; the device reads fewer than {TOO_LARGE[path]}")
            return medium.image(size, {**held, **spares(held)}, b"")
        return medium.image(size, {}, record(entries) if entries else b"")

    def read(self, medium: MediumKind, storage: Storage) -> Entries:
        if not medium.has_files:
            at = record_place(storage)
            return decode_record(storage.read(at, storage.size - at), EEPROM_MAGIC)
        found: Entries = []
        for path, (tag, _) in self._files():
            live = _live_file(storage, path)
            found += [(tag, _body(live, each)) for each in _PEM.findall(fat.read_file(storage, live))]
        return found

    def place(self, medium: MediumKind, tag: Tag) -> Place:
        for path, (held, _) in self._files():
            if held is tag:
                return Place(path) if medium.has_files else Place()
        raise MediumError(f"scheme '{self.name}' keeps no field {tag} on a medium")

    def write(self, medium: MediumKind, storage: Storage, entries: Entries) -> None:
        if not medium.has_files:
            storage.write(record_place(storage), encode_record(EEPROM_MAGIC, entries))
            return
        for path, content in files(entries).items():
            fat.write_file(storage, _live_file(storage, path), content)

    def _files(self) -> list[tuple[str, tuple[Tag, str]]]:
        kept = {CREDENTIAL_TAGS[chunk] for chunk in CREDENTIAL_CHUNKS - self.on_chip}
        return [(path, held) for path, held in FILES.items() if held[0] in kept]


class SplitPlain(Plain):
    """The key in internal flash, the rest for everybody to read and to replace."""

    name, code, shows = "split-plain", 2, "key in flash, certificates in clear: key safe, trust replaceable"
    on_chip = frozenset({Chunk.DEVICE_KEY})
    clear = CREDENTIAL_CHUNKS - on_chip


def record_place(storage: Storage) -> int:
    """Where the record lies: there is one, at the first place unless the device has made an update."""
    return next((at for at in RECORD_PLACES if at < storage.size and storage.read(at, 4) == EEPROM_MAGIC), 0)


def _live_file(storage: Storage, path: str) -> str:
    """The one of a file's places that is there and not blank; if there is none, the first."""
    for place in places(path):
        with suppress(MediumError):
            if not _blank(fat.read_file(storage, place)):
                return place
    return path


def _blank(text: bytes) -> bool:
    return not text.strip(b"\n\0\xFF")


def _body(path: str, text: bytes) -> bytes:
    try:
        return b64decode(b"".join(text.split()), validate=True)
    except Base64Error as error:
        raise MediumError(f"{path}: the PEM text is not base64: {error}") from error
