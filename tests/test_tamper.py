# SPDX-License-Identifier: Apache-2.0
"""An opened lid: secret and keys are gone from chip and medium, whatever the device was doing, and whatever it was then
cut off from; the broker hears of it over a session that is up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from offchip import chip_map, vault
from offchip.broker.events import PublishAccepted
from offchip.engines.fork import forked
from offchip.engines.protocol import StorageEvent
from offchip.paths import FIRMWARE
from offchip.scene import Defence, Device, Scene
from offchip.vault.chunk import CREDENTIAL_CHUNKS, Chunk
from offchip.vault.counters import SIZE, Counters
from offchip.vault.vaulted import Vaulted

WINDOW = 8
LIMIT_S = 120.0  # of the host, for a copy
Warm = Callable[..., tuple[Scene, Device]]
BACKUP_REGISTERS = (0x40002850, 80)  # RM0090 26.6.20, RTC_BKP0R..19R
PLACES = [("fresh", "eeprom"), ("fresh", "sd"), ("internal", "none"), ("split", "eeprom"), ("plain", "eeprom"),
          ("split-plain", "sd")]


@pytest.fixture
def scene() -> Iterator[Scene]:
    one = Scene(things=("thing-1",))
    yield one
    one.close()


def build(scene: Scene, scheme: str = "fresh", medium: str = "eeprom") -> Device:
    return scene.build("thing-1", Defence(vault.scheme(scheme), vault.medium(medium)), elf=FIRMWARE, tamper=True)


@pytest.fixture(scope="module")
def published() -> Iterator[Warm]:
    """Devices that have published, each booted once; what is done to one is done to a copy (``forked``)."""
    made: dict[tuple[str, str], tuple[Scene, Device]] = {}

    def warm(scheme: str = "fresh", medium: str = "eeprom") -> tuple[Scene, Device]:
        if (scheme, medium) not in made:
            owner = Scene(things=("thing-1",))
            device = build(owner, scheme, medium)
            made[scheme, medium] = owner, device
            device.board.power_on()
            device.board.console.wait_for("^mqtt: published topic=offchip/feed", 20)
        return made[scheme, medium]

    yield warm
    for owner, _ in made.values():
        owner.close()


def forms_of_key(device: Device) -> dict[str, bytes]:
    key = device.identity.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    value = key.private_numbers().private_value
    return {"key": value.to_bytes(32, "big"), "key as words": value.to_bytes(32, "little")}


def secrets(device: Device) -> dict[str, bytes]:
    """What must be gone: private key, and (with a vault) device secret and the keys made of it."""
    found = {**forms_of_key(device), "key as PEM": b"".join(device.identity.key_pem.splitlines()[1:-1])[48:80]}
    scheme = device.defence.scheme
    if isinstance(scheme, Vaulted):
        engine = device.board.engine
        secret = Counters.parse(engine.read_memory(chip_map.sector(2).start, SIZE)).secret
        sealer = scheme.sealer(vault.Chip(secret, b""))
        found |= {"secret": secret, **{f"key of {chunk.value}": sealer.key(chunk, 32) for chunk in CREDENTIAL_CHUNKS}}
    return found


def remains(device: Device, wanted: dict[str, bytes]) -> set[str]:
    """Names and places where any eight bytes of a secret are found."""
    engine, board = device.board.engine, device.board
    places = {name: engine.read_memory(region.start, region.size) for name, region in
              {"flash": chip_map.FLASH, "SRAM": chip_map.SRAM, "CCM": chip_map.CCM}.items()}
    places["backup registers"] = engine.read_memory(*BACKUP_REGISTERS)
    places |= {"card": board.sd.image, "EEPROM": board.eeprom.image}
    return {f"{name} in {place}" for name, form in wanted.items() for place, memory in places.items()
            if any(form[at:at + WINDOW] in memory for at in range(0, len(form) - WINDOW + 1, WINDOW))}


def records(device: Device) -> int:
    """Heads of records on the media."""
    return sum(image.count(magic) for image in (device.board.sd.image, device.board.eeprom.image)
               for magic in (b"OCV1", b"OCX1", b"OCE1"))


def told(scene: Scene) -> list[bytes]:
    return [each.payload for each in scene.broker.events.of(PublishAccepted) if b"tamper" in each.payload]


@pytest.mark.parametrize(("scheme", "medium"), PLACES)
def test_nothing_is_left_and_the_broker_is_told(published: Warm, scheme: str, medium: str) -> None:
    forked(partial(_nothing_is_left, *published(scheme, medium)), LIMIT_S)


def _nothing_is_left(scene: Scene, device: Device) -> None:
    board = device.board
    wanted = secrets(device)
    assert remains(device, wanted)
    assert any(board.engine.read_memory(*BACKUP_REGISTERS)), "the last confirmed time"
    board.hall.open_case()
    board.run(0.02)
    assert not any(board.engine.read_memory(*BACKUP_REGISTERS))
    # at once: whatever is on the chip; the session's keys are all it still has
    assert not any("flash" in each or "SRAM" in each or "CCM" in each or "registers" in each
                   for each in remains(device, wanted))
    board.console.wait_for("^state: fault reason=tamper", 10)
    assert told(scene) == [b'{"thing":"thing-1","event":"tamper"}']
    assert remains(device, wanted) == set() and records(device) == 0
    sectors = board.engine.read_memory(chip_map.sector(2).start, SIZE)
    assert sectors == b"\xFF" * SIZE
    board.hall.close_case()
    board.power_cycle()
    board.console.wait_for("^state: fault reason=tamper", 10)
    assert board.engine.diagnostics() == []


def test_the_secret_goes_from_whichever_sector_it_is_in(published: Warm) -> None:
    """It is in the other one when the log of the first was full once."""
    forked(partial(_in_the_other_sector, *published("fresh", "eeprom")), LIMIT_S)


def _in_the_other_sector(scene: Scene, device: Device) -> None:
    board = device.board
    first, second = (chip_map.sector(each) for each in chip_map.VAULT_SECTORS)
    board.power_off()
    board.engine.program(second.start, board.engine.read_memory(first.start, first.size))
    board.engine.program(first.start, b"\xFF" * first.size)
    board.power_on()
    board.console.wait_for("^mqtt: published", 60)
    _nothing_is_left(scene, device)


def _opened(scene: Scene, busy: str, then_s: float) -> Device:
    """A device at its first start whose lid was opened behind a line, so many virtual seconds ago."""
    device = build(scene)
    device.board.power_on()
    device.board.console.wait_for(busy, 20)
    device.board.hall.open_case()
    device.board.run(then_s)
    return device


@pytest.mark.parametrize("busy", ["^boot: ", "^rng: ok", "^vault: secret created", "^credentials: ok", "^modem: ready",
                                  "^clock: "])
def test_it_acts_whatever_the_device_is_doing(scene: Scene, busy: str) -> None:
    """At start, sealing in flash and on the medium, parsing, waiting for the modem, in the handshake."""
    device = _opened(scene, busy, 0.002 if busy == "^vault: secret created" else 0.3)
    board = device.board
    board.console.wait_for("^state: fault reason=tamper", 30)
    flash = board.engine.read_memory(chip_map.FLASH.start, chip_map.FLASH.size)
    assert remains(device, forms_of_key(device)) == set()
    assert b"OCS1" not in flash[:0x10000] and b"OCP1" not in flash[:0x10000] and records(device) == 0


@pytest.mark.parametrize("busy", ["^rng: ok", "^vault: secret created", "^credentials: ok", "^clock: "])
def test_a_millisecond_later_nothing_stops_it_any_more(scene: Scene, busy: str) -> None:
    """The supply is cut and the lid closed in the middle of sealing, parsing, a handshake: the next start ends it."""
    device = _opened(scene, busy, 0.001)
    board = device.board
    board.power_off()
    board.hall.close_case()
    board.power_on()
    board.console.wait_for("^state: fault reason=tamper", 10)
    assert remains(device, forms_of_key(device)) == set() and records(device) == 0


@pytest.mark.parametrize("event", [StorageEvent.FLASH_WORD, StorageEvent.FLASH_ERASE, StorageEvent.EEPROM_PAGE])
def test_it_acts_in_the_middle_of_a_write(scene: Scene, event: StorageEvent) -> None:
    """The first boot programs and erases flash and seals on the EEPROM; the lid opens while one is under way."""
    device = build(scene)
    board = device.board
    board.power_on()
    board.run_until(lambda: board.faults.events(event) > 0, 20, f"the first {event}")
    board.hall.open_case()
    board.console.wait_for("^state: fault reason=tamper", 30)
    assert remains(device, forms_of_key(device)) == set() and records(device) == 0
    assert board.engine.diagnostics() == []


@pytest.mark.parametrize("nth", [1, 2, 5, 9, 12, 40])
@pytest.mark.parametrize("scheme", ["fresh", "internal"])
def test_a_cut_right_behind_the_edge_is_finished_at_the_next_boot(published: Warm, scheme: str, nth: int) -> None:
    forked(partial(_cut, nth, *published(scheme, "eeprom" if scheme == "fresh" else "none")), LIMIT_S)


def _cut(nth: int, scene: Scene, device: Device) -> None:
    board = device.board
    wanted = secrets(device)
    board.faults.cut_power(StorageEvent.FLASH_WORD, nth, done=2)
    board.hall.open_case()
    board.run(0.5)
    board.faults.clear()
    if board.powered:
        board.power_off()  # fewer words than that
    board.hall.close_case()  # the level tells nothing any more
    board.power_on()
    board.console.wait_for("^state: fault reason=tamper", 10)
    assert remains(device, wanted) == set()


def test_a_lid_that_is_open_at_the_start_counts(published: Warm) -> None:
    forked(partial(_open_at_the_start, *published()), LIMIT_S)


def _open_at_the_start(scene: Scene, device: Device) -> None:
    board = device.board
    wanted = secrets(device)
    board.power_off()
    board.hall.open_case()
    board.power_on()
    board.console.wait_for("^state: fault reason=tamper", 10)
    assert remains(device, wanted) == set() and told(scene) == []


def test_it_is_only_reported_unless_the_page_says_so(scene: Scene) -> None:
    device = scene.build("thing-1", Defence(vault.scheme("fresh"), vault.EEPROM), elf=FIRMWARE)
    board = device.board
    board.power_on()
    board.console.wait_for("^mqtt: published topic=offchip/feed", 20)
    board.hall.open_case()
    board.console.wait_for("^hall: open", 1)
    board.console.wait_for("^mqtt: published topic=offchip/feed", 20)
    assert Counters.parse(board.engine.read_memory(chip_map.sector(2).start, SIZE)).versions[Chunk.DEVICE_KEY] == 1
