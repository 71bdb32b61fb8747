# SPDX-License-Identifier: Apache-2.0
"""Each attack in a world where it does nothing, lies about it, or cannot reach its target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offchip.attacks.base import Attack, AttackFailed
from offchip.attacks.bus import ReplaceOnTheBus, SniffBus
from offchip.attacks.catalogue import ATTACKS
from offchip.attacks.client import CloneIdentity, ExceedRights, ReturnAfterDeactivation, Who
from offchip.attacks.debug import DumpMemory, LowerProtection
from offchip.attacks.medium import Change, ChangeRecord, Damage, DamageMedium, ReadMedium, ReplaceTrustAnchor
from offchip.attacks.server import ImpersonateServer, UseStaleServer
from offchip.evidence import Evidence
from offchip.vault import EEPROM, NONE, PLAIN, SD
from tests.known_bad.worlds import World, dead, fails

#: attack -> the world it applies to
FITTING: dict[Attack, dict[str, object]] = {
    ReadMedium(SD): {"scheme": PLAIN, "medium": SD}, SniffBus(): {"scheme": PLAIN, "medium": SD},
    ChangeRecord(SD): {"scheme": PLAIN, "medium": SD}, ReplaceTrustAnchor(SD): {"scheme": PLAIN, "medium": SD},
    CloneIdentity(): {}, DamageMedium(SD): {"scheme": PLAIN, "medium": SD},
    ReplaceOnTheBus(): {"scheme": PLAIN, "medium": SD}, DumpMemory(): {}, LowerProtection(): {"rdp_level": 1},
    ImpersonateServer(): {}, UseStaleServer(): {}, ReturnAfterDeactivation(): {}, ExceedRights(): {},
}
EVERY_KEYWORD = [each.keyword for each in ATTACKS.values()]


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(*tags: str, elf: Path | None = None, **options: object) -> World:
        made.append(World(*tags, **({"elf": elf} if elf else {})))
        return made[-1].given(**options)

    yield make
    for each in made:
        each.lab.close()


def test_every_attack_has_a_world_here() -> None:
    assert {each.id for each in FITTING} == set(ATTACKS)


@fails(*EVERY_KEYWORD)
@pytest.mark.parametrize("attack", FITTING, ids=lambda each: each.id)
def test_an_attack_that_does_nothing_or_leaves_no_evidence_of_itself(
        world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, attack: Attack) -> None:
    bad = world(attack.id, **FITTING[attack])
    bad.lab.board.run(0.01)
    now_ns, other = bad.lab.board.now_ns, "A01" if attack.id != "A01" else "A02"
    for left, complaint in (
            ([], "left no evidence"),
            ([Evidence(other, "read", "sdcard", now_ns, received=b"x")], "and left"),
            ([Evidence(attack.id, "read", "sdcard", now_ns + 1, received=b"x")], "and left"),
            ([Evidence(attack.id, "read", "sdcard", 0, received=b"x")], "and left")):
        monkeypatch.setattr(type(attack), "fire", lambda self, scene, left=left: left)
        with pytest.raises(AssertionError, match=complaint):
            bad.fire(attack)
    assert bad.lab.record.fired == []
    with pytest.raises(ValueError, match="has no bytes"):
        attack.note(bad.lab.reach, "do", "nothing")


@pytest.mark.parametrize(("attack", "options"), [
    (ChangeRecord(SD), {}), (DamageMedium(EEPROM), {"scheme": PLAIN, "medium": SD}), (SniffBus(), {}),
    (ReplaceOnTheBus(), {"scheme": PLAIN, "medium": EEPROM}), (LowerProtection(), {}),
], ids=lambda each: getattr(each, "id", ""))
def test_an_attack_that_does_not_apply_does_not_fire(world: Callable[..., World], attack: Attack,
                                                     options: dict[str, object]) -> None:
    bad = world(attack.id, **options)
    before = bad.lab.board.sd.image, bad.lab.board.eeprom.image
    with pytest.raises(AssertionError, match="does not apply"):
        bad.fire(attack)
    assert (bad.lab.board.sd.image, bad.lab.board.eeprom.image) == before


@fails("Sniff The Buses While Booting", "Replace The Trust Anchor", "Replace The Trust Anchor On The Bus",
       "Impersonate The Server", "Use A Stale Server Certificate", "Return After Deactivation", "Exceed The Rights",
       "Damage The Medium")
@pytest.mark.parametrize("attack", [
    SniffBus(), ReplaceTrustAnchor(SD), ReplaceOnTheBus(), ImpersonateServer(), UseStaleServer(),
    UseStaleServer(clock_back_days=14), ReturnAfterDeactivation(Who.DEVICE), ExceedRights(Who.DEVICE),
    DamageMedium(SD, Damage.SHORT)], ids=lambda each: each.id)
def test_a_dead_device_is_no_target(world: Callable[..., World], tmp_path: Path, attack: Attack) -> None:
    bad = world(attack.id, elf=dead(tmp_path), scheme=PLAIN, medium=SD)
    with pytest.raises(AttackFailed, match="did not reach its target"):
        bad.fire(attack)
    assert bad.lab.record.fired == []


@fails("Read The Medium", "Change The Record", "Connect As The Device", "Return After Deactivation",
       "Exceed The Rights", "Replace The Trust Anchor On The Bus")
@pytest.mark.parametrize(("attack", "complaint"), [
    (ReadMedium(NONE), "there is no medium 'none'"), (ChangeRecord(SD), "no private key is found"),
    (ChangeRecord(SD, Change.TRUNCATE), "no record to cut"), (CloneIdentity(), "no private key with its certificate"),
    (ReturnAfterDeactivation(Who.THIEF), "no private key"), (ExceedRights(Who.THIEF), "no private key"),
    (ReplaceOnTheBus(), "no trust anchors to replace"),
], ids=lambda each: getattr(each, "id", ""))
def test_an_empty_card_gives_nothing_to_work_with(world: Callable[..., World], attack: Attack, complaint: str) -> None:
    bad = world(attack.id, scheme=PLAIN, medium=SD)
    bad.lab.board.sd.wipe()
    with pytest.raises(AttackFailed, match=complaint):
        bad.fire(attack)


# attackers that say they did it: the oracle beside them does not believe it -----------------------------------------
@pytest.mark.parametrize("who", ["dump", "lower"])
def test_a_debugger_who_never_asked(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    bad = world("A13" if who == "dump" else "A14", rdp_level=2)
    lie = Evidence("A13" if who == "dump" else "A14", "dump", "flash 0x08000000", 0, sent=b"?", detail="refused: no")
    attack = DumpMemory() if who == "dump" else LowerProtection()
    monkeypatch.setattr(type(attack), "fire", lambda self, scene: [lie])
    bad.fire(attack)
    with pytest.raises(AssertionError, match="requests"):
        if who == "dump":
            bad.loot.debug_port_should_have_refused("flash")
        else:
            bad.loot.debug_port_should_have_refused_to("set-rdp")


def test_a_reader_who_never_read(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    bad = world("A01")
    identity = bad.lab.device.identity
    key = identity.key_der

    def fire(self: ReadMedium, scene: object) -> list[Evidence]:
        bad.lab.reach.loot.search(identity.key_pem + identity.certificate_pem, "sdcard")
        return [Evidence("A01", "read", "sdcard", 0, received=key)]

    monkeypatch.setattr(ReadMedium, "fire", fire)
    bad.fire(ReadMedium(SD))
    with pytest.raises(AssertionError, match="never where it is said"):
        bad.loot.attacker_should_have_the_device_key()
