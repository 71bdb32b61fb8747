# SPDX-License-Identifier: Apache-2.0
"""``plain``: everything on the medium, in clear (SPEC.md sections 3 and 4)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error

from offchip.errors import MediumError, VaultError
from offchip.vault import fat
from offchip.vault.credentials import Credentials, pem
from offchip.vault.fat import Storage
from offchip.vault.medium import EEPROM, SD, MediumKind
from offchip.vault.records import EEPROM_MAGIC, Entries, Tag, decode_record, encode_record
from offchip.vault.scheme import Chunk, Place, Scheme

#: file -> the tag whose values are in it, and their PEM label
FILES = {
    "/CREDS/ROOTCA.CRT": (Tag.TRUST_ANCHOR, "CERTIFICATE"),
    "/CREDS/DEVICE.CRT": (Tag.DEVICE_CERTIFICATE, "CERTIFICATE"),
    "/CREDS/DEVICE.KEY": (Tag.DEVICE_PRIVATE_KEY, "PRIVATE KEY"),
}
_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----(.*?)-----END [A-Z ]+-----", re.DOTALL)


def files(entries: Entries) -> dict[str, bytes]:
    """The PEM files of SPEC.md section 4."""
    return {path: b"".join(pem(label, value) for tag, value in entries if tag == wanted)
            for path, (wanted, label) in FILES.items()}


def record(entries: Entries) -> bytes:
    """The record of SPEC.md section 3. Raises VaultError when a field is too long."""
    try:
        return encode_record(EEPROM_MAGIC, entries)
    except MediumError as error:
        raise VaultError(f"{EEPROM_MAGIC.decode('ascii')} record: {error}") from error


class Plain(Scheme):
    """Everything on the medium, for everybody to read."""

    name, code, shows = "plain", 1, "everything on the medium in clear: everything falls"
    media = (SD, EEPROM)
    clear = frozenset(Chunk)

    def page_entries(self, credentials: Credentials) -> Entries:
        return []

    def image(self, medium: MediumKind, size: int, credentials: Credentials) -> bytes:
        entries = credentials.entries()
        if medium.has_files:
            return medium.image(size, files(entries), b"")
        return medium.image(size, {}, record(entries))

    def read(self, medium: MediumKind, storage: Storage) -> Entries:
        if not medium.has_files:
            return decode_record(storage.read(0, storage.size), EEPROM_MAGIC)
        found: Entries = []
        for path, (tag, _) in FILES.items():
            found += [(tag, _body(path, text)) for text in _PEM.findall(fat.read_file(storage, path))]
        return found

    def place(self, medium: MediumKind, tag: Tag) -> Place:
        return Place(next(path for path, (held, _) in FILES.items() if held is tag)) if medium.has_files else Place()

    def write(self, medium: MediumKind, storage: Storage, entries: Entries) -> None:
        if not medium.has_files:
            storage.write(0, encode_record(EEPROM_MAGIC, entries))
            return
        for path, content in files(entries).items():
            fat.write_file(storage, path, content)


def _body(path: str, text: bytes) -> bytes:
    try:
        return b64decode(b"".join(text.split()), validate=True)
    except Base64Error as error:
        raise MediumError(f"{path}: the PEM text is not base64: {error}") from error
