# SPDX-License-Identifier: Apache-2.0
"""The records of SPEC.md sections 1 to 3: TLV areas behind a magic, in front of a CRC-32.

Factory and attackers share this module: the format is public, and an attacker repairs a CRC as easily as the factory
computes it.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum

from offchip.errors import MediumError

CONFIGURATION_MAGIC = b"OCF1"
EEPROM_MAGIC = b"OCE1"
VERSION = 1
_HEADER = struct.Struct("<4sHH")
_ENTRY = struct.Struct("<HH")
_CRC = struct.Struct("<I")

#: (tag, value), in the order in which they stand in the area
Entries = list[tuple[int, bytes]]


class Tag(IntEnum):
    """Tags of the TLV area, SPEC.md section 1."""

    SCHEME = 1
    MEDIUM = 2
    THING_NAME = 3
    CLIENT_ID = 4
    ENDPOINT_HOST = 5
    ENDPOINT_PORT = 6
    PUBLISH_TOPIC = 7
    SUBSCRIBE_FILTER = 8
    TRUST_ANCHOR = 9
    DEVICE_CERTIFICATE = 10
    DEVICE_PRIVATE_KEY = 11
    SNTP_HOST = 12
    PUBLISH_INTERVAL = 13
    KEEP_ALIVE = 14
    TLS_VERSIONS = 15
    WIFI_SSID = 16
    WIFI_PASSPHRASE = 17
    TAMPER_RESPONSE = 18
    SECRET_ORIGIN = 19
    ENROLMENT = 20
    CARD_PASSWORD = 21
    CLAIM_CERTIFICATE = 24
    CLAIM_PRIVATE_KEY = 25
    CLAIM_ANCHOR = 26


def encode_entries(entries: Entries) -> bytes:
    """The TLV area. Raises MediumError when a value is longer than its length field can say."""
    area = bytearray()
    for tag, value in entries:
        if len(value) > 0xFFFF:
            raise MediumError(f"field {tag}: {len(value)} bytes are more than the 65535 a field can hold")
        area += _ENTRY.pack(tag, len(value)) + value
        area += b"\xFF" * (-len(area) % 4)
    return bytes(area)


def decode_entries(area: bytes) -> Entries:
    """The entries of a TLV area. Raises MediumError where it breaks off."""
    entries: Entries = []
    at = 0
    while at < len(area):
        if at + _ENTRY.size > len(area):
            raise MediumError(f"the record breaks off inside the field header at byte {at}")
        tag, length = _ENTRY.unpack_from(area, at)
        at += _ENTRY.size
        if at + length > len(area):
            raise MediumError(f"field {tag} claims {length} bytes, only {len(area) - at} are left in the record")
        entries.append((tag, area[at:at + length]))
        at += length + (-length % 4)
    return entries


def encode_record(magic: bytes, entries: Entries) -> bytes:
    """A whole record. Raises MediumError when the TLV area does not fit its 16-bit length."""
    area = encode_entries(entries)
    if len(area) > 0xFFFF:
        raise MediumError(f"the fields take {len(area)} bytes, a record holds at most 65535")
    body = _HEADER.pack(magic, VERSION, len(area)) + area
    return body + _CRC.pack(zlib.crc32(body))


def decode_record(data: bytes, magic: bytes) -> Entries:
    """The entries of the record at the start of ``data``. Raises MediumError naming what is wrong."""
    if len(data) < _HEADER.size + _CRC.size or data[:4] != magic:
        raise MediumError(f"no {magic.decode('ascii')} record: it starts with {data[:4].hex() or 'nothing'}")
    _, version, length = _HEADER.unpack_from(data)
    if version != VERSION:
        raise MediumError(f"record version {version} is unknown, expected {VERSION}")
    end = _HEADER.size + length
    if end + _CRC.size > len(data):
        raise MediumError(f"the record claims {length} bytes of fields, only {len(data) - 12} are there")
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise MediumError("the CRC of the record is wrong")
    return decode_entries(data[_HEADER.size:end])
