# SPDX-License-Identifier: Apache-2.0
"""The factory's programmer: SPEC.md sections 1 to 4 on the host's side.

What the factory writes is checked first: a device must never leave it with a configuration its firmware refuses.
Attackers and negative tests who want broken content write it themselves, through the media or ``records``.
"""

from __future__ import annotations

import base64
import textwrap
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from offchip import chip_map
from offchip.board import fat
from offchip.board.records import CONFIGURATION_MAGIC, EEPROM_MAGIC, Entries, Tag, encode_record
from offchip.engines.protocol import Engine
from offchip.errors import FactoryError, MediumError

CONFIGURATION_ADDRESS = chip_map.CONFIGURATION.start
CONFIGURATION_SIZE = chip_map.CONFIGURATION.size
SD_ANCHORS = "/CREDS/ROOTCA.CRT"
SD_CERTIFICATE = "/CREDS/DEVICE.CRT"
SD_PRIVATE_KEY = "/CREDS/DEVICE.KEY"
#: a volume need not fill a large card
_LARGEST_VOLUME = 64 << 20


class Scheme(Enum):
    """How credentials are stored; the value is the firmware's word for it."""

    INTERNAL = "internal"
    PLAIN = "plain"


class MediumKind(Enum):
    """Where scheme ``plain`` keeps them."""

    NONE = "none"
    SD = "sd"
    EEPROM = "eeprom"


_SCHEME_CODES = {Scheme.INTERNAL: 0, Scheme.PLAIN: 1}
_MEDIUM_CODES = {MediumKind.NONE: 0, MediumKind.SD: 1, MediumKind.EEPROM: 2}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a device proves itself with, in DER. :meth:`parse` and :meth:`load` check; the constructor does not."""

    anchors: tuple[bytes, ...]
    certificate: bytes
    private_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, anchors: bytes, certificate: bytes, private_key: bytes,
              names: tuple[str, str, str] = ("trust anchors", "device certificate", "device key")) -> Credentials:
        """From PEM (``anchors``: one or more certificates) or DER. Raises FactoryError with the name of the culprit."""
        anchor_certificates = _certificates(anchors, names[0])
        leaf = _certificates(certificate, names[1])
        if len(leaf) != 1:
            raise FactoryError(f"{names[1]}: holds {len(leaf)} certificates; give the device's own one only")
        key = _private_key(private_key, names[2])
        if key.public_key() != leaf[0].public_key():
            raise FactoryError(f"{names[2]}: does not belong to the certificate in {names[1]}")
        return cls(tuple(_der(each) for each in anchor_certificates), _der(leaf[0]),
                   key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption()))

    @classmethod
    def load(cls, anchors: Path, certificate: Path, private_key: Path) -> Credentials:
        """From files. Raises FactoryError naming the file."""
        contents = []
        for path in (anchors, certificate, private_key):
            try:
                contents.append(path.read_bytes())
            except OSError as error:
                raise FactoryError(f"{path}: cannot be read: {error.strerror}") from error
        return cls.parse(*contents, names=(str(anchors), str(certificate), str(private_key)))

    def sd_files(self) -> dict[str, bytes]:
        """The files of SPEC.md section 4."""
        return {
            SD_ANCHORS: b"".join(pem("CERTIFICATE", anchor) for anchor in self.anchors),
            SD_CERTIFICATE: pem("CERTIFICATE", self.certificate),
            SD_PRIVATE_KEY: pem("PRIVATE KEY", self.private_key),
        }

    def entries(self) -> Entries:
        """Tags 9, 10 and 11."""
        return [*((Tag.TRUST_ANCHOR, anchor) for anchor in self.anchors),
                (Tag.DEVICE_CERTIFICATE, self.certificate), (Tag.DEVICE_PRIVATE_KEY, self.private_key)]


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Everything the factory decides about one device."""

    thing_name: str
    endpoint_host: str
    publish_topics: tuple[str, ...]
    credentials: Credentials
    scheme: Scheme = Scheme.INTERNAL
    medium: MediumKind = MediumKind.NONE
    endpoint_port: int = 8883
    client_id: str | None = None
    subscribe_filters: tuple[str, ...] = ()
    sntp_host: str = "pool.ntp.org"
    publish_interval_ms: int = 5000
    keep_alive_s: int = 60
    tls_versions: frozenset[str] = frozenset({"1.2", "1.3"})
    wifi_ssid: str = "offchip"
    wifi_passphrase: str = "not-a-secret"
    rdp_level: int = 0

    def check(self) -> None:
        """Raises FactoryError for the first field a device could not live with."""
        _check_text("thing name", self.thing_name, 1, 128)
        if self.client_id is not None:
            _check_text("client id", self.client_id, 1, 128)
        _check_text("endpoint host", self.endpoint_host, 1, 253)
        _check_number("endpoint port", self.endpoint_port, 1, 65535)
        if not self.publish_topics:
            raise FactoryError("publish topics: give at least one")
        for topic in self.publish_topics:
            _check_text("publish topic", topic, 1, 256)
            if set(topic) & {"+", "#"}:
                raise FactoryError(f"publish topic: '{topic}' holds a wildcard; nothing can be published there")
        for text in self.subscribe_filters:
            _check_text("subscribe filter", text, 1, 256)
        _check_text("SNTP host", self.sntp_host, 1, 253)
        _check_number("publish interval", self.publish_interval_ms, 1, 0xFFFFFFFF)
        _check_number("keep alive", self.keep_alive_s, 0, 0xFFFF)
        _check_text("Wi-Fi SSID", self.wifi_ssid, 1, 32)
        _check_text("Wi-Fi passphrase", self.wifi_passphrase, 0, 64)
        _check_number("RDP level", self.rdp_level, 0, 2)
        if not self.tls_versions or self.tls_versions - {"1.2", "1.3"}:
            raise FactoryError(f"TLS versions: {sorted(self.tls_versions)} is not a choice of 1.2 and 1.3")
        if (self.scheme is Scheme.PLAIN) != (self.medium is not MediumKind.NONE):
            raise FactoryError(f"medium: scheme '{self.scheme.value}' does not go with medium '{self.medium.value}'; "
                               "'plain' needs sd or eeprom, 'internal' needs none")
        if not self.credentials.anchors:
            raise FactoryError("trust anchors: give at least one certificate")


def pem(label: str, der: bytes) -> bytes:
    """PEM armour (RFC 7468), with LF line ends."""
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode("ascii")


def configuration_page(provisioning: Provisioning) -> bytes:
    """The record of SPEC.md section 2. Raises FactoryError."""
    provisioning.check()
    tls_mask = sum(bit for version, bit in (("1.2", 1), ("1.3", 2)) if version in provisioning.tls_versions)
    entries: Entries = [
        (Tag.SCHEME, bytes([_SCHEME_CODES[provisioning.scheme]])),
        (Tag.MEDIUM, bytes([_MEDIUM_CODES[provisioning.medium]])),
        (Tag.THING_NAME, provisioning.thing_name.encode()),
    ]
    if provisioning.client_id is not None:
        entries.append((Tag.CLIENT_ID, provisioning.client_id.encode()))
    entries += [
        (Tag.ENDPOINT_HOST, provisioning.endpoint_host.encode()),
        (Tag.ENDPOINT_PORT, provisioning.endpoint_port.to_bytes(2, "little")),
        *((Tag.PUBLISH_TOPIC, topic.encode()) for topic in provisioning.publish_topics),
        *((Tag.SUBSCRIBE_FILTER, text.encode()) for text in provisioning.subscribe_filters),
        (Tag.SNTP_HOST, provisioning.sntp_host.encode()),
        (Tag.PUBLISH_INTERVAL, provisioning.publish_interval_ms.to_bytes(4, "little")),
        (Tag.KEEP_ALIVE, provisioning.keep_alive_s.to_bytes(2, "little")),
        (Tag.TLS_VERSIONS, bytes([tls_mask])),
        (Tag.WIFI_SSID, provisioning.wifi_ssid.encode()),
        (Tag.WIFI_PASSPHRASE, provisioning.wifi_passphrase.encode()),
    ]
    if provisioning.scheme is Scheme.INTERNAL:
        entries += provisioning.credentials.entries()
    page = _record(CONFIGURATION_MAGIC, entries)
    if len(page) > CONFIGURATION_SIZE:
        raise FactoryError(f"configuration page: {len(page)} bytes do not fit the sector of {CONFIGURATION_SIZE}; "
                           "use fewer or smaller trust anchors")
    return page


def eeprom_record(credentials: Credentials) -> bytes:
    """The record of SPEC.md section 3. Raises FactoryError."""
    return _record(EEPROM_MAGIC, credentials.entries())


def provision(engine: Engine, provisioning: Provisioning) -> None:
    """Program page, medium and readout protection of a board that holds its firmware already. Raises FactoryError."""
    page = configuration_page(provisioning)
    port = engine.debug_port()
    if port.rdp_level == 2:
        raise FactoryError("the chip is at RDP level 2, which is final; take a fresh chip")
    engine.program(CONFIGURATION_ADDRESS, page.ljust(CONFIGURATION_SIZE, b"\xFF"))
    if provisioning.medium is MediumKind.EEPROM:
        eeprom = engine.medium("eeprom")
        record = eeprom_record(provisioning.credentials)
        if len(record) > eeprom.size:
            raise FactoryError(f"EEPROM record: {len(record)} bytes do not fit the EEPROM of {eeprom.size} bytes")
        eeprom.write(0, record)
    elif provisioning.medium is MediumKind.SD:
        card = engine.medium("sdcard")
        try:
            card.write(0, fat.make_volume(min(card.size, _LARGEST_VOLUME), provisioning.credentials.sd_files()))
        except MediumError as error:
            raise FactoryError(f"SD card: {error}") from error
    # last: protection would lock the programmer out, and lowering it erases what was programmed
    if provisioning.rdp_level > port.rdp_level:
        port.set_rdp(provisioning.rdp_level)
    elif provisioning.rdp_level < port.rdp_level:
        raise FactoryError(f"the chip is at RDP level {port.rdp_level}; going back to {provisioning.rdp_level} "
                           "would erase the firmware, take a fresh chip")


def _record(magic: bytes, entries: Entries) -> bytes:
    try:
        return encode_record(magic, entries)
    except MediumError as error:
        raise FactoryError(f"{magic.decode('ascii')} record: {error}") from error


def _check_text(what: str, text: str, shortest: int, longest: int) -> None:
    length = len(text.encode())
    if not shortest <= length <= longest or "\0" in text:
        raise FactoryError(f"{what}: '{text[:40]}' takes {length} bytes; allowed are {shortest} to {longest} "
                           "without NUL")


def _check_number(what: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise FactoryError(f"{what}: {value} is out of range; allowed are {lowest} to {highest}")


def _certificates(data: bytes, name: str) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise FactoryError(f"{name}: holds no well-formed X.509 certificate in PEM or DER") from error


def _private_key(data: bytes, name: str) -> ec.EllipticCurvePrivateKey:
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    try:
        key = load(data, password=None)
    except (ValueError, TypeError) as error:
        raise FactoryError(f"{name}: holds no well-formed, unencrypted private key in PEM or DER") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise FactoryError(f"{name}: the device needs a P-256 key")
    return key


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
