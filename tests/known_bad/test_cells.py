# SPDX-License-Identifier: Apache-2.0
"""The matrix in worlds where something is wrong: attackers who only say they did it, oracles' own blind spots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from offchip import chip_map
from offchip.attacks.base import Attack
from offchip.attacks.catalogue import ATTACKS
from offchip.attacks.client import CloneIdentity, ExceedRights, Who
from offchip.attacks.medium import Change, ChangeRecord, ReadMedium, ReplaceTrustAnchor
from offchip.attacks.reach import Reach
from offchip.evidence import Evidence
from offchip.matrix.bench import Bench
from offchip.matrix.cells import Cell, cell, cells
from offchip.matrix.predictions import predict
from offchip.paths import FIRMWARE
from offchip.vault import EEPROM, PLAIN, SD, Chunk, scheme
from OffchipLibrary.goals.base import Oracles
from OffchipLibrary.goals.impostor import kept_away
from tests.known_bad.worlds import World, fails

Make = Callable[..., World]


@pytest.fixture
def world() -> Iterator[Make]:
    made: list[World] = []

    def make(*tags: str, **options: object) -> World:
        made.append(World(*tags))
        return made[-1].given(**options)

    yield make
    for each in made:
        each.lab.close()


# the store -----------------------------------------------------------------------------------------------------------
@fails("Store Should Hold A False")
def test_a_store_nobody_touched(world: Make) -> None:
    bad = world(scheme=PLAIN, medium=SD)
    with pytest.raises(AssertionError, match="holds the genuine broker-ca"):
        bad.store.store_should_hold_a_false(Chunk.BROKER_CA)
    ChangeRecord(SD, Change.FLIP_ANCHOR).fire(bad.lab.reach)
    bad.store.store_should_hold_a_false(Chunk.BROKER_CA)
    with pytest.raises(AssertionError, match="holds the genuine device-key"):
        bad.store.store_should_hold_a_false(Chunk.DEVICE_KEY)


@fails("Device Should Have Taken Its Credentials", "Device Should Have Refused Its Credentials")
def test_what_the_device_says_of_its_credentials(world: Make) -> None:
    bad = world(scheme=PLAIN, medium=SD)
    for oracle in (bad.store.device_should_have_taken_its_credentials,
                   bad.store.device_should_have_refused_its_credentials):
        with pytest.raises(AssertionError, match="nothing"):
            oracle()
    bad.say("credentials: ok source=sd certificate=00000000")
    bad.store.device_should_have_taken_its_credentials()
    with pytest.raises(AssertionError, match="credentials: ok"):
        bad.store.device_should_have_refused_its_credentials()
    bad.say("storage: error record-forged broker-ca")
    with pytest.raises(AssertionError, match="record-forged"):
        bad.store.device_should_have_taken_its_credentials()
    with pytest.raises(AssertionError, match="credentials: ok"):
        bad.store.device_should_have_refused_its_credentials()


# the server ----------------------------------------------------------------------------------------------------------
@fails("Attacker Should Have Been Granted", "Attacker Should Have Been Turned Away")
def test_what_the_server_told_an_attacker(world: Make) -> None:
    bad = world("A08", scheme=PLAIN, medium=SD)
    with pytest.raises(AssertionError, match="granted nothing"):
        bad.loot.attacker_should_have_been_granted(publish="offchip/feed")
    with pytest.raises(AssertionError, match="never turned to the server"):
        bad.loot.attacker_should_have_been_turned_away("offchip/feed")
    bad.fire(CloneIdentity(who=Who.IMPOSTOR))
    bad.loot.attacker_should_have_been_turned_away("offchip/feed")
    bad.fire(ReadMedium(SD))
    bad.fire(CloneIdentity())
    bad.loot.attacker_should_have_been_granted(publish="offchip/feed")
    with pytest.raises(AssertionError, match="granted nothing"):
        bad.loot.attacker_should_have_been_granted(subscribe="offchip/#")
    with pytest.raises(AssertionError, match="was granted"):
        bad.loot.attacker_should_have_been_turned_away("offchip/feed")


def test_who_is_thrown_out_for_another_reason_was_not_turned_away(world: Make) -> None:
    """A thief who never asks for what is forbidden keeps his session until he leaves."""
    bad = world("A21", scheme=PLAIN, medium=SD)
    bad.fire(ReadMedium(SD))
    bad.fire(ExceedRights(Who.THIEF, publish="offchip/feed"))
    with pytest.raises(AssertionError, match="1 sessions, of which 0 were ended"):
        bad.loot.attacker_should_have_been_turned_away(publish="offchip/things/thing-2")
    bad.fire(ExceedRights(Who.THIEF, publish="offchip/things/thing-2"))
    with pytest.raises(AssertionError, match="2 sessions, of which 1 were ended"):
        bad.loot.attacker_should_have_been_turned_away(publish="offchip/things/thing-2")


@fails("Attacker Should Have Got What Is There")
def test_a_reader_who_says_he_read(world: Make) -> None:
    bad = world("A01", scheme=PLAIN, medium=SD)
    bad.lab.record.add_evidence([Evidence("A01", "read", "sdcard", 0, received=b"x"),
                                 Evidence("A01", "sniff", "spi1 block 0", 0, received=b"nothing of it"),
                                 Evidence("A01", "dump", "flash 0x08000000", 0, sent=b"?")])
    with pytest.raises(AssertionError, match="nothing of the 3 things"):
        bad.loot.attacker_should_have_got_what_is_there()
    bad.fire(ReadMedium(SD))
    bad.loot.attacker_should_have_got_what_is_there()


@fails("Attacker Should Have Got What Is There")
def test_what_was_got_lies_elsewhere_or_is_another_s(world: Make) -> None:
    """Of each kind of place: what is there is believed, what is not is not."""
    bad = world("A01", scheme=scheme("fresh"), medium=EEPROM)
    board, secret = bad.lab.board, next(iter(bad.lab.device.secrets()), b"")
    board.eeprom.write(64, bytes(range(64)))
    image, card = board.eeprom.image, board.sd.image
    flash = board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
    port = bad.lab.device.debug_port
    head = port.read(chip_map.FLASH.start, 64)
    true = [("eeprom", image), ("i2c1 byte 64", image[64:96]), ("spi1 block 1", card[512:1024]),
            ("flash, the data sectors", flash), (f"flash 0x{chip_map.FLASH.start:08X}", head)]
    false = [("eeprom", image[:-1] + b"x"), ("sdcard", card[:-1] + b"x"), ("i2c1 byte 65", image[64:96]),
             ("i2c1 byte 64", b""), ("spi1 block 1", b"x" * 512), ("flash, the data sectors", flash[:-1] + b"x"),
             (f"flash 0x{chip_map.FLASH.start:08X}", head[:-1] + b"x"), (f"flash 0x{chip_map.SRAM.start:08X}", head),
             ("option bytes", b"x"), ("flash of thing-1", b"x" * 32), ("flash of thing-2", secret or b"x"),
             ("nowhere", head)]
    for place, got in true:
        bad.lab.record.fired[:] = [Evidence("A01", "read", place, 0, received=got)]
        bad.loot.attacker_should_have_got_what_is_there(place)
        with pytest.raises(AssertionError, match="at elsewhere"):
            bad.loot.attacker_should_have_got_what_is_there(place, "elsewhere")
    for place, got in false:
        bad.lab.record.fired[:] = [Evidence("A01", "read", place, 0, sent=b"?", received=got)]
        with pytest.raises(AssertionError, match="nothing of the 1 things"):
            bad.loot.attacker_should_have_got_what_is_there()


def test_an_impostor_nobody_calls_or_who_does_not_stand_there(world: Make) -> None:
    bad = world("A04", scheme=PLAIN, medium=SD)
    reach = bad.lab.reach
    reach.answer_as_server(reach.authority.issue_server([reach.host]))
    with pytest.raises(AssertionError, match="refused none of 0 calls"):
        kept_away(bad.lab, Oracles(bad.lab))
    bad.say("storage: error record-forged broker-ca")
    kept_away(bad.lab, Oracles(bad.lab))
    bad.lab.board.internet.restore(reach.host, reach.port)
    with pytest.raises(AssertionError, match="does not stand where the device calls"):
        kept_away(bad.lab, Oracles(bad.lab))


# cells ---------------------------------------------------------------------------------------------------------------
def rows(medium: str) -> dict[str, str]:
    """The cells of the strongest scheme on one medium, by row and further defences."""
    return {each.id.replace(f"/fresh/{medium}", ""): each.id for each in cells() if f"/fresh/{medium}" in each.id}


#: every row of the catalogue where the defence holds most, and so a sleeper would pass for beaten; and where all falls
IDLE = [*(rows("eeprom") | rows("sd")).values()] + [
    f"{row}/plain/sd" for row in ("A01/read", "A04/redirect", "A08/clone", "A10/on-the-bus", "A21/publish")]


@pytest.fixture(scope="module")
def benches() -> Iterator[dict[str, Bench]]:
    made = {column: Bench("embedded", FIRMWARE, 1) for column in ("fresh sd", "fresh eeprom", "plain sd")}
    yield made
    for each in made.values():
        each.close()


def test_every_attack_has_a_world_in_which_it_does_nothing() -> None:
    assert {each.split("/")[0] for each in IDLE} == set(ATTACKS)


def idle(attack: Attack, scene: Reach) -> list[Evidence]:
    """Does nothing, and says it was done."""
    return [Evidence(attack.id, "everything", "sdcard", scene.board.now_ns, before=b"a", after=b"b", sent=b"c",
                     received=b"d")]


@pytest.mark.parametrize("name", IDLE)
def test_an_attacker_who_does_nothing_decides_nothing(benches: dict[str, Bench], monkeypatch: pytest.MonkeyPatch,
                                                      name: str) -> None:
    chosen = cell(name)
    for attack in (*chosen.goal.attacks(chosen.defence), CloneIdentity()):
        monkeypatch.setattr(type(attack), "fire", idle)
    record = benches[chosen.column].run(chosen, name)
    assert record["verdict"] == "not run", record["reason"]
    assert record["fired"] and record["reason"]


@pytest.mark.parametrize("row", ["A04/redirect", "A04/configuration"])
def test_a_server_without_its_anchor_in_the_store_is_no_attack_on_the_store(
        benches: dict[str, Bench], monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    """A device that refuses a stranger's server has not shown that it would refuse a stranger's certificate."""
    def plant(attack: ReplaceTrustAnchor, scene: Reach, anchor: bytes) -> Evidence:
        return attack.note(scene, "replace trust anchor", "sdcard", "who planted nothing", before=b"", after=anchor)

    monkeypatch.setattr(ReplaceTrustAnchor, "_plant", plant)
    record = benches["fresh sd"].run(cell(f"{row}/fresh/sd"), row)
    assert record["verdict"] == "not run" and "nowhere on it" in record["reason"]


@pytest.mark.parametrize("row", ["A03/flip-anchor", "A08/clone"])
def test_the_same_attackers_at_work(benches: dict[str, Bench], row: str) -> None:
    """The worlds above are bad for one reason only."""
    chosen = cell(f"{row}/plain/sd")
    record = benches["plain sd"].run(chosen, row)
    assert record["verdict"] == predict(chosen).verdict == "broken", record["reason"]


def test_a_cell_does_not_touch_the_next_one(benches: dict[str, Bench]) -> None:
    chosen = cell("A03/flip-key/plain/sd")
    first, second = (run(benches["plain sd"], chosen) for _ in range(2))
    assert first == second


def run(bench: Bench, chosen: Cell) -> dict[str, Any]:
    return bench.run(chosen, chosen.id)
