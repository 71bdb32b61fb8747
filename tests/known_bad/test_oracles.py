# SPDX-License-Identifier: Apache-2.0
"""Each oracle in a world where what it vouches for is not so."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice, product
from pathlib import Path

import pytest
from robot.result import TestSuite as ResultSuite
from robot.running import TestSuite as RunningSuite

from offchip import chip_map
from offchip.attacks.client import CloneIdentity, Forgery
from offchip.attacks.debug import DumpMemory, Lowering, LowerProtection, Memory
from offchip.attacks.medium import ReadMedium
from offchip.attacks.reach import ADDRESS
from offchip.attacks.rogue import Visit
from offchip.broker import events
from offchip.broker.processor import Telemetry
from offchip.engines.embedded.peripherals.rng import SplitMix64
from offchip.engines.protocol import Diagnostic, Transfer
from offchip.errors import BoardError
from offchip.evidence import Evidence
from offchip.paths import FIRMWARE, ROOT
from offchip.pki import Identity
from offchip.report.record import Verdict
from offchip.scene import Device, Scene
from offchip.scene.cost import Cost
from offchip.scene.secrets import Secret
from offchip.scene.seeds import chip_noise
from offchip.scene.witness import DebugRequest
from offchip.vault import EEPROM, PLAIN, SD, Chip, Chunk, scheme
from offchip.vault.counters import Counters
from offchip.vault.vaulted import Vaulted
from OffchipLibrary import OffchipLibrary, cost_oracle
from OffchipLibrary.console_lines import LINES, is_specified
from OffchipLibrary.cost_oracle import CostOracleKeywords
from OffchipLibrary.lab import Mark
from tests.known_bad.worlds import World, dead, fails

WAITING = "state: waiting reason=tls retry_ms={}"
REFUSED = "tls: refused reason=expired"


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(*tags: str, elf: Path | None = None, **options: object) -> World:
        made.append(World(*tags, **({"elf": elf} if elf else {})))
        return made[-1].given(**options)

    yield make
    for each in made:
        each.lab.close()


Make = Callable[..., World]


# console -----------------------------------------------------------------------------------------------------------
@fails("Console Should Show", "Device Should Wait With Reason")
def test_a_dead_device_shows_nothing(world: Make, tmp_path: Path) -> None:
    bad = world(elf=dead(tmp_path))
    bad.lab.board.power_on()
    with pytest.raises(BoardError, match="did not happen"):
        bad.device.console_should_show("^boot: ", timeout=1)
    bad.say(WAITING.format(5))
    with pytest.raises(BoardError, match="did not happen"):
        bad.device.device_should_wait_with_reason("mqtt", timeout=1)


@fails("Console Should Never Have Shown")
def test_a_console_that_showed_it_or_showed_nothing(world: Make) -> None:
    bad = world()
    with pytest.raises(AssertionError, match="nothing at all"):
        bad.device.console_should_never_have_shown("secret")
    bad.say("boot: offchip", "a secret")
    with pytest.raises(AssertionError, match="showed 'a secret'"):
        bad.device.console_should_never_have_shown("secret")
    bad.device.console_should_never_have_shown("passphrase")


def test_the_lines_that_the_specification_lists() -> None:
    samples = {"<version>": ["0.1.0"], "<ISO 8601 UTC>": ["2026-05-01T00:00:00Z"], "<number>": ["48"], "<q>": ["1"],
               "<first 8 hex of SHA-256 of DER>": ["0123abcd"], "<reason>": ["timeout", "memory", "key-mismatch"]}

    def filled(place: str) -> list[str]:
        """What may stand there; of a place with alternatives each must be known, else one of them."""
        if "~" in place:
            return [each.replace("N", "5") for each in place[1:-1].split("~")]
        return samples.get(place, ["5", "word"]) if place.startswith("<") else [place]

    section = (ROOT / "SPEC.md").read_text(encoding="utf-8").partition("## 6. ")[2].partition("\n## ")[0]
    listed = [line for row in section.splitlines() if row.startswith("| `")
              for line in re.findall(r"`([a-z]+: [^`]*)`", row.replace("\\|", "~").split("|")[1])]
    assert len(listed) > 35 and {line.partition(":")[0] for line in listed} == set(LINES)
    for line in listed:
        parts = re.findall("<[^>]*>|[^<]+", line)
        lines = ["".join(chosen) for chosen in product(*map(filled, parts))]
        wanted = len(filled(next((each for each in parts if "~" in each), "")))
        assert sum(map(is_specified, lines)) >= wanted, lines


@fails("Console Should Have Said Only What Is Specified")
@pytest.mark.parametrize("line", [
    "debug: d=9154318465165", "hall: closed 7", "mqtt: published topic=offchip/feed seq=1 qos=0 key=ab",
    "credentials: ok source=internal certificate=0123456789", "state: waiting reason=tls retry_ms=5;", "aabbccdd",
    "state: fault reason=hard-fault pc=0800414e cfsr=00000000 r0=20000000", "key abcdboot: offchip 1.0.0 reset=pin",
    "debug: 5boot: offchip 1.0.0 reset=pin", "hall: boot: offchip 1.0 reset=pin"])
def test_a_console_that_says_what_nobody_knows(world: Make, line: str) -> None:
    for board in range(2):
        bad = world()
        bad.lab.scene.build("thing-2", bad.lab.device.defence, engine=bad.lab.engine, elf=bad.lab.elf)
        known = ["boot: offchip 0.1.0 reset=power-on", "", "hall: clboot: offchip 0.1.0 reset=software",
                 "haboot: offboot: offchip 0.1.0 reset=pin", "hall: closed"]
        bad.say(*known, board=bad.lab.scene.devices[board].board)
        bad.device.console_should_have_said_only_what_is_specified()
        bad.say(line, board=bad.lab.scene.devices[board].board)
        with pytest.raises(AssertionError, match="knows no line like"):
            bad.device.console_should_have_said_only_what_is_specified()


@fails("Device Should Stay Alive")
def test_one_line_is_no_life_and_a_restart_neither(world: Make, tmp_path: Path) -> None:
    bad = world(elf=dead(tmp_path))
    bad.lab.board.power_on()
    with pytest.raises(AssertionError, match="0 attempts"):
        bad.device.device_should_stay_alive(1)
    for lines, complaint in ((["state: waiting reason=tls retry_ms=5"], "1 attempts"),
                             (["hall: open"] * 9, "0 attempts"),
                             (["mqtt: published topic=a", "boot: offchip"], "restart")):
        bad.lab.board.on_slice.append(_once(bad, lines))
        with pytest.raises(AssertionError, match=complaint):
            bad.device.device_should_stay_alive(1)
    bad.lab.board.on_slice.append(_once(bad, ["mqtt: published topic=a"] * 2))
    bad.device.device_should_stay_alive(1)


def _once(bad: World, lines: list[str]) -> Callable[[int], None]:
    left = list(lines)

    def speak(now_ns: int) -> None:
        while left:
            bad.say(left.pop(0), at_ms=now_ns // 1_000_000)

    return speak


@fails("Device Should Fail Every Attempt")
@pytest.mark.parametrize(("change", "complaint"), [
    ((4, "tls: refused reason=host-name"), "attempt 5 failed without"),
    ((2, "mqtt: connected"), "came to a session"),
    ((4, "mqtt: published topic=a"), "came to a session"),
])
def test_an_attempt_that_is_not_like_the_first(world: Make, change: tuple[int, str], complaint: str) -> None:
    bad = world()
    lines = [[REFUSED, WAITING.format(5)] for _ in range(5)]
    lines[change[0]][0] = change[1]
    bad.say(*sum(lines, []))
    with pytest.raises(AssertionError, match=complaint):
        bad.device.device_should_fail_every_attempt("^tls: refused reason=expired", timeout=1)


@fails("Device Should Fail Every Attempt")
def test_four_attempts_are_not_five(world: Make) -> None:
    bad = world()
    bad.say(*[REFUSED, WAITING.format(5)] * 4)
    with pytest.raises(BoardError, match="5 failed attempts"):
        bad.device.device_should_fail_every_attempt("^tls: refused", timeout=1)
    bad.say(REFUSED, WAITING.format(5))
    bad.device.device_should_fail_every_attempt("^tls: refused", timeout=1)


@fails("Device Should Fail Every Attempt")
def test_an_attempt_behind_one_nobody_waited_for_is_not_watched_on(world: Make) -> None:
    bad = world()
    bad.say(REFUSED, "modem: ready", REFUSED)
    before = bad.lab.board.now_ns
    with pytest.raises(AssertionError, match="without a wait"):
        bad.device.device_should_fail_every_attempt("^tls: refused")
    assert bad.lab.board.now_ns == before


@fails("Device Should Publish")
def test_a_device_that_only_says_it_published(world: Make) -> None:
    bad = world()
    bad.say("mqtt: published topic=offchip/feed seq=1 qos=0")
    with pytest.raises(AssertionError, match="accepted 0"):
        bad.device.device_should_publish("offchip/feed", timeout=1)


@fails("Device Should Publish")
def test_one_round_is_not_two(world: Make) -> None:
    bad = world()
    for number in (1, 2):
        bad.say(f"mqtt: published topic=offchip/feed seq={number} qos=0")
        bad.lab.scene.broker.log(events.PublishAccepted("thing-1", "offchip/feed", b"", 0, 0))
        if number == 1:
            with pytest.raises(BoardError, match="did not happen"):
                bad.device.device_should_publish("offchip/feed", rounds=2, timeout=1)
    bad.say("mqtt: published topic=offchip/feed seq=3 qos=0")
    with pytest.raises(AssertionError, match="published 3 times on offchip/feed, the broker accepted 2"):
        bad.device.device_should_publish("offchip/feed", timeout=1)


@fails("Device Should Have Kept Its Back Off")
@pytest.mark.parametrize(("lines", "complaint"), [
    ([(0, WAITING.format(900)), (500, "modem: ready")], "came after"),
    ([(0, WAITING.format(900)), (885, "modem: ready")], "came after"),
    ([(0, "mqtt: closed"), (500, WAITING.format(900)), (1385, "modem: ready")], "came after"),
    ([(0, WAITING.format(1001))], "more than 1000 ms"),
    ([(0, WAITING.format(0))], "or none"),
    ([(0, WAITING.format(900)), (901, REFUSED), (902, WAITING.format(1900)), (1500, REFUSED)], "came after"),
    ([(0, WAITING.format(900)), (901, REFUSED), (902, WAITING.format(2001))], "more than 2000 ms"),
    ([(0, WAITING.format(900)), (100, "hall: open"), (200, "modem: ready")], "came after"),
    ([(0, REFUSED), (500, "hall: open"), (900, "credentials: ok source=sd certificate=00000000")], "without a wait"),
    ([(0, "mqtt: closed"), (900, "credentials: ok source=internal certificate=00000000")], "without a wait"),
    ([(0, "mqtt: refused code=5"), (9, "modem: ready")], "without a wait"),
    ([(0, "tls: alert 48 unknown_ca"), (9, "tls: connected version=TLSv1.3 suite=X")], "without a wait"),
    ([(0, "credentials: error key-mismatch"), (9, "credentials: error key-mismatch")], "without a wait"),
    ([(0, "clock: error no-time"), (9, "modem: ready")], "without a wait"),
    ([(0, "modem: error no-answer"), (9, "modem: ready")], "without a wait"),
])
def test_a_back_off_announced_and_not_kept(world: Make, lines: list[tuple[int, str]], complaint: str) -> None:
    bad = world()
    for at_ms, text in lines:
        bad.say(text, at_ms=at_ms)
    with pytest.raises(AssertionError, match=complaint):
        bad.device.device_should_have_kept_its_back_off()


def test_a_back_off_kept_or_cut_by_a_power_cycle(world: Make) -> None:
    good = world()
    good.say(WAITING.format(900), at_ms=0)
    good.say("modem: ready", WAITING.format(1900), at_ms=901)
    good.say("boot: offchip reset=power-on", at_ms=1000)
    good.say(WAITING.format(1000), at_ms=1100)
    good.say("tls: alert 48 unknown_ca", "mqtt: closed", WAITING.format(500), at_ms=2200)
    good.say("credentials: ok source=sd certificate=00000000", REFUSED, at_ms=2800)
    good.say("boot: offchip 0.1.0 reset=power-on", "modem: ready", at_ms=3000)
    good.say("storage: error no-card" + 77 * ".", at_ms=4010)  # printed from 4001 on, the next right behind it
    good.say(WAITING.format(900), at_ms=4013)
    good.say("modem: ready", at_ms=4903)
    good.device.device_should_have_kept_its_back_off()


@fails("Device Should Have Lost Its Session")
def test_a_session_lost_too_late_or_never(world: Make) -> None:
    bad = world()
    bad.say("mqtt: closed", at_ms=700)
    with pytest.raises(AssertionError, match="disconnected nobody"):
        bad.device.device_should_have_lost_its_session()
    bad.say("mqtt: closed", at_ms=700)
    bad.at_ms(100)
    bad.lab.scene.broker.log(events.Disconnected(events.DisconnectReason.FORBIDDEN_ACCESS, "thing-1"))
    with pytest.raises(AssertionError, match="after 600.0 ms"):
        bad.device.device_should_have_lost_its_session(within_ms=500)


@fails("Models Should Have No Complaints")
@pytest.mark.parametrize("kind", ["unmodelled", "violation", "fault", "lockup"])
def test_a_model_that_complains(world: Make, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    bad = world()
    monkeypatch.setattr(bad.lab.board, "diagnostics", lambda: [Diagnostic(kind, "spi1", "what", 0, 0)])
    with pytest.raises(AssertionError, match=kind):
        bad.device.models_should_have_no_complaints()


# secrets -----------------------------------------------------------------------------------------------------------
@fails("Console Should Have Shown No Secret")
@pytest.mark.parametrize("form", ["der", "pem", "sec1", "hex", "HEX", "0x", "base64", "scalar", "reversed", "half",
                                  "lines", "passphrase", "passphrase-hex", "ca"])
def test_a_console_that_shows_a_secret(world: Make, form: str) -> None:
    bad = world()
    identity = bad.lab.device.identity
    scalar = identity.key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    passphrase = bad.lab.device.provisioning.wifi_passphrase.encode()
    shown = {
        "der": identity.key_der, "pem": identity.key_pem, "sec1": identity.key_sec1_der,
        "hex": scalar.hex().encode(), "HEX": scalar.hex().upper().encode(),
        "0x": b", ".join(b"0x%02x" % value for value in scalar[::-1]), "base64": base64.b64encode(b"ab" + scalar),
        "scalar": scalar, "reversed": scalar[::-1], "half": scalar[7:23],
        "lines": b"\r\n".join(b"key: " + scalar[at:at + 16].hex().encode() for at in (0, 16)),
        "passphrase": b"modem: joined with " + passphrase, "passphrase-hex": passphrase.hex().encode(),
        "ca": bad.lab.scene.authority.root.key_pem}[form]
    bad.say("boot: offchip", "config: scheme=internal")
    bad.secret.console_should_have_shown_no_secret()
    for value in b"debug: " + shown + b"\r\n":
        bad.lab.board.console.feed(value, 0)
    with pytest.raises(AssertionError, match="the console of thing-1 showed"):
        bad.secret.console_should_have_shown_no_secret()


def leaks(bad: World) -> dict[str, bytes]:
    """Every secret, in one form each that a firmware may well spell it in."""
    identity = bad.lab.device.identity
    scalar = identity.key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    return {
        "der": identity.key_der, "pem": identity.key_pem, "hex": scalar.hex().upper().encode(),
        "base64": base64.b64encode(b"ab" + scalar), "scalar": scalar, "half": scalar[7:23],
        "passphrase": bad.lab.device.provisioning.wifi_passphrase.encode(), "secret": SECRET[::-1],
        "secret-hex": SECRET.hex().encode(), "ca": bad.lab.scene.authority.root.key_pem}


SECRET = hashlib.sha256(b"a device secret").digest()


def with_secret(bad: World) -> World:
    """The device has a secret of its own in the chip, whatever its scheme."""
    first = chip_map.sector(chip_map.VAULT_SECTORS[0]).start
    bad.lab.board.engine.program(first, Counters(SECRET).image())
    return bad


JOIN = b'AT+CWJAP="offchip","not-a-secret"\r\n'


@fails("Modem Line Should Have Carried No Secret")
@pytest.mark.parametrize("way", ["said_to_modem", "said_by_modem", "payloads"])
def test_a_modem_s_line_that_carries_a_secret(world: Make, way: str) -> None:
    bad = with_secret(world())
    board = bad.lab.board
    assert board.modem is not None
    board.said_to_modem += b"ATE0\r\n" + JOIN
    board.modem.payloads += bytes(range(256))
    bad.secret.modem_line_should_have_carried_no_secret()
    line = board.modem.payloads if way == "payloads" else getattr(board, way)
    complaint = "into the network thing-1 sent" if way == "payloads" else "line of thing-1 carried"
    for leak in leaks(bad).values():
        before = bytes(line)
        line += b"AT+CIPSNTPCFG=1,0," + leak + b"\r\n"
        with pytest.raises(AssertionError, match=complaint):
            bad.secret.modem_line_should_have_carried_no_secret()
        line[:] = before
    bad.secret.modem_line_should_have_carried_no_secret()


@fails("Modem Line Should Have Carried No Secret")
def test_only_the_command_that_joins_has_the_passphrase(world: Make) -> None:
    bad = world()
    line, modem = bad.lab.board.said_to_modem, bad.lab.board.modem
    assert modem is not None
    for clean in (JOIN, b"AT\r\n" + JOIN + JOIN, JOIN[:-5] + b"AT\r\n" + JOIN):  # a reset cut the last one
        line[:] = clean
        bad.secret.modem_line_should_have_carried_no_secret()
    for spilt in (b" " + JOIN, b"AT+" + JOIN, JOIN.replace(b"offchip", b"elsewhere"), JOIN.replace(b'"offchip",', b""),
                  JOIN.replace(b"not", b"not-a-secretnot"), JOIN.replace(b"CWJAP", b"CWSAP"),
                  JOIN.replace(b"\r\n", b',"not-a-secret"\r\n')):
        line[:] = spilt
        with pytest.raises(AssertionError, match="the Wi-Fi passphrase"):
            bad.secret.modem_line_should_have_carried_no_secret()
    line[:] = b""
    modem.payloads += JOIN  # sent into the network it is told to everybody
    with pytest.raises(AssertionError, match="the Wi-Fi passphrase"):
        bad.secret.modem_line_should_have_carried_no_secret()


@fails("Memory Should Hold No Key While The Device Waits")
@pytest.mark.parametrize("region", [chip_map.SRAM, chip_map.CCM], ids=["SRAM", "CCM"])
def test_a_key_in_memory(world: Make, region: chip_map.Region) -> None:
    bad = with_secret(world())
    engine = bad.lab.board.engine
    bad.lab.board.power_on()
    bad.secret.memory_should_hold_no_key_while_the_device_waits()
    at = region.end - 64
    for name in ("scalar", "half", "pem", "secret"):
        leak = leaks(bad)[name][:60] if name != "pem" else leaks(bad)[name][100:160]
        engine.write_memory(at, leak)
        with pytest.raises(AssertionError, match="the (private key|device secret) of thing-1"):
            bad.secret._find_keys(bad.lab.keys(), {"memory": region})
        engine.write_memory(at, bytes(60))
    engine.write_memory(at, leaks(bad)["scalar"][::-1])  # as the numbers of the TLS library lie there
    with pytest.raises(AssertionError, match="the private key of thing-1"):
        bad.secret.memory_should_hold_no_key_while_the_device_waits()


@fails("No Key Should Be Left Anywhere")
@pytest.mark.parametrize("where", ["flash", "SRAM", "CCM", "backup SRAM", "the backup registers",
                                   "sd", "eeprom"])
def test_a_key_that_is_left_behind(world: Make, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Of a device that has nothing in clear any more; the key of its secret is known from before."""
    bad = world()
    board, key = bad.lab.board, leaks(bad)["scalar"]
    bad.owner.note_what_is_secret()
    board.engine.program(chip_map.DATA.start, b"\xFF" * chip_map.DATA.size)
    bad.secret.no_key_should_be_left_anywhere()
    if where in ("sd", "eeprom"):
        (board.sd if where == "sd" else board.eeprom).write(512, key)
    elif where == "the backup registers":
        monkeypatch.setattr(board, "backup_registers", lambda: bytes(12) + key + bytes(36))
    else:
        region = {"flash": chip_map.DATA, "SRAM": chip_map.SRAM, "CCM": chip_map.CCM,
                  "backup SRAM": chip_map.BACKUP_SRAM}[where]
        board.engine.program(region.start + 256, key)
    with pytest.raises(AssertionError, match=f"(in {where}|on the {where} medium) lies the private key of thing-1"):
        bad.secret.no_key_should_be_left_anywhere()


@fails("What The Device Made Should Be Noise")
def test_a_secret_of_fewer_bits_than_it_seems(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = world(scheme=scheme("fresh"), medium=EEPROM)
    noise = b"".join(word.to_bytes(4, "little") for word in islice(iter(SplitMix64(chip_noise(
        bad.lab.scene.seed, 0)).next_word, None), 3000))
    monkeypatch.setattr(Device, "kept", lambda device: device.identity)
    with pytest.raises(AssertionError, match="has made neither"):
        bad.secret.what_the_device_made_should_be_noise()
    for secret, good in ((noise[9000:9032], True), (noise[9000:9016] * 2, False), (bytes(range(32)), False)):
        monkeypatch.setattr(Device, "secrets", lambda device, secret=secret: {secret})
        with nullcontext() if good else pytest.raises(AssertionError, match="the device secret is no part"):
            bad.secret.what_the_device_made_should_be_noise()


@fails("Nothing That Was Given Up Should Be Left")
@pytest.mark.parametrize("where", ["flash", "CCM", "the backup registers", "eeprom"])
def test_a_key_that_was_given_up_and_is_still_there(world: Make, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    bad = world()
    board, key = bad.lab.board, leaks(bad)["scalar"]
    with pytest.raises(AssertionError, match="nothing was noted"):
        bad.secret.nothing_that_was_given_up_should_be_left()
    bad.owner.note_what_is_secret()
    board.engine.program(chip_map.DATA.start, b"\xFF" * chip_map.DATA.size)
    bad.secret.nothing_that_was_given_up_should_be_left()
    if where == "eeprom":
        board.eeprom.write(512, key)
    elif where == "the backup registers":
        monkeypatch.setattr(board, "backup_registers", lambda: bytes(12) + key + bytes(36))
    else:
        board.engine.program({"flash": chip_map.DATA, "CCM": chip_map.CCM}[where].start + 256, key)
    with pytest.raises(AssertionError, match=f"(in {where}|on the {where} medium) lies the private key of thing-1"):
        bad.secret.nothing_that_was_given_up_should_be_left()


@fails("No Nonce Should Have Served Twice")
def test_one_nonce_for_two_contents(world: Make) -> None:
    """Two records of one number under one secret, one of them on a copy that was kept or on a bus alone; or one that no
    secret opens.
    """
    bad = world(scheme=scheme("fresh"), medium=EEPROM)
    lab, fresh = bad.lab, bad.lab.device.defence.scheme
    assert isinstance(fresh, Vaulted)
    sealer = fresh.sealer(Chip(bytes(range(32)), bytes(12)))
    lab.noted = [Secret.of_bytes("the device secret of thing-1", bytes(range(32)))]
    one, other = (sealer.seal(Chunk.DEVICE_KEY, 1, 7, 0, b"\x40\x00\x30" + bytes([n]) * 63) for n in (1, 2))
    later = sealer.seal(Chunk.DEVICE_KEY, 2, 8, 1, b"\x40\x00\x30" + bytes(63))
    lab.board.eeprom.write(0, one)
    lab.copies["eeprom"] = one + later
    bad.nonce.no_nonce_should_have_served_twice(at_least=2)
    with pytest.raises(AssertionError, match="there were 2 seals, not 3"):
        bad.nonce.no_nonce_should_have_served_twice(at_least=3)
    page = " ".join(f"{value:02X}+" for value in other[:64])
    block = bytes((0x40 | 24, 0, 0, 0, 0, 1, 0xFF, 0xFE)) + other.ljust(512, b"\xFF") + bytes(2)  # CMD24, token, CRC
    for kind, crossed in (("eeprom", Transfer("i2c1", 1, text=f"S A0+ 00+ 00+ {page} P")),
                          ("sd", Transfer("spi1", 1, block, bytes(len(block))))):
        lab._heard[kind] = [crossed]
        with pytest.raises(AssertionError, match="1 nonces served two contents"):
            bad.nonce.no_nonce_should_have_served_twice(at_least=2)
        lab._heard.clear()
    lab.copies["eeprom"] = other + later
    with pytest.raises(AssertionError, match="1 nonces served two contents"):
        bad.nonce.no_nonce_should_have_served_twice(at_least=2)
    lab.noted = [Secret.of_bytes("the device secret of thing-1", bytes(32))]
    with pytest.raises(AssertionError, match="no secret that is known"):
        bad.nonce.no_nonce_should_have_served_twice(at_least=2)


@fails("Servers Should Have Been Told No Secret")
@pytest.mark.parametrize("where", ["client id", "topic", "payload", "basic ingest", "rogue client", "rogue payload"])
def test_a_server_that_was_told_a_secret(world: Make, where: str) -> None:
    bad = with_secret(world())
    reach, broker = bad.lab.reach, bad.lab.scene.broker
    rogue = reach.answer_as_server(reach.authority.issue_server([reach.host]))
    for leak in leaks(bad).values():
        text = leak.decode() if leak.isascii() else leak.hex()
        rogue.visits[:] = [Visit(b"hello", None, "thing-1", [("offchip/feed", b"{}")])]
        broker.events.clear()
        broker.log(events.PublishAccepted("thing-1", "offchip/feed", b"{}", 0, 0))
        bad.secret.servers_should_have_been_told_no_secret()
        if where == "rogue client":
            rogue.visits.append(Visit(client=text))
        elif where == "rogue payload":
            rogue.visits.append(Visit(messages=[("offchip/feed", leak)]))
        else:
            broker.log({"client id": events.ConnectRefused(None, "policy", text),
                        "topic": events.PublishForbidden("thing-1", text, "iot:Publish"),
                        "payload": events.PublishAccepted("thing-1", "offchip/feed", leak, 0, 0),
                        "basic ingest": events.RuleInvoked("thing-1", "rule", "$aws/rules/rule", leak)}[where])
        with pytest.raises(AssertionError, match="the attacker's server was told" if where.startswith("rogue")
                           else "the broker was told"):
            bad.secret.servers_should_have_been_told_no_secret()


@fails("Secrets Should Be Only Where The Scheme Puts Them")
def test_a_scheme_in_clear_does_not_allow_other_secrets(world: Make) -> None:
    bad = with_secret(world(scheme=PLAIN, medium=SD))
    found = leaks(bad)
    for form in ("passphrase", "secret", "secret-hex", "ca"):
        bad.lab.board.sd.write(bad.lab.board.sd.size - 4096, bytes(512))
        bad.secret.secrets_should_be_only_where_the_scheme_puts_them()
        bad.lab.board.sd.write(bad.lab.board.sd.size - 4096, found[form])
        with pytest.raises(AssertionError, match="plain forbids it"):
            bad.secret.secrets_should_be_only_where_the_scheme_puts_them()


@fails("Secrets Should Be Only Where The Scheme Puts Them")
@pytest.mark.parametrize("kind", [SD, EEPROM])
@pytest.mark.parametrize("form", ["pem", "der", "reversed"])
def test_a_key_on_a_medium_that_may_not_have_it(world: Make, kind: object, form: str) -> None:
    bad = world()
    identity = bad.lab.device.identity
    bad.secret.secrets_should_be_only_where_the_scheme_puts_them()
    content = {"pem": identity.key_pem, "der": identity.key_der, "reversed": identity.key_der[36:68][::-1]}[form]
    bad.lab.reach.medium(kind).write(5000, content)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="internal forbids it"):
        bad.secret.secrets_should_be_only_where_the_scheme_puts_them()


@fails("Secrets Should Be Only Where The Scheme Puts Them")
def test_a_key_on_a_bus_that_may_not_have_it(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = world(scheme=PLAIN, medium=SD)
    bad.secret.secrets_should_be_only_where_the_scheme_puts_them()
    written = " ".join(f"{value:02X}+" for value in bad.lab.device.identity.key_der)
    tap = bad.lab.board.i2c_tap
    monkeypatch.setattr(tap, "drain", lambda: [Transfer("i2c1", 1, text=f"S A0+ 00+ 00+ Sr A1+ {written} P")])
    with pytest.raises(AssertionError, match="eeprom bus"):
        bad.secret.secrets_should_be_only_where_the_scheme_puts_them()


@fails("The Run Should Be Clean")
def test_a_run_that_is_not_clean(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="is about A09 and has no verdict"):
        world("A09").secret.the_run_should_be_clean()
    with pytest.raises(AssertionError, match="tagged A01, A02"):
        world("A01", "A02").secret.the_run_should_be_clean()
    for keyword in ("models_should_have_no_complaints", "device_should_have_kept_its_back_off"):
        with monkeypatch.context() as patch, pytest.raises(AssertionError, match=keyword):
            patch.setattr(f"OffchipLibrary.secret_oracle.DeviceOracleKeywords.{keyword}", _refuse(keyword))
            world().secret.the_run_should_be_clean()
    bad = world()
    bad.say(bad.lab.device.provisioning.wifi_passphrase)
    with pytest.raises(AssertionError, match="passphrase"):
        bad.secret.the_run_should_be_clean()
    bad = world()
    bad.lab.board.said_to_modem += b"AT+GMR\r\n" + bad.lab.device.identity.key_pem
    with pytest.raises(AssertionError, match="line of thing-1 carried"):
        bad.secret.the_run_should_be_clean()
    bad = world()
    bad.lab.scene.broker.log(events.PublishAccepted("thing-1", "t", bad.lab.device.identity.key_der, 0, 0))
    with pytest.raises(AssertionError, match="the broker was told"):
        bad.secret.the_run_should_be_clean()
    bad = world()
    bad.lab.board.eeprom.write(0, bad.lab.device.identity.key_der)
    with pytest.raises(AssertionError, match="forbids"):
        bad.secret.the_run_should_be_clean()
    bad = world()
    bad.say("debug: 42")
    with pytest.raises(AssertionError, match="knows no line like"):
        bad.secret.the_run_should_be_clean()
    world().secret.the_run_should_be_clean()


def test_a_test_that_only_the_common_check_fails() -> None:
    library = OffchipLibrary()
    data, result = RunningSuite("s").tests.create("t"), ResultSuite("s").tests.create("t")
    library.start_test(data, result)
    assert data.teardown.name == "The Run Should Be Clean"
    library.lab.record.proven = True
    library.end_test(data, result)  # it has not passed
    assert not library.lab.record.proven


@pytest.mark.parametrize(("console", "status"), [("hall: closed", "PASS"), ("not-a-secret", "FAIL")])
def test_a_teardown_of_the_test_s_own_does_not_replace_the_common_check(console: str, status: str) -> None:
    library = OffchipLibrary()
    data, result = RunningSuite("s").tests.create("t"), ResultSuite("s").tests.create("t")
    data.teardown.config(name="No Operation")
    library.start_test(data, result)
    assert data.teardown.name == "No Operation"
    library.run_keyword("given_a_device", [], {})
    for value in console.encode() + b"\r\n":
        library.lab.board.console.feed(value, 0)
    result.status = "PASS"
    library.end_test(data, result)
    assert result.status == status and library.lab.record.proven == (status == "PASS")


def test_a_second_test_of_a_library_begins_anew(world: Make) -> None:
    bad = world("A01", "A02")
    bad.lab.begun, bad.lab.owner_acted_ns = Mark(5, 6, 7), 8
    bad.lab.record.add_evidence([Evidence("A03", "read", "sdcard", 0, received=b"x")])
    bad.lab.saw("something")
    bad.lab.start("known bad", "the next one", ["A03"])
    assert bad.lab.begun == Mark() and bad.lab.problem == "" and vars(bad.lab)["owner_acted_ns"] is None
    assert (bad.lab.record.attack, bad.lab.record.fired, bad.lab.record.observations) == ("A03", [], [])


def test_every_device_of_a_scene_has_its_secrets(world: Make) -> None:
    bad = world()
    other = bad.lab.scene.build("thing-2", elf=FIRMWARE, wifi_passphrase="another-passphrase")
    other.board.console.raw.extend(b"another-passphrase")
    with pytest.raises(AssertionError, match="the console of thing-2 showed the Wi-Fi passphrase of thing-2"):
        bad.secret.console_should_have_shown_no_secret()
    other.board.console.raw[:] = other.identity.key_pem
    with pytest.raises(AssertionError, match="the console of thing-2 showed the private key of thing-2"):
        bad.secret.console_should_have_shown_no_secret()


def _refuse(text: str) -> Callable[..., None]:
    def keyword(*arguments: object) -> None:
        raise AssertionError(text)
    return keyword


# server ------------------------------------------------------------------------------------------------------------
@fails("Broker Should Have Sent Alert", "Broker Should Have Refused The Certificate",
       "Broker Should Have Refused The Connect")
def test_what_the_broker_did_before_the_attack_does_not_count(world: Make) -> None:
    bad = world("A01")
    log = bad.lab.scene.broker.log

    def happens() -> None:
        log(events.TlsAlert("sent", 48, "unknown_ca"))
        log(events.TlsAlert("received", 42, "bad_certificate"))
        log(events.CertificateRefused("status INACTIVE", "c"))
        log(events.ConnectRefused(None, "policy", "thing-2"))

    happens()
    bad.fire(ReadMedium(SD))
    for _ in range(2):
        with pytest.raises(AssertionError, match="did not send alert"):
            bad.server.broker_should_have_sent_alert(42, "bad_certificate")
        for times in (1, 2):
            with pytest.raises(AssertionError, match="were refused with 'INACTIVE'"):
                bad.server.broker_should_have_refused_the_certificate("INACTIVE", times)
            with pytest.raises(AssertionError, match="CONNECTs of thing-2"):
                bad.server.broker_should_have_refused_the_connect("thing-2", times)
        with pytest.raises(AssertionError, match="did not send alert"):
            bad.server.broker_should_have_sent_alert(48, "unknown_ca")
    happens()
    bad.server.broker_should_have_sent_alert(48, "unknown_ca")
    bad.server.broker_should_have_refused_the_certificate("INACTIVE")
    bad.server.broker_should_have_refused_the_connect("thing-2")
    with pytest.raises(AssertionError, match="1 certificates"):
        bad.server.broker_should_have_refused_the_certificate("INACTIVE", 2)


@fails("Broker Should Have Disconnected")
def test_a_session_that_went_on_for_a_while(world: Make) -> None:
    bad = world()
    log, reason = bad.lab.scene.broker.log, events.DisconnectReason.FORBIDDEN_ACCESS
    with pytest.raises(AssertionError, match="0 sessions of thing-1 ended"):
        bad.server.broker_should_have_disconnected("thing-1", reason)
    log(events.PublishForbidden("thing-1", "offchip/third", "iot:Publish"), 7)
    bad.at_ms(250)
    log(events.Disconnected(reason, "thing-1"), 7)
    with pytest.raises(AssertionError, match="after 250.0 ms, not 100"):
        bad.server.broker_should_have_disconnected("thing-1", reason)
    with pytest.raises(AssertionError, match="0 sessions of thing-1 ended"):
        bad.server.broker_should_have_disconnected("thing-1", events.DisconnectReason.AUTH_ERROR)
    bad.server.broker_should_have_disconnected("thing-1", reason, within_ms=250)
    # neither one session where there should be two, nor a quick one behind a slow one
    with pytest.raises(AssertionError, match="1 sessions of thing-1 ended with FORBIDDEN_ACCESS, not 2"):
        bad.server.broker_should_have_disconnected("thing-1", reason, within_ms=250, times=2)
    log(events.PublishForbidden("thing-1", "offchip/third", "iot:Publish"), 8)
    log(events.Disconnected(reason, "thing-1"), 8)
    bad.server.broker_should_have_disconnected("thing-1", reason, within_ms=250, times=2)
    with pytest.raises(AssertionError, match="after 250.0 ms, not 100"):
        bad.server.broker_should_have_disconnected("thing-1", reason, times=2)


@fails("Broker Should Have Refused To Enrol")
def test_a_claim_that_enrols_anybody(world: Make) -> None:
    bad = world()
    with pytest.raises(AssertionError, match="thing-2: 0 denied, 0 granted"):
        bad.server.broker_should_have_refused_to_enrol("thing-2")
    bad.lab.scene.world.provisioning.hook = None
    bad.owner.enrol_with_the_claim_as("thing-2")
    with pytest.raises(AssertionError, match="thing-2: 0 denied, 1 granted"):
        bad.server.broker_should_have_refused_to_enrol("thing-2")
    log = bad.lab.scene.broker.log
    log(events.ProvisioningRefused("thing-1", "t", "InvalidCertificateOwnershipToken", "it is not known"))
    with pytest.raises(AssertionError, match="thing-3: 0 denied, 0 granted"):
        bad.server.broker_should_have_refused_to_enrol("thing-3")
    log(events.ProvisioningRefused("thing-1", "t", "AccessDenied", "the hook says no"))
    bad.server.broker_should_have_refused_to_enrol("thing-3")
    with pytest.raises(AssertionError, match="thing-2: 1 denied, 1 granted"):
        bad.server.broker_should_have_refused_to_enrol("thing-2")


@fails("Broker Should Have Forbidden Publishing", "Broker Should Have Forbidden Subscribing")
def test_a_request_that_was_forbidden_once_and_allowed_once(world: Make) -> None:
    bad = world()
    log = bad.lab.scene.broker.log
    for _ in range(2):
        with pytest.raises(AssertionError, match="forbidden, "):
            bad.server.broker_should_have_forbidden_publishing("offchip/third")
        with pytest.raises(AssertionError, match="forbidden, "):
            bad.server.broker_should_have_forbidden_subscribing("offchip/#")
        log(events.PublishForbidden("thing-1", "offchip/third", "iot:Publish"))
        log(events.SubscribeForbidden("thing-1", "offchip/#"))
        log(events.PublishAccepted("thing-1", "offchip/third", b"", 0, 0))
        log(events.SubscribeAccepted("thing-1", "offchip/#", 1))


@fails("Broker Should Never Have Connected", "Broker Should Have Sessions")
def test_a_session_that_should_not_be(world: Make) -> None:
    bad = world()
    bad.lab.scene.broker.log(events.Connected("thing-1", "c", "thing-1", False))
    with pytest.raises(AssertionError, match="accepted a session"):
        bad.server.broker_should_never_have_connected("thing-1")
    for count in (0, 2):
        with pytest.raises(AssertionError, match="1 sessions of thing-1"):
            bad.server.broker_should_have_sessions("thing-1", count)


@fails("Processor Should Have Accepted", "Processor Should Have Counted Rogue Packets",
       "Processor Should Have Believed The Forgery")
def test_a_processor_that_saw_nothing_and_one_that_saw_through_it(world: Make) -> None:
    bad = world(scheme=PLAIN, medium=EEPROM)
    with pytest.raises(AssertionError, match="accepted 0 packets"):
        bad.server.processor_should_have_accepted("thing-1")
    with pytest.raises(AssertionError, match="counted 0 rogue"):
        bad.server.processor_should_have_counted_rogue_packets()
    with pytest.raises(AssertionError, match="0 believed"):
        bad.server.processor_should_have_believed_the_forgery()
    bad.fire(ReadMedium(EEPROM))
    bad.fire(CloneIdentity(forgery=Forgery.CARELESS))
    with pytest.raises(AssertionError, match="1 forged packets: 0 believed"):
        bad.server.processor_should_have_believed_the_forgery()
    bad.server.processor_should_have_counted_rogue_packets()


def test_what_others_did_is_not_the_device_s_doing(world: Make) -> None:
    bad = world()
    log, reason = bad.lab.scene.broker.log, events.DisconnectReason.FORBIDDEN_ACCESS
    log(events.PublishForbidden("thing-2", "offchip/other", "iot:Publish"), 7)
    log(events.SubscribeForbidden("thing-2", "offchip/other"), 7)
    log(events.Connected("thing-2", "c", "thing-2", False), 7)
    log(events.PublishAccepted("thing-2", "offchip/feed", b"", 0, 0), 7)
    log(events.Disconnected(reason, "thing-2"), 7)
    log(events.ConnectRefused(None, "policy", "thing-2"), 7)
    bad.lab.scene.processor.accepted.append(Telemetry("offchip/feed", "thing-2", 1, 1, 20.0))
    bad.server.broker_should_never_have_connected("thing-1")
    bad.server.broker_should_have_sessions("thing-1", 0)
    with pytest.raises(AssertionError, match="0 sessions of thing-1 ended"):
        bad.server.broker_should_have_disconnected("thing-1", reason)
    with pytest.raises(AssertionError, match="0 CONNECTs of thing-1"):
        bad.server.broker_should_have_refused_the_connect("thing-1")
    with pytest.raises(AssertionError, match="0 forbidden"):
        bad.server.broker_should_have_forbidden_publishing("offchip/third")
    with pytest.raises(AssertionError, match="0 forbidden"):
        bad.server.broker_should_have_forbidden_subscribing("offchip/third")
    with pytest.raises(AssertionError, match="accepted 0 packets of thing-1"):
        bad.server.processor_should_have_accepted("thing-1")
    bad.say("mqtt: published topic=offchip/feed seq=1 qos=0")
    with pytest.raises(AssertionError, match="the broker accepted 0"):
        bad.device.device_should_publish("offchip/feed", timeout=1)


def test_a_refusal_for_another_reason(world: Make) -> None:
    bad = world()
    bad.lab.scene.broker.log(events.CertificateRefused("not registered", "c"))
    with pytest.raises(AssertionError, match="0 certificates were refused with 'INACTIVE'"):
        bad.server.broker_should_have_refused_the_certificate("INACTIVE")


def test_a_forgery_that_was_noticed_as_well(world: Make) -> None:
    bad = world(scheme=PLAIN, medium=EEPROM)
    bad.fire(ReadMedium(EEPROM))
    bad.fire(CloneIdentity())
    bad.server.processor_should_have_believed_the_forgery()
    bad.fire(CloneIdentity(forgery=Forgery.CARELESS))
    with pytest.raises(AssertionError, match="2 forged packets: 1 believed"):
        bad.server.processor_should_have_believed_the_forgery()


@pytest.mark.parametrize(("peer", "time", "temperature"),
                         [("thing-1", 7, 21.5), (ADDRESS, 8, 21.5), (ADDRESS, 7, 21.6)])
def test_what_was_believed_is_another_packet(world: Make, peer: str, time: int, temperature: float) -> None:
    bad = world()
    log = bad.lab.scene.broker.log
    log(events.ConnectionOpened(peer), 3)
    log(events.PublishAccepted("thing-1", "offchip/feed", b'{"time": 7, "temperature": 21.5}', 0, 0), 3)
    bad.lab.scene.processor.accepted.append(Telemetry("offchip/feed", "thing-1", 1, time, temperature))
    with pytest.raises(AssertionError, match="0 believed"):
        bad.server.processor_should_have_believed_the_forgery()


# loot --------------------------------------------------------------------------------------------------------------
@fails("Attacker Should Have The Device Key", "Attacker Should Have Been Let In")
@pytest.mark.parametrize("place", ["sdcard", "eeprom", "flash 0x08000000", "spi1 block 7"])
def test_an_attacker_who_was_handed_the_key(world: Make, place: str) -> None:
    bad = world("A01")
    with pytest.raises(AssertionError, match="not among 0 keys"):
        bad.loot.attacker_should_have_the_device_key()
    identity = bad.lab.device.identity
    bad.hand_over(identity, place, identity.key_der)
    with pytest.raises(AssertionError, match="never where it is said"):
        bad.loot.attacker_should_have_the_device_key()
    bad.fire(CloneIdentity())
    with pytest.raises(AssertionError, match="never where it is said"):
        bad.loot.attacker_should_have_been_let_in("offchip/feed")


@fails("Attacker Should Have The Device Key")
def test_an_attacker_who_found_another_key_or_the_right_one_elsewhere(world: Make) -> None:
    bad = world("A01", scheme=PLAIN, medium=SD)
    other = bad.lab.scene.world.devices["thing-2"]
    bad.hand_over(other, "sdcard", other.key_der)
    with pytest.raises(AssertionError, match="not among 1 keys"):
        bad.loot.attacker_should_have_the_device_key()
    bad.fire(ReadMedium(SD))
    bad.loot.attacker_should_have_the_device_key()
    with pytest.raises(AssertionError, match="not among"):
        bad.loot.attacker_should_have_the_device_key("spi1")


def test_an_attacker_whose_bytes_are_others(world: Make) -> None:
    bad = world("A01", scheme=PLAIN, medium=EEPROM)
    own, other = bad.lab.device.identity, bad.lab.scene.world.devices["thing-2"]
    bad.hand_over(own, "eeprom", b"?")  # the key does lie there; he has not read it
    with pytest.raises(AssertionError, match="not among 1 keys"):
        bad.loot.attacker_should_have_the_device_key()
    bad.lab.reach.loot.keys.clear()
    bad.hand_over(other, "eeprom", own.key_der)  # read, and another one shown
    with pytest.raises(AssertionError, match="not among 1 keys"):
        bad.loot.attacker_should_have_the_device_key()
    bad.fire(ReadMedium(EEPROM))
    bad.loot.attacker_should_have_the_device_key()


@fails("Attacker Should Have Been Let In")
def test_an_attacker_with_the_key_who_was_not_let_in(world: Make) -> None:
    bad = world("A08", scheme=PLAIN, medium=SD)
    bad.fire(ReadMedium(SD))
    bad.lab.scene.deactivate(bad.lab.device.identity)
    bad.fire(CloneIdentity())
    nobody = "sessions of the attacker: \\[\\]; accepted publishes: \\[\\]"
    with pytest.raises(AssertionError, match=nobody):
        bad.loot.attacker_should_have_been_let_in("offchip/feed")
    # neither the device's own session, nor one under another certificate, nor another topic
    log, own = bad.lab.scene.broker.log, bad.lab.device.identity.certificate_id
    his = bad.lab.scene.broker.events.of(events.ConnectionOpened)[-1].connection
    log(events.Connected("thing-1", own, "thing-1", False), 77)
    log(events.PublishAccepted("thing-1", "offchip/feed", b"", 0, 0), 77)
    log(events.Connected("thing-1", "another", "thing-1", False), his)
    log(events.PublishAccepted("thing-1", "offchip/third", b"", 0, 0), his)
    with pytest.raises(AssertionError, match=nobody):
        bad.loot.attacker_should_have_been_let_in("offchip/feed")
    log(events.PublishAccepted("thing-1", "offchip/feed", b"", 0, 0), his)
    with pytest.raises(AssertionError, match="sessions of the attacker: \\[\\]"):
        bad.loot.attacker_should_have_been_let_in("offchip/feed")


@fails("Attacker Should Not Have The Device Key")
@pytest.mark.parametrize("form", ["found", "der", "pem", "hex", "reversed"])
def test_an_attacker_who_has_the_key_and_does_not_say_so(world: Make, form: str) -> None:
    bad = world("A01")
    identity = bad.lab.device.identity
    bad.loot.attacker_should_not_have_the_device_key()
    if form == "found":
        bad.hand_over(identity, "sdcard", b"?")
    else:
        content = {"der": identity.key_der, "pem": identity.key_pem, "hex": identity.key_der.hex().encode(),
                   "reversed": identity.key_der[36:68][::-1]}[form]
        bad.lab.record.add_evidence([Evidence("A01", "read", "sdcard", 0, received=b"x" * 99 + content)])
    with pytest.raises(AssertionError, match="the device's key"):
        bad.loot.attacker_should_not_have_the_device_key()


@fails("Rogue Should Have Got Nothing", "Rogue Should Have Received Device Data")
def test_a_rogue_nobody_called_and_one_who_was_deceived(world: Make) -> None:
    bad = world()
    nothing, data = bad.loot.rogue_should_have_got_nothing, bad.loot.rogue_should_have_received_device_data
    for keyword in (nothing, data):
        with pytest.raises(AssertionError, match="has no server"):
            keyword()
    reach = bad.lab.reach
    rogue = reach.answer_as_server(reach.authority.issue_server([reach.host]))
    with pytest.raises(AssertionError, match="called the rogue 0 times"):
        nothing()
    with pytest.raises(AssertionError, match="the rogue got 0 packets"):
        data()
    rogue.visits += [Visit(b"hello", (48, "unknown_ca")) for _ in range(4)] + [Visit(b"hello")]
    with pytest.raises(AssertionError, match="refused it 4 times"):
        nothing()
    rogue.visits[-1].alert = 42, "bad_certificate"
    with pytest.raises(AssertionError, match="not 48"):
        nothing(alert=48)
    nothing()
    rogue.handshakes.append("TLSv1.3")
    with pytest.raises(AssertionError, match="the rogue got"):
        nothing()
    rogue.handshakes.clear()
    rogue.visits[-1].client = "thing-1"
    with pytest.raises(AssertionError, match="the rogue got"):
        nothing()
    rogue.visits[-1].client = ""
    rogue.visits[-1].messages.append(("offchip/feed", b'{"thing":"thing-2"}'))
    with pytest.raises(AssertionError, match="the rogue got 0 packets"):
        data()
    rogue.visits[-1].messages[0] = ("offchip/feed", b'{"thing":"thing-1"}')
    with pytest.raises(AssertionError, match="the rogue got"):
        nothing()
    with pytest.raises(AssertionError, match="it published 0"):
        data()
    bad.say("mqtt: published topic=offchip/feed seq=1 qos=0")
    data()


@fails("Rogue Should Have Received Device Data", "Rogue Should Have Got Nothing")
def test_a_rogue_with_the_owner_s_key(world: Make) -> None:
    bad = world()
    rogue = bad.lab.reach.answer_as_server(bad.lab.scene.world.server)
    rogue.visits.append(Visit(b"hello", None, "thing-1", [("offchip/feed", b'{"thing":"thing-1"}')]))
    bad.say("mqtt: published topic=offchip/feed seq=1 qos=0")
    for keyword in (bad.loot.rogue_should_have_got_nothing, bad.loot.rogue_should_have_received_device_data):
        with pytest.raises(AssertionError, match="genuine server's certificate"):
            keyword()


# debug port --------------------------------------------------------------------------------------------------------
@fails("Debug Port Should Have Given", "Debug Port Should Have Refused", "Debug Port Should Have Refused To",
       "Readout Protection Should Be", "Flash Should Be Erased")
def test_a_debug_port_that_was_not_asked_and_one_that_did_as_asked(world: Make) -> None:
    bad = world(rdp_level=1)
    bad.lab.record.add_evidence([Evidence("A13", "dump", "flash 0x08000000", 0, sent=b"?", detail="refused: really")])
    for keyword in (bad.loot.debug_port_should_have_given, bad.loot.debug_port_should_have_refused):
        with pytest.raises(AssertionError, match="requests for flash: \\[\\]"):
            keyword("flash")
        with pytest.raises(AssertionError, match="there is no region"):
            keyword("rom")
    with pytest.raises(AssertionError, match="requests to mass-erase: \\[\\]"):
        bad.loot.debug_port_should_have_refused_to("mass-erase")
    bad.fire(DumpMemory(Memory.ALL))
    with pytest.raises(AssertionError, match="closed at readout protection level 1"):
        bad.loot.debug_port_should_have_given("flash")
    with pytest.raises(AssertionError, match="requests for sram"):
        bad.loot.debug_port_should_have_refused("sram")
    with pytest.raises(AssertionError, match="bytes are left"):
        bad.loot.flash_should_be_erased()
    bad.fire(LowerProtection(Lowering.LEVEL_0))
    with pytest.raises(AssertionError, match="requests to set-rdp"):
        bad.loot.debug_port_should_have_refused_to("set-rdp")
    for level in (1, 2):
        with pytest.raises(AssertionError, match="at level 0"):
            bad.loot.readout_protection_should_be(level)
    # the last answer counts, and every refusal
    bad.fire(DumpMemory(Memory.ALL))
    with pytest.raises(AssertionError, match="requests for flash"):
        bad.loot.debug_port_should_have_refused("flash")
    bad.fire(LowerProtection(Lowering.LEVEL_1))
    bad.fire(DumpMemory(Memory.ALL))
    with pytest.raises(AssertionError, match="requests for flash"):
        bad.loot.debug_port_should_have_given("flash")
    requests = bad.lab.device.debug_port.requests
    requests.append(DebugRequest("mass-erase", 0, 0, "no"))
    bad.loot.debug_port_should_have_refused_to("mass-erase")
    with pytest.raises(AssertionError, match="requests to mass-erase"):
        bad.loot.debug_port_should_have_refused_to("mass-erase", times=2)
    requests.append(DebugRequest("mass-erase", 0, 0))
    with pytest.raises(AssertionError, match="requests to mass-erase"):
        bad.loot.debug_port_should_have_refused_to("mass-erase", times=2)


@fails("Flash Should Be Erased")
@pytest.mark.parametrize("offset", [0, chip_map.FLASH.size // 2, chip_map.FLASH.size - 1])
def test_a_flash_with_one_byte_left(world: Make, monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    bad = world()
    flash = bytearray(b"\xFF" * chip_map.FLASH.size)
    monkeypatch.setattr(bad.lab.board.engine, "read_memory",
                        lambda address, length: bytes(flash[address - chip_map.FLASH.start:][:length]))
    bad.loot.flash_should_be_erased()
    flash[offset] = 0xFE
    with pytest.raises(AssertionError, match="1 bytes are left"):
        bad.loot.flash_should_be_erased()


@fails("Device Key Should Be In The Flash")
def test_a_flash_without_the_key(world: Make) -> None:
    with pytest.raises(AssertionError, match="does not hold"):
        world(scheme=PLAIN, medium=SD).loot.device_key_should_be_in_the_flash()


# identity ----------------------------------------------------------------------------------------------------------
def _judge(bad: World, keyword: str) -> None:
    bad.say(f"{'enrolment' if keyword == 'device_should_have_enrolled' else 'rotation'}: complete")
    getattr(bad.identity, keyword)(timeout=0.01)


def _keep(bad: World, identity: Identity) -> Identity:
    """The device's medium holds this identity."""
    PLAIN.write(SD, bad.lab.board.sd, bad.lab.scene.credentials(identity).entries())
    return identity


def _certified(bad: World) -> Identity:
    """The device keeps a key of its own, with a certificate the template gave out."""
    identity = _keep(bad, bad.lab.scene.stranger("thing-1", "unregistered"))
    registry = bad.lab.scene.registry
    registry.attach_thing(registry.register_certificate(identity), "thing-1")
    bad.lab.scene.broker.log(events.ThingProvisioned("thing-1", identity.certificate_id, "offchip"))
    return identity


def _use(bad: World, identity: Identity, connection: int) -> None:
    """A session with this certificate, and a message in it."""
    log = bad.lab.scene.broker.log
    log(events.Connected("thing-1", identity.certificate_id, "thing-1", False), connection)
    log(events.PublishAccepted("thing-1", "offchip/feed", b"{}", 0, 1), connection)


_IDENTITY = pytest.mark.parametrize("keyword", ["device_should_have_enrolled",
                                                "device_should_have_another_certificate"])


@fails("Device Should Have Enrolled", "Device Should Have Another Certificate")
@_IDENTITY
def test_an_identity_the_device_did_not_make(world: Make, keyword: str) -> None:
    bad = world(scheme=PLAIN, medium=SD)
    with pytest.raises(BoardError, match="did not happen"):  # nothing is said of it
        getattr(bad.identity, keyword)(timeout=0.01)
    with pytest.raises(AssertionError, match="the key that the factory gave it"):
        _judge(bad, keyword)
    _keep(bad, bad.lab.scene.stranger("thing-1", "foreign"))
    with pytest.raises(AssertionError, match="not one of the owner's CA"):
        _judge(bad, keyword)
    bad.lab.board.sd.wipe()
    with pytest.raises(AssertionError, match="keeps no identity"):
        _judge(bad, keyword)


@fails("Device Should Have Enrolled", "Device Should Have Another Certificate")
@_IDENTITY
def test_an_identity_that_is_not_used_or_not_the_only_one(world: Make, keyword: str) -> None:
    bad = world(scheme=PLAIN, medium=SD)
    kept, factory = _certified(bad), bad.lab.device.identity
    _use(bad, factory, 1)
    with pytest.raises(BoardError, match=f"a publish with certificate {kept.certificate_id[:8]}"):
        _judge(bad, keyword)
    _use(bad, kept, 2)
    with pytest.raises(BoardError, match="to be the only one of thing-1"):
        _judge(bad, keyword)
    bad.lab.scene.deactivate(factory)
    _judge(bad, keyword)


@fails("Device Should Have Enrolled")
def test_a_certificate_the_template_never_gave_out(world: Make) -> None:
    bad = world(scheme=PLAIN, medium=SD)
    _keep(bad, bad.lab.scene.stranger("thing-1", "unregistered"))
    with pytest.raises(AssertionError, match="not given out by the template"):
        _judge(bad, "device_should_have_enrolled")


@fails("Device Should Have Another Certificate")
def test_the_first_certificate_is_not_another_one(world: Make) -> None:
    bad = world(scheme=PLAIN, medium=SD)
    kept = _certified(bad)
    _use(bad, kept, 1)
    bad.lab.scene.deactivate(bad.lab.device.identity)
    with pytest.raises(AssertionError, match="the first this device ever used"):
        _judge(bad, "device_should_have_another_certificate")


# verdict -----------------------------------------------------------------------------------------------------------
@fails("Verdict Should Be")
@pytest.mark.parametrize(("tags", "own", "seen", "ran", "complaint"), [
    ((), True, True, True, "names no attack"),
    (("A01",), False, True, True, "no evidence that A01 fired"),
    (("A01",), True, False, True, "no oracle has observed"),
    (("A01",), True, True, False, "executed no instruction"),
])
def test_a_verdict_that_is_not_earned(world: Make, tags: tuple[str, ...], own: bool, seen: bool, ran: bool,
                                      complaint: str) -> None:
    bad = world(*tags)
    bad.lab.record.add_evidence([Evidence("A01" if own else "A09", "read", "sdcard", 0, received=b"x")])
    if seen:
        bad.lab.saw("something")
    if ran:
        bad.lab.board.power_on()
        bad.lab.board.run(0.001)
    with pytest.raises(AssertionError, match=complaint):
        bad.verdict.verdict_should_be(Verdict.HELD, "so it seems")
    assert bad.lab.record.verdict is Verdict.NOT_RUN


@fails("Verdict Should Be")
def test_a_second_verdict(world: Make) -> None:
    bad = world("A01")
    bad.lab.board.power_on()
    bad.lab.board.run(0.001)
    bad.lab.record.add_evidence([Evidence("A01", "read", "sdcard", 0, received=b"x")])
    bad.lab.saw("something")
    bad.verdict.verdict_should_be(Verdict.HELD, "so it seems")
    with pytest.raises(AssertionError, match="a test has one"):
        bad.verdict.verdict_should_be(Verdict.HELD, "so it seems")


@fails("Connecting Should Cost At Most")
def test_a_scheme_that_costs_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(scene: Scene, device: Device) -> Cost:
        dear = device.defence.scheme is not PLAIN
        return Cost(device.defence.scheme.name, "sd", 1_160_000 if dear else 1_000_000, 1.0, 0, 0, 0, 0, 0)

    bad = World()
    monkeypatch.setattr(cost_oracle, "measure_cost", of)
    with pytest.raises(AssertionError, match="16.0 % more than the 1000000 of plain, allowed are 15 %"):
        CostOracleKeywords(bad.lab).connecting_should_cost_at_most(15, scheme("fresh"), SD)
    assert bad.lab.record.cost is not None and "1160000 instructions" in bad.lab.record.observations[-1]
    bad.lab.close()
