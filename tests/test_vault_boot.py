# SPDX-License-Identifier: Apache-2.0
"""Every scheme of the ladder on a whole board: to the first publish, and what the attacker's hands on the medium do.

Each side opens what the other sealed: the device boots from records the factory made (from SPEC.md), and the host
opens the records the device made at its first boot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from offchip import chip_map, vault
from offchip.paths import FIRMWARE
from offchip.scene import Scene
from offchip.scene.defence import Defence
from offchip.scene.scene import THING, Device
from offchip.scene.secrets import find
from offchip.vault.chunk import VAULT_FILE, Chunk, content
from offchip.vault.counters import SIZE, Counters
from offchip.vault.vaulted import Vaulted

LIMIT_S = 8.0
PUBLISHED = "mqtt: published topic=offchip/feed"
PAIRS = [(scheme, medium) for scheme in vault.SCHEMES.values() for medium in scheme.media if medium.device]
RECORDS = [(scheme, medium) for scheme, medium in PAIRS if isinstance(scheme, Vaulted)]
VERSION = 12  # of a record, in its head (SPEC.md section 9)
SECRET = bytes(range(100, 132))
Build = Callable[..., Device]


def name(value: object) -> str:
    return str(getattr(value, "name", value))


@pytest.fixture
def scene() -> Iterator[Scene]:
    one = Scene(things=(THING,))
    yield one
    one.close()


def text(device: Device) -> list[str]:
    return [line.text for line in device.board.console.lines]


def boot(device: Device, until: str = "credentials: ok") -> list[str]:
    """Power on and run until a console line begins so, or the device waits, or time is over."""
    before = len(text(device))
    device.board.power_on()
    for _ in range(int(LIMIT_S * 20)):
        device.board.run(0.05)
        if any(line.startswith((until, "state: waiting")) for line in text(device)[before:]):
            break
    assert device.board.engine.diagnostics() == []
    return text(device)[before:]


def loaded(lines: list[str]) -> bool:
    """Credentials fetched, parsed and found to fit together: the vault's part; the handshake is the expensive one."""
    return any(line.startswith("credentials: ok") for line in lines)


def published(lines: list[str]) -> bool:
    return any(line.startswith(PUBLISHED) for line in lines)


def chip_of(device: Device) -> vault.Chip:
    engine = device.board.engine
    start = chip_map.sector(chip_map.VAULT_SECTORS[0]).start
    return vault.Chip(Counters.parse(engine.read_memory(start, SIZE)).secret,
                      engine.read_memory(chip_map.UID.start, chip_map.UID.size))


def storage(device: Device) -> object:
    return device.board.sd if device.defence.medium is vault.SD else device.board.eeprom


def area(device: Device) -> bytes:
    if device.defence.medium is vault.SD:
        return device.board.sd.read_file(VAULT_FILE)
    return device.board.eeprom.image


def change_area(device: Device, change: Callable[[bytearray], None]) -> None:
    now = bytearray(area(device))
    change(now)
    if device.defence.medium is vault.SD:
        device.board.sd.write_file(VAULT_FILE, bytes(now))
    else:
        device.board.eeprom.write(0, bytes(now))


def key_forms(device: Device) -> list[bytes]:
    key = device.identity.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    return [scalar, scalar[::-1], scalar.hex().encode(), device.identity.key_pem.split(b"\n")[1]]


@pytest.mark.parametrize(("scheme", "medium"), PAIRS, ids=name)
def test_first_boot_publishes_and_keeps_what_the_scheme_promises(scene: Scene, scheme: vault.Scheme,
                                                                 medium: vault.MediumKind) -> None:
    device = scene.build(THING, Defence(scheme, medium), elf=FIRMWARE)
    if medium is vault.EEPROM:  # what was fetched is used alike, wherever it comes from
        assert published(boot(device, PUBLISHED)), text(device)
    else:
        assert loaded(boot(device)), text(device)
    image = (device.board.sd if medium is vault.SD else device.board.eeprom).image
    assert any(form in image for form in key_forms(device)) == (Chunk.DEVICE_KEY in scheme.clear)
    assert find(scene.secrets(), bytes(device.board.console.raw)) == []
    if isinstance(scheme, Vaulted):
        assert (device.provisioning.credentials.certificate in image) is False
        chip = chip_of(device)
        for chunk in scheme.kept:  # the host opens what the device sealed
            version, held = scheme.open_chunk(medium, storage(device), chip, chunk)  # type: ignore[arg-type]
            assert (version, held) == (1, content(chunk, device.provisioning.credentials.entries()))
        # the clear credentials the factory left are gone, and the secret is in one sector only
        flash = device.board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
        assert any(form in flash for form in key_forms(device)) == (Chunk.DEVICE_KEY in scheme.on_chip)
        assert flash.count(chip.secret) == 1 and not any(chip.secret.hex() in line for line in text(device))
        # nothing is sealed again at the second boot
        before = area(device)
        device.board.power_off()
        assert loaded(boot(device)) and area(device) == before


@pytest.mark.parametrize(("scheme", "medium"), [pair for pair in RECORDS if not pair[0].fleet_secret], ids=name)
def test_device_opens_what_the_factory_sealed(scene: Scene, scheme: vault.Scheme, medium: vault.MediumKind) -> None:
    device = scene.build(THING, Defence(scheme, medium), elf=FIRMWARE, device_secret=SECRET)
    before = area(device)
    assert loaded(boot(device)), text(device)
    assert chip_of(device).secret == SECRET and area(device) == before


def flip(offset: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[offset] ^= 1
    return change


def swap_certificate_and_ca(data: bytearray) -> None:
    one, other, size = Chunk.DEVICE_CERTIFICATE.offset, Chunk.BROKER_CA.offset, 2048
    data[one:one + size], data[other:other + size] = data[other:other + size], data[one:one + size]


MEDIA = pytest.mark.parametrize("medium", [vault.SD, vault.EEPROM], ids=name)


@MEDIA
@pytest.mark.parametrize("scheme", ["encrypted", "sealed", "labelled", "fresh", "split", "fleet-key"])
def test_a_flipped_bit_is_noticed_from_sealed_on(scene: Scene, scheme: str, medium: vault.MediumKind) -> None:
    device = scene.build(THING, Defence(vault.scheme(scheme), medium), elf=FIRMWARE, device_secret=SECRET)
    # in the serial number's neighbourhood of the broker's CA: the record stays well-formed
    change_area(device, flip(Chunk.BROKER_CA.offset + 32 + 300))
    lines = boot(device, PUBLISHED)
    assert not published(lines)
    noticed = "storage: error record-forged broker-ca" in lines
    assert noticed == (scheme != "encrypted"), lines
    if scheme == "encrypted":  # 16 bytes of the CA are garbage now, and the vault has nothing to say about it
        assert not any(line.startswith("storage: error") for line in lines)


@MEDIA
@pytest.mark.parametrize("scheme", ["sealed", "labelled", "fresh"])
def test_swapped_chunks_are_noticed_from_labelled_on(scene: Scene, scheme: str, medium: vault.MediumKind) -> None:
    device = scene.build(THING, Defence(vault.scheme(scheme), medium), elf=FIRMWARE, device_secret=SECRET)
    change_area(device, swap_certificate_and_ca)
    lines = boot(device)
    swapped = "storage: error record-swapped device-certificate" in lines
    assert swapped == (scheme != "sealed"), lines
    if scheme == "sealed":  # taken: the device now shows the CA's certificate as its own
        assert "credentials: error key-mismatch" in lines


@MEDIA
@pytest.mark.parametrize("scheme", ["sealed", "labelled", "fresh", "split", "fleet-key"])
def test_an_older_record_is_noticed_from_fresh_on(scene: Scene, scheme: str, medium: vault.MediumKind) -> None:
    chosen = vault.scheme(scheme)
    assert isinstance(chosen, Vaulted)
    device = scene.build(THING, Defence(chosen, medium), elf=FIRMWARE, device_secret=SECRET)
    chip, engine = chip_of(device), device.board.engine
    entries, kept = device.provisioning.credentials.entries(), chosen.kept
    newer = {chunk: chosen.sealer(chip).seal(chunk, 2, 10 + i, 1, content(chunk, entries))
             for i, chunk in enumerate(kept)}
    # an update to version 2, as the chip counts it; the medium still holds version 1, as in an image taken before
    engine.program(chip_map.sector(chip_map.VAULT_SECTORS[0]).start,
                   Counters(chip.secret, 20, {chunk: 2 for chunk in kept}).image())
    lines = boot(device)
    assert loaded(lines) == (not chosen.format.fresh), lines
    assert (f"storage: error record-stale {kept[0].value}" in lines) == chosen.format.fresh
    if chosen.format.fresh:  # nor does what was refused stay in memory
        memory = b"".join(engine.read_memory(each.start, each.size) for each in (chip_map.SRAM, chip_map.CCM))
        assert not any(form in memory for form in key_forms(device))
    device.board.power_off()

    def update(data: bytearray) -> None:
        for chunk, record in newer.items():
            at = chunk.offset + chunk.slot_size
            data[at:at + len(record)] = record
    change_area(device, update)
    assert loaded(boot(device)), text(device)


def test_an_older_record_does_not_become_fresh_between_two_reads(scene: Scene) -> None:
    """The medium says what the chip wants to hear where the head is looked at first; when the record is fetched the bus
    shows the head that was sealed. What counts is the version that was authenticated, of the bytes it was with."""
    chosen = vault.scheme("fresh")
    assert isinstance(chosen, Vaulted)
    device = scene.build(THING, Defence(chosen, vault.EEPROM), elf=FIRMWARE, device_secret=SECRET)
    chip = chip_of(device)
    device.board.engine.program(chip_map.sector(chip_map.VAULT_SECTORS[0]).start,
                                Counters(chip.secret, 20, {chunk: 2 for chunk in chosen.kept}).image())
    for chunk in chosen.kept:
        at = chunk.offset + VERSION
        assert device.board.eeprom.image[at] == 1
        device.board.eeprom.write(at, bytes([2]))
        device.board.i2c_tap.replace_at(at, 1, nth=2)
    lines = boot(device)
    assert device.board.i2c_tap.fired(), "the bus was not read twice"
    assert not loaded(lines) and f"storage: error record-stale {chosen.kept[0].value}" in lines


@pytest.mark.parametrize("byte", [12, 60])
def test_a_version_counts_only_when_the_medium_holds_it(scene: Scene, byte: int) -> None:
    """One byte of each page is changed on its way: a first boot keeps nothing, and begins again when the bus is right.
    """
    device = scene.build(THING, Defence(vault.scheme("fresh"), vault.EEPROM), elf=FIRMWARE)
    device.board.i2c_tap.replace(byte, 0x55, on_read=False)
    lines = boot(device)
    assert device.board.i2c_tap.fired() and "storage: error card-error" in lines
    assert not loaded(lines) and not any(line.startswith("vault: sealed") for line in lines)
    device.board.power_off()
    device.board.i2c_tap.clear()
    assert loaded(boot(device)), text(device)


@pytest.mark.parametrize(("scheme", "medium"), [
    ("plain", vault.SD), ("encrypted", vault.EEPROM), ("sealed", vault.SD), ("labelled", vault.EEPROM),
    ("fresh", vault.SD), ("fresh", vault.EEPROM), ("fleet-key", vault.SD), ("fleet-key", vault.EEPROM)], ids=name)
def test_a_transplanted_medium_works_only_in_clear_or_with_a_fleet_key(scheme: str, medium: vault.MediumKind) -> None:
    owner = Scene()
    try:
        defence = Defence(vault.scheme(scheme), medium)
        one, two = (owner.build(thing, defence, elf=FIRMWARE) for thing in (THING, "thing-2"))
        assert loaded(boot(one)) and loaded(boot(two))
        for device in (one, two):
            device.board.power_off()
        foreign = (one.board.sd if medium is vault.SD else one.board.eeprom).image
        (two.board.sd if medium is vault.SD else two.board.eeprom).replace(foreign)
        lines = boot(two)
        assert loaded(lines) == (scheme in ("plain", "fleet-key")), lines
        if scheme not in ("plain", "fleet-key"):
            assert any(line.startswith("storage: error record-") for line in lines)
    finally:
        owner.close()


@MEDIA
def test_a_wiped_medium_is_a_defined_state(scene: Scene, medium: vault.MediumKind) -> None:
    device = scene.build(THING, Defence(vault.scheme("fresh"), medium), elf=FIRMWARE, device_secret=SECRET)
    change_area(device, lambda data: data.__setitem__(slice(None), b"\xFF" * len(data)))
    lines = boot(device)
    assert "storage: error record-missing device-key" in lines and lines[-1].startswith("state: waiting reason=storage")
