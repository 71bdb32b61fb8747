# SPDX-License-Identifier: Apache-2.0
"""Each attack in a world where it does nothing, lies about it, or cannot reach its target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from offchip.attacks.base import Attack, AttackFailed
from offchip.attacks.bus import ReplaceOnTheBus, SniffBus
from offchip.attacks.catalogue import ATTACKS
from offchip.attacks.client import CloneIdentity, ExceedRights, ReturnAfterDeactivation, Who, identity_of
from offchip.attacks.debug import DumpMemory, LowerProtection
from offchip.attacks.dissection import DissectAnotherUnit, OpenTheChip
from offchip.attacks.disturbing import Noise, SpoilTheNoise
from offchip.attacks.fallback import PlantClearCredentials
from offchip.attacks.impostor import Downgrade, DowngradeTls, PushFirmware, StandBetween
from offchip.attacks.leaks import ListenOnTheConsole, TimeTheTag
from offchip.attacks.locks import Lifting, LiftTheLock
from offchip.attacks.medium import (
    Change,
    ChangeRecord,
    Damage,
    DamageMedium,
    ReadMedium,
    ReplaceTrustAnchor,
    noise,
)
from offchip.attacks.moving import RestoreOlderImage, SwapChunks, TransplantMedium
from offchip.attacks.remains import SearchRemains
from offchip.attacks.server import ImpersonateServer, StaleServer, UseStaleServer, WrongServer
from offchip.attacks.skipping import SkipTheCheck
from offchip.attacks.updates import CutTheUpdate, ReuseNonces
from offchip.evidence import Evidence
from offchip.matrix.cells import cells
from offchip.scene import HOST, PORT, Defence
from offchip.vault import EEPROM, NONE, PLAIN, SD, MediumKind, scheme
from offchip.vault.records import EEPROM_MAGIC, decode_record
from OffchipLibrary import OffchipLibrary
from tests.known_bad.worlds import World, dead, fails
from tests.test_attacks import plain_board, reach
from tests.test_factory import DEVICE_KEY

FLEET = scheme("fleet-key")


def _fitting() -> dict[Attack, Defence]:
    """Each attack of the catalogue, as it is in the first cell of the matrix it has, and that cell's defence."""
    found: dict[str, tuple[Attack, Defence]] = {}
    for each in cells():
        for attack in each.goal.attacks(each.defence):
            if attack.id == each.attack.id:
                found.setdefault(attack.id, (attack, each.defence))
    return dict(found.values())


FITTING = _fitting()
#: each cannot reach its target: what is missing is named
MISSING: list[tuple[Attack, str]] = [
    (TransplantMedium(SD), "no other device of this make"), (RestoreOlderImage(SD), "the owner does nothing"),
    (CutTheUpdate(SD), "the owner does nothing"), (ReuseNonces(SD), "the owner does nothing"),
    (LiftTheLock(), "no lock to lift"), (LiftTheLock(SD, Lifting.BIT), "no bit of its CSD"),
    (SpoilTheNoise(SD, Noise.PREDICTABLE), "no other device"),
    (SkipTheCheck(SD), "no record is found"), (SearchRemains(SD), "the owner does nothing"),
    (DissectAnotherUnit(SD), "no other device of this make"),
]
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


def test_every_attack_has_a_cell() -> None:
    assert {each.id for each in FITTING} == set(ATTACKS)


@fails(*EVERY_KEYWORD)
@pytest.mark.parametrize("attack", FITTING, ids=lambda each: each.id)
def test_an_attack_that_does_nothing_or_leaves_no_evidence_of_itself(
        world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, attack: Attack) -> None:
    defence = FITTING[attack]
    bad = world(attack.id, scheme=defence.scheme, medium=defence.medium, rdp_level=defence.rdp_level)
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
       "Damage The Medium", "Swap The Chunks", "Open The Chip", "Listen On The Console", "Push A Firmware Image",
       "Stand Between Device And Server", "Downgrade The Connection")
@pytest.mark.parametrize("attack", [
    SniffBus(), ReplaceTrustAnchor(SD), ReplaceOnTheBus(), ImpersonateServer(), UseStaleServer(),
    UseStaleServer(clock_back_days=14), ReturnAfterDeactivation(Who.DEVICE), ExceedRights(Who.DEVICE),
    DamageMedium(SD, Damage.SHORT), DamageMedium(SD, Damage.STUCK),
    SwapChunks(SD), OpenTheChip(), ListenOnTheConsole(), PushFirmware(),
    StandBetween(), *map(DowngradeTls, Downgrade)], ids=lambda each: each.id)
def test_a_dead_device_is_no_target(world: Callable[..., World], tmp_path: Path, attack: Attack) -> None:
    bad = world(attack.id, elf=dead(tmp_path), scheme=PLAIN, medium=SD)
    with pytest.raises(AttackFailed, match="did not reach its target"):
        bad.fire(attack)
    assert bad.lab.record.fired == []


@fails("Plant Clear Credentials", "Time The Tag Comparison")
@pytest.mark.parametrize(("attack", "complaint"), [
    (PlantClearCredentials(EEPROM), "did not reach its target"), (TimeTheTag(EEPROM), "no record with a tag")],
    ids=lambda each: getattr(each, "id", ""))
def test_a_dead_device_has_sealed_nothing(world: Callable[..., World], tmp_path: Path, attack: Attack,
                                          complaint: str) -> None:
    bad = world(attack.id, elf=dead(tmp_path), scheme=scheme("fresh"), medium=EEPROM)
    bad.lab.board.eeprom.write(0, b"x")
    with pytest.raises(AttackFailed, match=complaint):
        bad.fire(attack)
    assert bad.lab.record.fired == []


@fails("Transplant A Medium", "Restore An Older Image", "Search For Remains", "Dissect Another Unit", "Cut The Update",
       "Make The Device Reuse A Nonce", "Lift The Lock", "Spoil The Noise At First Boot", "Skip The Check")
@pytest.mark.parametrize(("attack", "complaint"), MISSING, ids=lambda each: getattr(each, "id", ""))
def test_an_attack_without_what_it_needs(world: Callable[..., World], attack: Attack, complaint: str) -> None:
    sealed = {"A15": scheme("fresh"), **dict.fromkeys(("A11", "A12", "A16", "A20"), FLEET)}
    bad = world(attack.id, scheme=sealed.get(attack.id, PLAIN), medium=EEPROM if attack == LiftTheLock() else SD)
    if attack.id == "A12":
        bad.lab.board.sd.wipe()
    with pytest.raises(AttackFailed, match=complaint):
        bad.fire(attack)
    assert bad.lab.record.fired == []


@fails("Read The Medium", "Change The Record", "Connect As The Device", "Return After Deactivation",
       "Exceed The Rights", "Replace The Trust Anchor On The Bus", "Swap The Chunks")
@pytest.mark.parametrize(("attack", "complaint"), [
    (ReadMedium(NONE), "there is no medium 'none'"), (ChangeRecord(SD), "no record is found"),
    (ChangeRecord(SD, Change.TRUNCATE), "no record is found"), (CloneIdentity(), "no private key with its certificate"),
    (ReturnAfterDeactivation(Who.THIEF), "no private key"), (ExceedRights(Who.THIEF), "no private key"),
    (ReplaceOnTheBus(), "no record is found"), (SwapChunks(SD), "there is nothing to move"),
    (ReplaceOnTheBus(medium=EEPROM), "no record is found"),
], ids=lambda each: getattr(each, "id", ""))
def test_an_empty_card_gives_nothing_to_work_with(world: Callable[..., World], attack: Attack, complaint: str) -> None:
    bad = world(attack.id, scheme=PLAIN, medium=getattr(attack, "medium", SD) if attack.id == "A10" else SD)
    bad.lab.board.sd.wipe()
    bad.lab.board.eeprom.wipe()
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


def test_a_sniffer_hears_only_what_crossed(world: Callable[..., World], tmp_path: Path) -> None:
    """The card with the key is in its slot, and the device never reads it."""
    bad = world("A02", elf=dead(tmp_path), scheme=PLAIN, medium=SD)
    bad.lab.board.on_slice.append(lambda now_ns: bad.say("credentials: ok"))
    with pytest.raises(AttackFailed, match="nothing crossed the buses"):
        bad.fire(SniffBus())
    assert bad.lab.reach.loot.keys == []


def test_who_sits_on_the_bus_leaves_the_card_as_it_is(world: Callable[..., World]) -> None:
    live = world("A10", scheme=PLAIN, medium=SD)
    before = live.lab.board.sd.image
    evidence = live.fire(ReplaceOnTheBus())
    assert live.lab.board.sd.image == before
    changed = [(each.time_ns, each.before, each.after) for each in live.lab.board.spi_tap.fired()]
    assert [(each.time_ns, each.before, each.after) for each in evidence] == changed
    assert all(time_ns > 0 and old != new for time_ns, old, new in changed)


def test_who_sits_on_the_i2c_bus_lets_the_first_read_pass_and_leaves_the_chip_as_it_is(
        world: Callable[..., World]) -> None:
    live = world("A10", scheme=PLAIN, medium=EEPROM)
    chip, tap = live.lab.board.eeprom, live.lab.board.i2c_tap
    before = chip.image
    tap.record()
    evidence = live.fire(ReplaceOnTheBus(medium=EEPROM))
    assert chip.image == before
    reads = [each.miso for each in tap.drain() if each.miso]
    genuine, forged = reads[0], reads[1]
    assert before.startswith(genuine) and forged[:len(genuine)] == genuine != forged and forged != before[:len(forged)]
    decode_record(forged, EEPROM_MAGIC)  # its checksum is right
    (change,) = evidence
    assert change.time_ns > 0 and len(change.before) == len(change.after)
    assert change.after == bytes(new for old, new in zip(before, forged, strict=False) if old != new)


def test_evidence_has_the_time_of_the_deed(world: Callable[..., World]) -> None:
    live = world("A13")
    live.lab.board.power_on()
    live.lab.board.run(0.01)
    assert [each.time_ns for each in live.fire(DumpMemory())] == [live.lab.board.now_ns] * 3


def test_a_keyword_fires_its_attack_with_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    library = OffchipLibrary()
    fired: list[Attack] = []
    monkeypatch.setattr(library.lab, "fire", fired.append)
    library.run_keyword("Read The Medium", [SD], {})
    library.run_keyword("Change The Record", [EEPROM, Change.TRUNCATE], {})
    library.run_keyword("Damage The Medium", [SD], {"how": Damage.PULL})
    assert fired == [ReadMedium(SD), ChangeRecord(EEPROM, Change.TRUNCATE), DamageMedium(SD, Damage.PULL)]


@pytest.mark.parametrize("kind", [SD, EEPROM])
def test_the_flipped_bit_is_the_key_s(kind: MediumKind) -> None:
    for flipped in (False, True):
        exploiter = reach(plain_board(kind))
        if flipped:
            ChangeRecord(kind, Change.FLIP).fire(exploiter)
        ReadMedium(kind).fire(exploiter)
        found = [key for key in exploiter.loot.keys if key.key.private_numbers() == DEVICE_KEY.private_numbers()]
        assert bool(found) is not flipped


def test_noise_is_noise() -> None:
    assert len(set(noise(4096))) == 256 and noise(4096) == noise(4096) and noise(512) != noise(513)[:512]


@pytest.mark.parametrize(("attack", "owner_s", "right_host", "valid"), [
    (ImpersonateServer(WrongServer.UNTRUSTED), False, True, True),
    (ImpersonateServer(WrongServer.WRONG_HOST), True, False, True),
    (ImpersonateServer(WrongServer.LEAF_AS_CA), False, True, True),
    (UseStaleServer(StaleServer.EXPIRED), True, True, False),
    (UseStaleServer(StaleServer.NOT_YET_VALID), True, True, False)])
def test_an_impersonator_s_certificate_is_what_it_is_said_to_be(
        world: Callable[..., World], tmp_path: Path, attack: Attack, owner_s: bool, right_host: bool,
        valid: bool) -> None:
    bad = world(attack.id, elf=dead(tmp_path))
    with pytest.raises(AttackFailed):
        bad.fire(attack)
    scene, rogue = bad.lab.scene, bad.lab.reach.rogue
    bad.lab.board.internet.connect(HOST, PORT)
    assert rogue is not None and len(rogue.visits) == 1
    shown = rogue.identity.certificate
    assert shown.public_key() != scene.world.server.certificate.public_key()
    try:
        shown.verify_directly_issued_by(scene.authority.root.certificate)
    except (ValueError, InvalidSignature):
        assert not owner_s
    else:
        assert owner_s
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert (HOST in names.get_values_for_type(x509.DNSName)) is right_host
    assert (shown.not_valid_before_utc <= scene.utc() <= shown.not_valid_after_utc) is valid
    for below, above in pairwise((shown, *rogue.identity.chain)):  # a chain that breaks would be refused for that
        below.verify_directly_issued_by(above)
        above.verify_directly_issued_by(scene.authority.root.certificate)
    assert len(rogue.identity.chain) == (attack == ImpersonateServer(WrongServer.LEAF_AS_CA))
    if attack == UseStaleServer(StaleServer.EXPIRED):
        assert shown.not_valid_after_utc < scene.utc()


def test_an_impostor_s_certificate_is_his_own(world: Callable[..., World]) -> None:
    bad = world("A21")
    shown = identity_of(bad.lab.reach, Who.IMPOSTOR)
    assert shown is not None and shown.key_der != bad.lab.device.identity.key_der
    with pytest.raises((ValueError, InvalidSignature)):
        shown.certificate.verify_directly_issued_by(bad.lab.scene.authority.root.certificate)
