# SPDX-License-Identifier: Apache-2.0
"""The factory's programmer: SPEC.md sections 1 to 4 on the host's side.

What the factory writes is checked first: a device must never leave it with a configuration its firmware refuses.
Attackers and negative tests who want broken content write it themselves, through the media or ``records``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from offchip import chip_map
from offchip.engines.protocol import Engine
from offchip.errors import FactoryError, MediumError, VaultError
from offchip.vault import INTERNAL, NO_CREDENTIALS, NONE, Chip, Credentials, MediumKind, Scheme
from offchip.vault.records import CONFIGURATION_MAGIC, Entries, Tag, encode_record

CONFIGURATION_ADDRESS = chip_map.CONFIGURATION.start
CONFIGURATION_SIZE = chip_map.CONFIGURATION.size
#: the page's share of it: behind it are the device's own marks (SPEC.md section 2)
PAGE_LIMIT = CONFIGURATION_SIZE - 256
#: topics, filters, anchors (SPEC.md section 1)
_REPEATED = 8


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Everything the factory decides about one device."""

    thing_name: str
    endpoint_host: str
    publish_topics: tuple[str, ...]
    credentials: Credentials
    scheme: Scheme = INTERNAL
    medium: MediumKind = NONE
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
    #: 32 bytes injected by the factory; None: the device makes its own at the first boot (SPEC.md section 8)
    device_secret: bytes | None = field(default=None, repr=False)
    #: an open lid destroys secret and keys; otherwise it is only reported
    tamper: bool = False
    #: what the device shares with its fleet and asks for an identity of its own with; needed with NO_CREDENTIALS
    claim: Credentials | None = None
    #: credentials that are lost are given up and got anew with the claim identity; otherwise they are waited for
    enrol_lost: bool = False
    #: the owner may ask the device for another key
    rotation: bool = False
    #: 1..16 bytes the SD card is locked with and the device opens it with; empty: it is not locked
    card_password: bytes = field(default=b"", repr=False)

    @property
    def enrolment(self) -> int:
        """Tag 20 of SPEC.md section 1."""
        return (self.credentials == NO_CREDENTIALS) | self.enrol_lost << 1 | self.rotation << 2

    def chip(self, identity: bytes) -> Chip | None:
        """What the factory injects into the chip with this unique id; None: nothing, or the fleet's one secret."""
        secret = self.scheme.fleet_secret or self.device_secret
        return None if secret is None else Chip(secret, identity)

    def check(self) -> None:
        """Raises FactoryError for the first field a device could not live with."""
        _check_text("thing name", self.thing_name, 1, 128)
        if self.client_id is not None:
            _check_text("client id", self.client_id, 1, 128)
        _check_text("endpoint host", self.endpoint_host, 1, 253)
        _check_number("endpoint port", self.endpoint_port, 1, 65535)
        if not self.publish_topics:
            raise FactoryError("publish topics: give at least one")
        _check_count("publish topics", self.publish_topics)
        _check_count("subscribe filters", self.subscribe_filters)
        for topic in self.publish_topics:
            _check_text("publish topic", topic, 1, 256)
            if set(topic) & {"+", "#"}:
                raise FactoryError(f"publish topic: '{topic}' holds a wildcard; nothing can be published there")
        for text in self.subscribe_filters:
            _check_text("subscribe filter", text, 1, 256)
        _check_text("SNTP host", self.sntp_host, 1, 253)
        _check_number("publish interval", self.publish_interval_ms, 1, 0x7FFFFFFF)
        _check_number("keep alive", self.keep_alive_s, 0, 0xFFFF)
        _check_text("Wi-Fi SSID", self.wifi_ssid, 1, 32)
        _check_text("Wi-Fi passphrase", self.wifi_passphrase, 0, 64)
        _check_number("RDP level", self.rdp_level, 0, 2)
        if not self.tls_versions or self.tls_versions - {"1.2", "1.3"}:
            raise FactoryError(f"TLS versions: {sorted(self.tls_versions)} is not a choice of 1.2 and 1.3")
        if not self.scheme.goes_with(self.medium):
            raise FactoryError(f"medium: scheme '{self.scheme.name}' does not go with medium '{self.medium.name}'; "
                               f"it needs {' or '.join(each.name for each in self.scheme.media)}")
        if self.device_secret is not None and len(self.device_secret) != 32:
            raise FactoryError(f"device secret: {len(self.device_secret)} bytes; it takes 32")
        if len(self.card_password) > 16:
            raise FactoryError(f"card password: {len(self.card_password)} bytes; a card takes 16")
        self._check_identity()

    def _check_identity(self) -> None:
        """Credentials, or what gets them."""
        if self.credentials != NO_CREDENTIALS and not self.credentials.anchors:
            raise FactoryError("trust anchors: give at least one certificate")
        if not (self.medium.has_files and self.scheme.clear):  # a file of PEM holds as many as fit
            _check_count("trust anchors", self.credentials.anchors)
        if self.claim is None and (self.enrol_lost or self.credentials == NO_CREDENTIALS):
            raise FactoryError("claim identity: a device that is to get its credentials by itself needs one")
        if self.claim is not None and not 1 <= len(self.claim.anchors) <= _REPEATED:
            raise FactoryError(f"claim identity: {len(self.claim.anchors)} trust anchors; allowed are 1 to "
                               f"{_REPEATED}")


def configuration_page(provisioning: Provisioning) -> bytes:
    """The record of SPEC.md section 2. Raises FactoryError."""
    provisioning.check()
    tls_mask = sum(bit for version, bit in (("1.2", 1), ("1.3", 2)) if version in provisioning.tls_versions)
    entries: Entries = [
        (Tag.SCHEME, bytes([provisioning.scheme.code])),
        (Tag.MEDIUM, bytes([provisioning.medium.code])),
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
    ]
    if provisioning.wifi_passphrase:  # an open network has none
        entries.append((Tag.WIFI_PASSPHRASE, provisioning.wifi_passphrase.encode()))
    if provisioning.tamper:
        entries.append((Tag.TAMPER_RESPONSE, b"\1"))
    if provisioning.device_secret is not None:
        entries.append((Tag.SECRET_ORIGIN, b"\1"))
    if provisioning.enrolment:
        entries.append((Tag.ENROLMENT, bytes([provisioning.enrolment])))
    if provisioning.card_password:
        entries.append((Tag.CARD_PASSWORD, provisioning.card_password))
    if provisioning.claim is not None:
        claim = provisioning.claim
        entries += [(Tag.CLAIM_CERTIFICATE, claim.certificate), (Tag.CLAIM_PRIVATE_KEY, claim.private_key),
                    *((Tag.CLAIM_ANCHOR, anchor) for anchor in claim.anchors)]
    entries += provisioning.scheme.page_entries(provisioning.credentials)
    try:
        page = encode_record(CONFIGURATION_MAGIC, entries)
    except MediumError as error:
        raise FactoryError(f"{CONFIGURATION_MAGIC.decode('ascii')} record: {error}") from error
    if len(page) > PAGE_LIMIT:
        raise FactoryError(f"configuration page: {len(page)} bytes do not fit the sector's {PAGE_LIMIT}; "
                           "use fewer or smaller trust anchors")
    return page


def data_image(provisioning: Provisioning, identity: bytes = b"") -> bytes:
    """The flash sectors that hold data: configuration page, and the scheme's part. Raises FactoryError.

    ``identity``: the chip's unique id; needed where a secret is injected.
    """
    page = configuration_page(provisioning).ljust(CONFIGURATION_SIZE, b"\xFF")
    try:
        kept = provisioning.scheme.flash(provisioning.credentials, provisioning.chip(identity))
    except (VaultError, MediumError) as error:
        raise FactoryError(str(error)) from error
    return (page + kept).ljust(chip_map.DATA.size, b"\xFF")


def medium_image(provisioning: Provisioning, medium: MediumKind, size: int, identity: bytes = b"") -> bytes:
    """What the factory puts on a medium of this kind and size (bytes): blank unless the device keeps something there.

    Raises FactoryError.
    """
    try:
        if medium is provisioning.medium:
            return provisioning.scheme.image(medium, size, provisioning.credentials, provisioning.chip(identity))
        return medium.image(size, {}, b"")
    except (VaultError, MediumError) as error:
        raise FactoryError(str(error)) from error


def provision(engine: Engine, provisioning: Provisioning) -> None:
    """Program page, medium and readout protection of a board that holds its firmware already. Raises FactoryError."""
    identity = engine.read_memory(chip_map.UID.start, chip_map.UID.size)
    data = data_image(provisioning, identity)
    port = engine.debug_port()
    if port.rdp_level == 2:
        raise FactoryError("the chip is at RDP level 2, which is final; take a fresh chip")
    engine.program(chip_map.DATA.start, data)
    if provisioning.medium.device:
        medium = engine.medium(provisioning.medium.device)
        medium.write(0, medium_image(provisioning, provisioning.medium, medium.size, identity))
    # last: protection would lock the programmer out, and lowering it erases what was programmed
    if provisioning.rdp_level > port.rdp_level:
        port.set_rdp(provisioning.rdp_level)
    elif provisioning.rdp_level < port.rdp_level:
        raise FactoryError(f"the chip is at RDP level {port.rdp_level}; going back to {provisioning.rdp_level} "
                           "would erase the firmware, take a fresh chip")


def _check_text(what: str, text: str, shortest: int, longest: int) -> None:
    length = len(text.encode())
    if not shortest <= length <= longest:
        raise FactoryError(f"{what}: '{text[:40]}' takes {length} bytes; allowed are {shortest} to {longest}")
    for character in text:
        if character < " " or character == "\x7F":  # it would forge console lines, JSON and AT commands
            raise FactoryError(f"{what}: {text[:40]!r} holds the control character U+{ord(character):04X}; none is "
                               "allowed")


def _check_count(what: str, values: Collection[object]) -> None:
    if len(values) > _REPEATED:
        raise FactoryError(f"{what}: {len(values)} of them; the device takes at most {_REPEATED}")


def _check_number(what: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise FactoryError(f"{what}: {value} is out of range; allowed are {lowest} to {highest}")
