# SPDX-License-Identifier: Apache-2.0
"""The catalogue, and each attack on a scripted board: what it does, and what it leaves."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bench.mosquitto import PROGRAM, running
from offchip import chip_map, vault
from offchip.attacks import wire
from offchip.attacks.base import Attack, AttackFailed
from offchip.attacks.catalogue import ATTACKS
from offchip.attacks.client import CloneIdentity, ExceedRights, ReturnAfterDeactivation, Who
from offchip.attacks.debug import DumpMemory, Lowering, LowerProtection, Memory
from offchip.attacks.loot import Loot
from offchip.attacks.medium import Change, ChangeRecord, Damage, DamageMedium, ReadMedium, ReplaceTrustAnchor
from offchip.attacks.reach import Reach
from offchip.attacks.references import cases, provenance, threat_ids, titles
from offchip.board.board import Board
from offchip.board.factory import provision
from offchip.engines.protocol import Transfer
from offchip.pki import Authority
from offchip.scene import Defence, Scene
from offchip.scene.witness import DebugWitness
from offchip.vault import fat, plain
from offchip.vault.records import EEPROM_MAGIC, Tag, decode_record
from tests.test_board import FakeEngine
from tests.test_factory import CA, CA_KEY, CA_PEM, CREDENTIALS, DEVICE, DEVICE_KEY, PROVISIONING, der, key_bytes

ROGUE = Authority(66, "rogue")


def reach(board: Board) -> Reach:
    """An exploiter with a scripted board in hand."""
    scene = Scene()
    port = DebugWitness(lambda: board.debug_port, lambda: board.now_ns)
    return Reach(board, port, "thing-1", scene.authority.root.certificate, ROGUE, scene.lost_server,
                 lambda: list(scene.broker.events), scene.utc)


def plain_board(kind: vault.MediumKind) -> Board:
    board = Board(FakeEngine())
    provision(board.engine, dataclasses.replace(PROVISIONING, scheme=vault.PLAIN, medium=kind))
    return board


# catalogue ---------------------------------------------------------------------------------------------------------
def test_every_attack_names_itself_its_threats_and_what_it_needs() -> None:
    assert list(ATTACKS) == sorted(ATTACKS) and len(ATTACKS) >= 13
    for name, attack in ATTACKS.items():
        assert name == attack.id and len(name) == 3 and attack.title and attack.needs and attack.cwe
        assert attack.psa and attack.emb3d and (attack.__doc__ or "").strip()


def test_every_id_of_a_threat_or_weakness_exists_in_its_pinned_list() -> None:
    emb3d, cwe, psa = titles("emb3d"), titles("cwe"), titles("psa")
    assert len(emb3d) > 150 and len(cwe) > 900 and "TID-999" not in emb3d and "CWE-1" not in cwe
    for attack in ATTACKS.values():
        assert [each for each in threat_ids(attack.emb3d) if each not in emb3d] == [], attack.id
        assert [each for each in threat_ids(attack.psa) if each not in psa] == [], attack.id
        assert [each for each in attack.cwe if str(each) not in cwe] == [], attack.id
        for text, ids in ((attack.emb3d, threat_ids(attack.emb3d)), (attack.psa, threat_ids(attack.psa))):
            assert ids or not text.strip("-~ "), f"{attack.id}: '{text}' names no id"
    for name in ("emb3d", "cwe", "psa"):
        assert {"title", "version", "date", "source"} <= set(provenance(name))


def test_every_real_case_is_told_whole_and_stands_for_an_attack() -> None:
    assert len({case.id for case in cases()}) == len(cases()) >= 24
    for case in cases():
        assert case.what and case.medium and case.obtained and case.source and 2000 < case.year < 2027
        assert case.attacks and all(re.fullmatch(r"A\d\d", each) for each in case.attacks)
    assert ATTACKS["A01"].threat()["incidents"][0]["source"] and ATTACKS["A01"].family() == "medium"


def test_an_attack_in_a_module_of_the_folder_is_in_the_catalogue_with_its_keyword(tmp_path, monkeypatch) -> None:
    """What CONTRIBUTING promises: one class, nothing else."""
    import offchip.attacks
    from offchip.attacks.catalogue import load
    from OffchipLibrary.attacker import _keyword

    (tmp_path / "mine.py").write_text("""
from dataclasses import dataclass
from offchip.attacks.base import Applies, Attack, Need

@dataclass(frozen=True)
class Mine(Attack):
    '''Do what nobody did.'''

    id, title, keyword = "A99", "a new attack", "Do Something New"
    needs, psa, emb3d, cwe = (Need.MEDIUM,), "-", "~", (1,)
    times: int = 3

    def applies(self, defence):
        return Applies(True, "always")

    def fire(self, scene):
        return [self.note(scene, "do", "nowhere", sent=b"x")]
""")
    monkeypatch.setattr(offchip.attacks, "__path__", [*offchip.attacks.__path__, str(tmp_path)])
    mine = load()["A99"]
    method = _keyword(mine)
    assert method.robot_name == "Do Something New" and {"attacker", "A99", "CWE-1"} <= set(method.robot_tags)
    assert method.robot_types == {"times": int} and "Do what nobody did." in method.__doc__
    del mine, method


@pytest.mark.parametrize(("attack", "defence", "fits"), [
    (CloneIdentity(), Defence(), True),
    (ChangeRecord(vault.SD), Defence(), False),
    (ChangeRecord(vault.SD), Defence(vault.PLAIN, vault.EEPROM), False),
    (DamageMedium(vault.EEPROM, Damage.FILE), Defence(vault.PLAIN, vault.EEPROM), False),
    (ATTACKS["A02"](), Defence(), False),
    (ATTACKS["A10"](), Defence(vault.PLAIN, vault.EEPROM), False),
    (ATTACKS["A10"](), Defence(vault.PLAIN, vault.SD), True),
    (LowerProtection(), Defence(), False),
    (LowerProtection(), Defence(rdp_level=1), True),
])
def test_an_attack_says_why_it_does_not_apply(attack: Attack, defence: Defence, fits: bool) -> None:
    applies = attack.applies(defence)
    assert bool(applies) is fits and applies.reason


# media -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [vault.SD, vault.EEPROM])
def test_reading_the_medium_brings_the_identity_home(kind: vault.MediumKind) -> None:
    board = plain_board(kind)
    exploiter = reach(board)
    evidence = ReadMedium(kind).fire(exploiter)
    stolen = exploiter.loot.identity
    assert stolen is not None and stolen.key.private_numbers() == DEVICE_KEY.private_numbers()
    assert stolen.certificate == DEVICE and {each.certificate for each in exploiter.loot.certificates} == {CA, DEVICE}
    where = {vault.SD: "sdcard:/CREDS/DEVICE.KEY", vault.EEPROM: "eeprom"}
    assert exploiter.loot.keys[0].where == where[kind] and len(exploiter.loot.keys) == 1
    assert evidence[-1].received == exploiter.medium(kind).image and "PRIVATE" not in repr(exploiter.loot)


def test_a_wiped_medium_yields_nothing_and_a_deleted_file_does() -> None:
    exploiter = reach(plain_board(vault.SD))
    DamageMedium(vault.SD, Damage.FILE).fire(exploiter)
    assert "/CREDS/DEVICE.KEY" not in exploiter.board.sd.files()
    ReadMedium(vault.SD).fire(exploiter)
    assert exploiter.loot.identity is not None and exploiter.loot.keys[0].where == "sdcard"
    fresh = reach(plain_board(vault.SD))
    (wiped,) = DamageMedium(vault.SD, Damage.WIPE).fire(fresh)
    assert wiped.changed and not wiped.after.strip(b"\0")
    ReadMedium(vault.SD).fire(fresh)
    assert fresh.loot.identity is None
    (pulled,) = DamageMedium(vault.SD, Damage.PULL).fire(fresh)
    assert not fresh.board.sd.present and pulled.after == b""


@pytest.mark.parametrize("kind", [vault.SD, vault.EEPROM])
@pytest.mark.parametrize("blank", [False, True])
def test_a_rogue_anchor_is_planted_on_both_media_full_or_blank(kind: vault.MediumKind, blank: bool) -> None:
    exploiter = reach(Board(FakeEngine()) if blank else plain_board(kind))
    anchor = ROGUE.root.certificate_der
    evidence = ReplaceTrustAnchor(kind)._plant(exploiter, anchor)
    assert evidence.changed
    if kind is vault.EEPROM or not blank:  # a blank card gets the one file, which is looked at below
        entries = vault.PLAIN.read(kind, exploiter.medium(kind))
        assert [value for tag, value in entries if tag == Tag.TRUST_ANCHOR] == [anchor]
    if not blank:
        assert (Tag.DEVICE_PRIVATE_KEY, CREDENTIALS.private_key) in entries
    if kind is vault.SD:
        pem = ROGUE.root.certificate.public_bytes(serialization.Encoding.PEM)
        assert exploiter.board.sd.read_file("/CREDS/ROOTCA.CRT") == pem == evidence.after
        assert evidence.before == (b"" if blank else CA_PEM)
    else:
        assert decode_record(exploiter.board.eeprom.image, EEPROM_MAGIC) == entries


@pytest.mark.parametrize("kind", [vault.SD, vault.EEPROM])
@pytest.mark.parametrize("how", [each for each in Change if each is not Change.EACH])  # that one needs a firmware
def test_a_changed_record_is_changed_where_it_counts(kind: vault.MediumKind, how: Change) -> None:
    exploiter = reach(plain_board(kind))
    before = exploiter.medium(kind).image
    (evidence,) = ChangeRecord(kind, how).fire(exploiter)
    after = exploiter.medium(kind).image
    assert evidence.changed and before != after
    if how is not Change.TRUNCATE and kind is vault.SD:
        assert sum(a != b for a, b in zip(evidence.before, evidence.after, strict=True)) == 1
        assert sum(a != b for a, b in zip(before, after, strict=True)) >= 1
    with pytest.raises(AttackFailed, match=kind.device):
        ChangeRecord(kind, how).fire(reach(Board(FakeEngine())))


# buses -------------------------------------------------------------------------------------------------------------
def read_transfer(command: int, address: int, blocks: list[bytes], time_ns: int = 0) -> Transfer:
    """A block read as it looks on the wires: command, R1 after one byte, token after four, data, CRC."""
    mosi = bytes([0x40 | command]) + address.to_bytes(4, "big") + b"\xFF"
    miso = b"\xFF" * 7 + b"\x00"
    for data in blocks:
        miso += b"\xFF" * 4 + b"\xFE" + data + b"\xAB\xCD"
    mosi = mosi.ljust(len(miso), b"\xFF")
    if command == 18:
        mosi += b"\x4C\0\0\0\0\xFF" + b"\xFF" * 3
        miso += b"\xFF" * 6 + b"\x7F\x00\x00"
    return Transfer("spi1", time_ns, mosi, miso)


def ocr_transfer(ccs: bool) -> Transfer:
    return Transfer("spi1", 0, b"\x7A\0\0\0\0\xFD" + b"\xFF" * 6,
                    b"\xFF" * 7 + bytes([0, 0xC0 if ccs else 0x80, 0xFF, 0x80, 0x00])[:5])


def test_sd_blocks_are_rebuilt_from_the_wires():
    block = [bytes([n]) * 512 for n in range(0x40, 0x46)]  # values that look like commands
    write = Transfer("spi1", 9, b"\x58" + (7).to_bytes(4, "big") + b"\xFF\xFF\xFF\xFE" + block[5] + b"\x12\x34\xFF",
                     b"\xFF" * 524)
    recording = [ocr_transfer(True), read_transfer(17, 5, block[:1], 1), read_transfer(18, 6, block[1:4], 2), write]
    assert wire.sd_blocks(recording) == [
        wire.SeenBlock(1, 5, block[0], False), wire.SeenBlock(2, 6, block[1], False),
        wire.SeenBlock(2, 7, block[2], False), wire.SeenBlock(2, 8, block[3], False),
        wire.SeenBlock(9, 7, block[5], True)]
    in_bytes = [read_transfer(17, 1024, block[:1]), read_transfer(18, 2048, block[1:3])]
    assert [seen.block for seen in wire.sd_blocks(in_bytes)] == [2, 4, 5]
    assert [seen.block for seen in wire.sd_blocks([ocr_transfer(False), *in_bytes])] == [2, 4, 5]
    assert [seen.block for seen in wire.sd_blocks(in_bytes, high_capacity=True)] == [1024, 2048, 2049]
    assert wire.sd_blocks([Transfer("spi1", 0, each.mosi[:300], each.miso[:300]) for each in in_bytes]) == []


def sniffed(reads: Iterable[Transfer]) -> Loot:
    loot = Loot()
    for content in wire.rebuild(reads):
        loot.search(content.data, content.place)
    return loot


def test_credentials_are_sniffed_from_sd_reads_in_any_order():
    image = fat.make_volume(8 << 20, plain.files(CREDENTIALS.entries()))
    numbers = [number for number in range(len(image) // 512) if any(image[number * 512:number * 512 + 512])]
    reads = [read_transfer(17, number * 512, [image[number * 512:number * 512 + 512]]) for number in numbers]
    stolen = sniffed(reversed(reads)).identity
    assert stolen is not None and stolen.key.private_numbers() == DEVICE_KEY.private_numbers()
    assert sniffed(read for read in reads if b"PRIVATE" not in read.miso).identity is None


@pytest.mark.parametrize("repeated_start", ["s", "Sr"])
def test_credentials_are_sniffed_from_eeprom_reads(repeated_start):
    record = plain.record(CREDENTIALS.entries())
    reads = []
    for at_byte in range(0, len(record), 100):
        piece = " ".join(f"{value:02X}+" for value in record[at_byte:at_byte + 100])
        reads.append(Transfer("i2c1", at_byte, text=f"S A0+ {at_byte >> 8:02X}+ {at_byte & 255:02X}+ "
                                                    f"{repeated_start} A1+ {piece[:-1]}- P"))
    content = wire.eeprom_content(reads)
    assert bytes(content[address] for address in range(len(record))) == record and len(content) == len(record)
    loot = sniffed(reads)
    assert loot.identity is not None and {each.certificate for each in loot.certificates} == {CA, DEVICE}
    assert sniffed(reads[1:]).identity is not None  # only the magic and an anchor are missing
    assert wire.rebuild([]) == []


def test_eeprom_writes_polls_and_current_address_reads():
    recording = [Transfer("i2c1", 0, text=text) for text in (
        "S A0+ 00+ 3E+ 11+ 22+ 33+ P",  # wraps within its page: 0x3E, 0x3F, 0x00
        "S A0- P", "S A0- s A0- P", "S 3C+ 55+ 66+ 77+ P",  # polling, and somebody else's address
        "S A0+ 7F+ FE+ s A1+ 01+ 02+ 03- P", "S A1+ 04- P")]
    assert wire.eeprom_content(recording) == {0x3E: 0x11, 0x3F: 0x22, 0: 3, 1: 4, 0x7FFE: 1, 0x7FFF: 2}


# debug port --------------------------------------------------------------------------------------------------------
def test_what_the_debug_port_yields_at_each_level() -> None:
    engine = FakeEngine()
    provision(engine, PROVISIONING)
    scalar = DEVICE_KEY.private_numbers().private_value.to_bytes(32, "little")
    engine.memory[chip_map.CCM.start][0x800:0x820] = scalar
    engine.memory[chip_map.SRAM.start][0x100:0x100 + len(der(DEVICE))] = der(DEVICE)

    def found(memory: Memory) -> set[tuple[str, str]]:
        exploiter = reach(Board(engine))
        DumpMemory(memory).fire(exploiter)
        return {(key.where.split()[0], key.form) for key in exploiter.loot.keys}

    assert found(Memory.FLASH) == {("flash", "sec1")} or found(Memory.FLASH) == {("flash", "pkcs8")}
    assert found(Memory.RAM) == {("ccm", "scalar")}, "its certificate lies in the other RAM"
    engine.port.set_rdp(1)
    assert found(Memory.FLASH) == set() and found(Memory.RAM) == {("ccm", "scalar")}
    engine.memory[chip_map.SRAM.start][0x100:0x110] = bytes(16)
    assert found(Memory.RAM) == set(), "without a certificate nobody can tell which bytes are a key"
    exploiter = reach(Board(engine))
    (evidence,) = DumpMemory(Memory.FLASH).fire(exploiter)
    assert evidence.detail.startswith("refused") and evidence.sent and not evidence.received
    LowerProtection(Lowering.LEVEL_0).fire(exploiter)
    assert engine.port.rdp_level == 0 and found(Memory.FLASH) == set()
    engine.port.set_rdp(2)
    (refused,) = LowerProtection(Lowering.LEVEL_0).fire(exploiter)
    assert refused.detail.startswith("refused") and engine.port.rdp_level == 2
    assert [each.what for each in exploiter.debug_port.requests] == ["read", "set-rdp", "set-rdp"]


# network -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("attack", [CloneIdentity(), ReturnAfterDeactivation(Who.THIEF), ExceedRights(Who.THIEF)])
def test_who_has_found_no_key_cannot_be_the_device(attack: Attack) -> None:
    with pytest.raises(AttackFailed, match="no private key"):
        attack.fire(reach(Board(FakeEngine())))


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real broker that demands client certificates of our CA; yields its port."""
    if PROGRAM is None:
        pytest.skip("the judge 'mosquitto' is not installed")
    folder: Path = tmp_path_factory.mktemp("mosquitto")
    # one certificate serves as server and CA; the device's is trusted by itself
    (folder / "server.crt").write_bytes(CA_PEM)
    (folder / "server.key").write_bytes(key_bytes(CA_KEY))
    (folder / "ca.pem").write_bytes(DEVICE.public_bytes(serialization.Encoding.PEM))
    (folder / "acl").write_text("topic readwrite allowed/#\n")
    with running(folder, "allow_anonymous true", f"acl_file {folder}/acl") as server:
        yield server.port


@pytest.mark.parametrize("stolen", [True, False])
def test_what_was_stolen_lets_an_ordinary_client_into_a_real_broker(mosquitto: int, tmp_path: Path,
                                                                    stolen: bool) -> None:
    exploiter = reach(plain_board(vault.SD))
    ReadMedium(vault.SD).fire(exploiter)
    identity = exploiter.loot.identity
    assert identity is not None
    for name, content in (("ca", CA_PEM), ("crt", identity.chain_pem), ("key", identity.key_pem)):
        (tmp_path / name).write_bytes(content)
    credentials = ["--cert", tmp_path / "crt", "--key", tmp_path / "key"] if stolen else []
    done = subprocess.run([str(shutil.which("mosquitto_pub")), "-h", "127.0.0.1", "-p", str(mosquitto), "--insecure",
                           "--cafile", tmp_path / "ca", *credentials, "-i", "thing-1", "-t", "allowed/x", "-m", "x",
                           "-q", "1"], capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) is stolen, done.stderr
