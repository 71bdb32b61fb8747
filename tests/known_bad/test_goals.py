# SPDX-License-Identifier: Apache-2.0
"""What decides a cell, in worlds where nothing, or not enough, was done or seen: forged consoles, no boots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from offchip import chip_map
from offchip.attacks.pieces import taken_apart
from offchip.attacks.reach import ADDRESS
from offchip.attacks.rogue import Visit
from offchip.board.media import Lock
from offchip.broker import events
from offchip.broker.registry import Status
from offchip.engines.protocol import Fired
from offchip.errors import MediumError
from offchip.evidence import Evidence
from offchip.matrix.bench import run_cell
from offchip.matrix.cells import cell
from offchip.pki import Identity
from offchip.report.record import Verdict
from offchip.scene.defence import Defence
from offchip.scene.guard import Guard
from offchip.scene.scene import OTHER_THING
from offchip.vault import EEPROM, PLAIN, SD, scheme
from offchip.vault.records import Tag
from OffchipLibrary.goals.abuse import ReadWhatIsPrivate
from OffchipLibrary.goals.base import Goal, Oracles, Undecided, either, passes
from OffchipLibrary.goals.catalogue import GOALS
from OffchipLibrary.goals.dissection import has_the_key, was_let_in
from OffchipLibrary.goals.impostor import OlderOnTheBus, met
from OffchipLibrary.goals.locks import bit_was_cleared, pin_was_pulled
from OffchipLibrary.goals.moving import refused, took
from OffchipLibrary.goals.thorough import dissected, swaps_there_are
from OffchipLibrary.goals.updates import cut_before_its_end, sealed_in, works
from OffchipLibrary.lab import Lab
from tests.known_bad.worlds import World

FRESH = scheme("fresh")
OWN, OTHER, ANY = "credentials: ok source=sd certificate=", "credentials: ok source=sd certificate=00000000", "boot: "
REFUSED = "storage: error record-stale device-key"
CALLED = "config: scheme=plain medium=sd thing={} endpoint=broker:8883"
ITSELF, ANOTHER, LONGER = (CALLED.format(each) for each in ("thing-1", OTHER_THING, "thing-12"))

Make = Callable[..., World]


@pytest.fixture
def world() -> Iterator[Make]:
    made: list[World] = []

    def make(tag: str, **options: object) -> World:
        made.append(World(tag).given(**{"scheme": PLAIN, "medium": SD, **options}))
        return made[-1]

    yield make
    for each in made:
        each.lab.close()


def own(bad: World) -> str:
    return OWN + bad.lab.device.identity.certificate_id[:8]


def did(bad: World, action: str, place: str = "sdcard", detail: str = "", **contents: bytes) -> None:
    """Evidence of the test's attack, whoever left it."""
    bad.lab.record.add_evidence([Evidence(bad.lab.record.attack, action, place, bad.lab.board.now_ns, detail=detail,
                                          **(contents or {"sent": b"?"}))])


def measured(bad: World, row: str) -> Verdict | None:
    """The verdict of a row's oracles; None: they do not decide."""
    goal: Goal = GOALS[row]
    try:
        return goal.measure(bad.lab, Oracles(bad.lab)).verdict
    except (Undecided, AssertionError):
        return None


# what all rows share -------------------------------------------------------------------------------------------------
def test_what_a_failed_oracle_saw_before_is_not_kept(world: Make) -> None:
    lab = world("A06").lab

    def half() -> None:
        lab.saw("something")
        raise AssertionError("and then nothing")

    assert passes(lab, half) and not lab.record.observations
    assert either(lab, (half, "broken"), (lambda: lab.saw("else"), "held")).verdict is Verdict.HELD
    assert lab.record.observations == ["else"]


def test_what_was_taken_is_what_is_asked_for(world: Make) -> None:
    bad = world("A06")
    with pytest.raises(AssertionError):  # silence is neither
        took(bad.lab, bad.lab.device.identity)
    with pytest.raises(AssertionError):
        refused(bad.lab)
    bad.say(ANY, OTHER)
    with pytest.raises(AssertionError, match="did not take"):
        took(bad.lab, bad.lab.device.identity)
    bad.say(ANY, own(bad))
    took(bad.lab, bad.lab.device.identity)
    bad.say(ANY, REFUSED)
    with pytest.raises(AssertionError, match="not all refused"):
        refused(bad.lab)


def test_one_refused_start_is_no_more_than_one(world: Make) -> None:
    bad = world("A06")
    bad.say(ANY, REFUSED)
    refused(bad.lab)
    with pytest.raises(AssertionError, match="1 starts"):
        refused(bad.lab, starts=2)


def test_a_key_and_a_session_of_somebody_else(world: Make) -> None:
    bad = world("A30")
    other, device = bad.lab.scene.world.devices[OTHER_THING], bad.lab.device.identity
    bad.hand_over(other, "sdcard", other.key_der, "A30")
    with pytest.raises(AssertionError, match="not among 1 keys"):
        has_the_key(bad.lab)
    log = bad.lab.scene.broker.log
    for number, (address, certificate, topic) in enumerate((
            (ADDRESS, other.certificate_id, "offchip/feed"), ("modem", device.certificate_id, "offchip/feed"))):
        log(events.ConnectionOpened(address), number)
        log(events.Connected("thing-1", certificate, "thing-1", False), number)
        log(events.PublishAccepted("thing-1", topic, b"{}", 0, 0), number)
        with pytest.raises(AssertionError, match="sessions of the attacker"):
            was_let_in(bad.lab)


def test_a_session_that_said_nothing_of_worth(world: Make) -> None:
    bad = world("A30")
    log = bad.lab.scene.broker.log
    log(events.ConnectionOpened(ADDRESS), 5)
    log(events.Connected("thing-1", bad.lab.device.identity.certificate_id, "thing-1", False), 5)
    log(events.PublishAccepted("thing-1", "offchip/third", b"{}", 0, 0), 5)
    with pytest.raises(AssertionError, match="publishes accepted: \\[\\]"):
        was_let_in(bad.lab)
    log(events.PublishAccepted("thing-1", "offchip/feed", b"{}", 0, 0), 5)
    was_let_in(bad.lab)


def test_nobody_met_the_attacker(world: Make) -> None:
    bad = world("A27")
    with pytest.raises(AssertionError, match="never called"):
        met(bad.lab)
    bad.say(OTHER)
    with pytest.raises(AssertionError, match="never called"):
        met(bad.lab)
    bad.say(REFUSED)
    met(bad.lab)


# moving --------------------------------------------------------------------------------------------------------------
def test_swapped_pieces_of_which_one_was_not_noticed(world: Make) -> None:
    bad = world("A05")
    ways = swaps_there_are(bad.lab)
    for number in range(ways):
        did(bad, "swap", before=b"a", after=bytes([number]))
    assert measured(bad, "A05/swap") is None
    bad.say(*[ANY, "storage: error record-swapped broker-ca"] * (ways - 1))
    assert measured(bad, "A05/swap") is None  # the last start never came
    bad.say(ANY, "storage: error record-swapped broker-ca")
    assert measured(bad, "A05/swap") is Verdict.HELD
    bad.say(ANY, "credentials: error certificate-malformed")
    assert measured(bad, "A05/swap") is Verdict.BROKEN


@pytest.mark.parametrize(("kind", "chunks", "ways"), [
    ("plain", 3, 9), ("split-plain", 2, 3), ("fresh", 3, 15), ("split", 2, 5)])
def test_pieces_of_which_some_were_never_moved(world: Make, kind: str, chunks: int, ways: int) -> None:
    """Each pair exchanged, each copied to each place of each other; whoever tries fewer has not been beaten."""
    bad = world("A05", scheme=scheme(kind), medium=SD)
    lab = bad.lab
    assert swaps_there_are(lab) == ways
    if kind in ("plain", "split-plain"):  # the factory has filled it
        assert len(list(taken_apart(lab.board.sd).moves())) == ways
    for number in range(ways - 1):
        did(bad, "swap", before=b"a", after=bytes([number]))
    did(bad, "swap", before=b"a", after=bytes([0]))  # one of them twice
    bad.say(*[ANY, "storage: error record-swapped broker-ca"] * ways)
    assert measured(bad, "A05/swap") is None
    did(bad, "swap", before=b"a", after=b"another")
    bad.say(ANY, "storage: error record-swapped broker-ca")
    assert measured(bad, "A05/swap") is Verdict.HELD, chunks


@pytest.mark.parametrize(("number", "rest", "verdict"), [(2, b"x", Verdict.HELD), (1, b"x", None), (2, b"y", None)])
def test_an_older_record_under_its_own_number(world: Make, number: int, rest: bytes, verdict: Verdict | None) -> None:
    """What claims to be old is refused for its number; what is no older content was never put back."""
    bad = world("A07", scheme=FRESH)
    did(bad, "restore", before=b"##" + record(2, b"b", b"y") + b"#", after=record(number, b"b", rest))
    bad.say(ANY, OTHER, ANY, REFUSED)
    assert measured(bad, "A07/renumbered") is verdict


@pytest.mark.parametrize(("called", "word", "verdict"), [
    (ANOTHER, "storage: error record-forged device-key", None),
    (ITSELF, "storage: error record-foreign device-key", None),
    (ITSELF, "storage: error record-forged device-key", Verdict.HELD)])
def test_a_disguise_nobody_wore(called: str, word: str, verdict: Verdict | None) -> None:
    """A record that says whose it is is refused for that, and nobody has asked what it is sealed with."""
    bad = World("A06").given_two(Defence(FRESH, SD))
    try:
        bad.say(ANY, called, board=bad.lab.others[0].board)
        did(bad, "transplant", before=b"a", after=b"b")
        bad.say(ANY, word)
        assert measured(bad, "A06/disguised") is verdict
    finally:
        bad.lab.close()


@pytest.mark.parametrize(("crossed", "newest", "block", "verdict"), [
    (True, True, 1, Verdict.HELD), (False, True, 1, None), (True, False, 1, None), (True, True, 2, None)])
def test_an_older_record_that_crossed_no_bus(world: Make, monkeypatch: pytest.MonkeyPatch, crossed: bool, newest: bool,
                                             block: int, verdict: Verdict | None) -> None:
    """What is refused or taken need not have come over the bus: who writes it to the medium does another thing, and so
    does who says that it happened a block away.
    """
    bad, goal = world("A10"), OlderOnTheBus()
    lab = bad.lab
    monkeypatch.setattr(goal, "_trusted", lab.scene.authority.root.certificate_der if newest else b"another")
    monkeypatch.setattr(type(lab.board.spi_tap), "fired", lambda self: [
        Fired("spi1", "replace_on_read", 0, "block 1", b"a", b"b")] if crossed else [], raising=False)
    rogue(bad, Visit(b"hello", (48, "unknown_ca")))
    lab.board.sd.write(512, b"a")
    did(bad, "replace_on_read", f"spi1 block {block} offset 0 read 1", before=b"a", after=b"b")
    bad.say(ANY, "storage: error record-stale broker-ca", "state: waiting reason=storage retry_ms=1")
    try:
        found = goal.measure(lab, Oracles(lab)).verdict
    except (Undecided, AssertionError):
        found = None
    assert found is verdict


@pytest.mark.parametrize(("words", "verdict"), [
    ((), None), ((OTHER,), None), ((OTHER, OTHER), None), ((OTHER, REFUSED), Verdict.HELD),
    ((OTHER, REFUSED, OTHER), None), ((OTHER, OWN), Verdict.BROKEN)])
def test_an_older_image_nobody_put_back(world: Make, words: tuple[str, ...], verdict: Verdict | None) -> None:
    bad = world("A07")
    for word in words:
        bad.say(ANY, own(bad) if word == OWN else word)
    assert measured(bad, "A07/whole") is verdict


# updates -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("lines", "cut"), [
    ((), False), (("rotation: complete", ANY), False), (("rotation: complete",), False), ((ANY,), True),
    (("half a line boot: offchip", "rotation: complete"), True)])
def test_an_update_that_was_not_cut(world: Make, lines: tuple[str, ...], cut: bool) -> None:
    bad = world("A11")
    bad.say(*lines)
    assert (passes(bad.lab, lambda: cut_before_its_end(bad.lab)) == "") is cut


def test_a_mixture_that_was_taken(world: Make) -> None:
    bad = world("A11")
    bad.say(ANY, own(bad))
    assert measured(bad, "A11/mixed") is None  # what lies there fits together
    mixed = bad.lab.scene.credentials(bad.lab.scene.world.devices[OTHER_THING]).entries()
    key = dict(bad.lab.scene.credentials(bad.lab.device.identity).entries())[Tag.DEVICE_PRIVATE_KEY]
    PLAIN.write(SD, bad.lab.board.sd, [(tag, key if tag == Tag.DEVICE_PRIVATE_KEY else value) for tag, value in mixed])
    assert bad.lab.device.kept() is None and measured(bad, "A11/mixed") is Verdict.BROKEN


def test_an_update_that_came_to_its_end_is_no_torn_one(world: Make) -> None:
    bad = world("A11")
    bad.say("rotation: complete", ANY, own(bad))
    assert measured(bad, "A11/torn") is None and measured(bad, "A11/torn-late") is None


def test_a_device_that_cannot_work(world: Make) -> None:
    bad = world("A11")
    bad.say(ANY, REFUSED)
    with pytest.raises(AssertionError, match="did not take"):
        works(bad.lab)
    bad.say(ANY, own(bad))
    works(bad.lab)
    assert measured(bad, "A11/torn") is Verdict.HELD
    bad.lab.scene.deactivate(bad.lab.device.identity)
    with pytest.raises(AssertionError, match="INACTIVE"):
        works(bad.lab)
    bad.lab.board.sd.wipe()
    with pytest.raises(AssertionError, match="keeps no key"):
        works(bad.lab)


def record(version: int, nonce: bytes, content: bytes) -> bytes:
    head = bytearray(32)
    head[:4], head[6] = b"OCV1", 2
    head[8:12], head[12:16] = len(content).to_bytes(4, "little"), version.to_bytes(4, "little")
    head[16:28] = nonce.ljust(12, b"\0")
    return bytes(head) + content + bytes(16)


@pytest.mark.parametrize(("records", "verdict"), [
    ((), None),
    (((2, b"a", b"x"), (2, b"b", b"y")), None),
    (((1, b"a", b"x"), (2, b"b", b"y")), None),  # one of the two renewals is not there
    (((1, b"a", b"x"), (2, b"b", b"y"), (3, b"c", b"z")), None),  # nothing was put back in between
    (((1, b"a", b"x"), (2, b"b", b"y"), (2, b"c", b"z")), Verdict.HELD),
    (((1, b"aaaabbbbcccc", b"x"), (2, b"aaaabbbbdddd", b"y"), (2, b"aaaaccccdddd", b"z")), Verdict.HELD),
    (((1, b"a", b"x"), (2, b"b", b"y"), (2, b"b", b"z")), Verdict.BROKEN)])
def test_nonces(world: Make, records: tuple[tuple[int, bytes, bytes], ...], verdict: Verdict | None) -> None:
    bad = world("A16", scheme=FRESH, medium=EEPROM)
    did(bad, "collect records", received=b"".join(record(*each) for each in records) or b"?")
    assert measured(bad, "A16/cut") is verdict


def test_records_in_a_row() -> None:
    one, two = (1, b"a" * 12, b"x" * 5), (7, b"b" * 12, b"y")
    assert sealed_in(record(*one) + record(*two)) == [(2, *one), (2, *two)]


# watching ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("times", "places", "refusals", "verdict"), [
    ([100], 16, 16, None), ([100] * 15, 16, 16, None), ([100] * 16, 16, 15, None), ([100] * 16, 15, 16, None),
    ([100] * 16, 16, 16, Verdict.HELD), ([100] * 15 + [101], 16, 16, Verdict.BROKEN)])
def test_times_of_too_few_refusals(world: Make, times: list[int], places: int, refusals: int,
                                   verdict: Verdict | None) -> None:
    bad = world("A25", scheme=FRESH, medium=EEPROM)
    for number in range(16):
        did(bad, "spoil a byte of the tag", f"eeprom:key, byte {number % places}", before=b"a", after=b"b")
    did(bad, "compare the times", received=b"".join(each.to_bytes(8, "little") for each in times))
    bad.say(*["storage: error record-forged device-key"] * refusals)
    assert measured(bad, "A25/timing") is verdict


@pytest.mark.parametrize(("lines", "verdict"), [
    ((ANY, OWN), None), ((ANY, "tls: refused reason=untrusted-ca"), None), ((ANY, REFUSED), None),
    (("tls: refused reason=untrusted-ca", REFUSED), None),
    ((ANY, "tls: refused reason=untrusted-ca", REFUSED), Verdict.HELD)])
def test_a_console_nobody_made_talk(world: Make, lines: tuple[str, ...], verdict: Verdict | None) -> None:
    bad = world("A22")
    bad.say(*lines)
    did(bad, "listen", "usart1, the console", received=bytes(bad.lab.board.console.raw))
    assert measured(bad, "A22/console") is verdict


@pytest.mark.parametrize("heard", [True, False])
def test_a_console_that_tells_a_secret_has_told_it(world: Make, heard: bool) -> None:
    """The row's own finding is its verdict, and no reason to judge nothing; what nobody heard is a fault of the run."""
    bad = world("A22")
    console = bad.lab.board.console
    passphrase = bad.lab.device.provisioning.wifi_passphrase.encode()

    def listen(lab: Lab) -> None:
        lab.board.power_on()
        lab.board.run(0.001)
        bad.say(ANY, "tls: refused reason=untrusted-ca", REFUSED)
        before = bytes(console.raw)
        bad.say(f"debug: {passphrase.hex()}")
        did(bad, "listen", "usart1, the console", received=bytes(console.raw) if heard else before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(GOALS["A22/console"]), "fire", lambda _, lab: listen(lab))
        record = run_cell(cell("A22/console/plain/sd"), bad.lab, "x")
    assert record["verdict"] == ("broken" if heard else "not run"), record["reason"]


# between -------------------------------------------------------------------------------------------------------------
def rogue(bad: World, *visits: Visit) -> None:
    reach = bad.lab.reach
    reach.answer_as_server(reach.authority.issue_server([reach.host])).visits += visits


def test_firmware_nobody_pushed_and_code_nobody_compared(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, goal = world("A23"), type(GOALS["A23/push"])()
    bad.lab.board.power_on()  # the flash has its firmware

    def verdict() -> Verdict | None:
        try:
            return goal.measure(bad.lab, Oracles(bad.lab)).verdict
        except Undecided:
            return None

    goal.prepare(bad.lab)
    bad.say(ANY)
    assert verdict() is None  # he was never met
    rogue(bad, Visit(b"hello", None, "thing-1"))
    assert verdict() is None  # a session, and nothing came
    bad.say("mqtt: message topic=offchip/things/thing-1/commands bytes=99")
    assert verdict() is Verdict.HELD
    bad.say(ANY)
    assert verdict() is Verdict.BROKEN  # another start
    flash = bad.lab.board.engine.read_memory
    monkeypatch.setattr(bad.lab, "begun", bad.lab.mark())
    for at, broken in ((chip_map.FLASH.start, True), (chip_map.FLASH.end - 1, True), (chip_map.DATA.start, False)):
        def changed(address: int, length: int, at: int = at) -> bytes:
            found = bytearray(flash(address, length))
            found[at - address] ^= 1
            return bytes(found)

        with monkeypatch.context() as patch:
            patch.setattr(bad.lab.board.engine, "read_memory", changed)
            assert (verdict() is Verdict.BROKEN) is broken, hex(at)


@pytest.mark.parametrize(("words", "verdict"), [
    ((), None), (("tls: refused reason=protocol",), Verdict.HELD), ((REFUSED,), Verdict.HELD),
    (("tls: connected version=TLSv1.2 suite=x",), Verdict.BROKEN)])
def test_a_session_on_worse_terms(world: Make, words: tuple[str, ...], verdict: Verdict | None) -> None:
    bad = world("A28")
    bad.say(*words)
    did(bad, "answer")
    bad.say("tls: connected version=TLSv1.3 suite=x", at_ms=5)  # behind the attack
    assert measured(bad, "A28/weak-suite") is verdict


@pytest.mark.parametrize("row", ["A28/old-server", "A28/weak-curve"])
def test_a_worse_server_that_is_as_good_as_any_or_nobody_called(world: Make, row: str) -> None:
    bad = world("A28")
    bad.say("tls: alert 40 handshake_failure")
    did(bad, "answer")
    assert measured(bad, row) is None  # there is none
    rogue(bad)
    assert measured(bad, row) is None  # nobody called
    rogue(bad, Visit(b"hello"))
    assert measured(bad, row) is None  # it speaks as any other
    rogue(bad, Visit(b"hello"))
    assert bad.lab.rogue is not None
    (bad.lab.rogue.speak_old_tls if row == "A28/old-server" else bad.lab.rogue.agree_on_a_weak_curve)()
    assert measured(bad, row) is Verdict.HELD


def hello(*extensions: tuple[int, bytes]) -> bytes:
    told = b"".join(kind.to_bytes(2, "big") + len(text).to_bytes(2, "big") + text for kind, text in extensions)
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + len(told).to_bytes(2, "big") + told
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize(("first", "second", "sessions", "verdict"), [
    ([(0, b"x")], [(0, b"x")], 2, Verdict.HELD), ([(0, b"x")], [(0, b"x")], 1, None), ([(0, b"x")], None, 2, None),
    ([(35, b"")], [(35, b"")], 2, None), ([(45, b"\1")], [(45, b"\1")], 2, None),  # it would, had it been given one
    ([(35, b"")], [(35, b"ticket")], 2, Verdict.BROKEN), ([(45, b"\1")], [(45, b"\1"), (41, b"")], 2, Verdict.BROKEN)])
def test_a_session_that_goes_on_from_an_earlier_one(
        world: Make, first: list[tuple[int, bytes]], second: list[tuple[int, bytes]] | None, sessions: int,
        verdict: Verdict | None) -> None:
    bad = world("A28")
    bad.say(*["tls: connected version=TLSv1.3 suite=x"] * sessions)
    for each in (first, second):
        did(bad, "record a ClientHello", received=b"no such" if each is None else hello(*each))
    assert measured(bad, "A28/resumption") is verdict


@pytest.mark.parametrize(("sessions", "signed", "verdict"), [
    (0, 0, Verdict.HELD), (1, 1, None), (2, 2, None), (3, 3, Verdict.HELD), (3, 2, None), (3, 0, None)])
def test_too_few_signatures(world: Make, monkeypatch: pytest.MonkeyPatch, sessions: int, signed: int,
                            verdict: Verdict | None) -> None:
    """A session in which nobody asked for the device's signature gives none."""
    made = iter([signed > number for number in range(sessions)])
    monkeypatch.setattr("OffchipLibrary.goals.between.signatures_of", lambda visit: next(made))
    bad = world("A28")
    rogue(bad, Visit(b"hello", (48, "unknown_ca")), *(Visit(b"hello", None, "thing-1") for _ in range(sessions)))
    did(bad, "compute", received=b"?")
    assert measured(bad, "A28/signatures") is verdict


@pytest.mark.parametrize(("row", "because"), [
    ("A17/untrusted", "tls: refused reason=untrusted-ca"), ("A17/wrong-host", "tls: refused reason=host-name"),
    ("A18/expired", "tls: refused reason=expired"), ("A18/clock-back", "clock: refused 2026-01-01 source=sntp")])
def test_an_impostor_who_is_refused_for_another_fault(world: Make, row: str, because: str) -> None:
    bad = world(row[:3])
    rogue(bad, Visit(b"hello", (42, "bad_certificate")))
    bad.say("tls: refused reason=bad-certificate", "state: waiting reason=tls retry_ms=1")
    assert measured(bad, row) is None
    bad.say(because)
    assert measured(bad, row) is Verdict.HELD


def test_clear_credentials_that_are_none_or_the_owner_s(world: Make) -> None:
    bad = world("A24", scheme=FRESH, medium=EEPROM)
    rogue(bad, Visit(b"hello"))
    bad.say("storage: error record-missing device-key", "state: waiting reason=storage retry_ms=1")
    assert measured(bad, "A24/gone") is None  # nothing in clear lies there
    own_ca, his_ca = bad.lab.scene.authority, bad.lab.reach.authority
    for authority, verdict in ((own_ca, None), (his_ca, Verdict.HELD)):
        PLAIN.write(EEPROM, bad.lab.board.eeprom, _credentials(bad, authority.root))
        assert measured(bad, "A24/gone") is verdict


def _credentials(bad: World, root: Identity) -> list[tuple[int, bytes]]:
    return [(tag, root.certificate_der if tag == Tag.TRUST_ANCHOR else value)
            for tag, value in bad.lab.scene.credentials(bad.lab.device.identity).entries()]


# disturbing, skipping, abuse, sabotage -------------------------------------------------------------------------------
@pytest.mark.parametrize(("row", "words", "verdict"), [
    ("A15/stuck", ("rng: ok",), None), ("A15/stuck", (), None),
    ("A15/stuck", ("rng: error repetition",), Verdict.HELD), ("A15/alternating", ("rng: ok",), None),
    ("A15/alternating", ("rng: error repetition",), Verdict.HELD)])
def test_noise_nobody_spoilt(world: Make, row: str, words: tuple[str, ...], verdict: Verdict | None) -> None:
    bad = world("A15", scheme=FRESH, medium=EEPROM)
    mark = bad.lab.mark()
    bad.say(*words)
    did(bad, "disturb the noise source", "rng")
    assert measured(bad, row) is verdict
    bad.say(ANY)
    bad.lab.begun = replace(mark, lines=1)
    assert measured(bad, row) is None  # it had started before


def test_a_secret_of_another_unit_s_that_is_the_device_s_own() -> None:
    """Whoever is handed the secret opens everything, and has shown nothing about noise or fleets."""
    for row in ("A15/predictable", "A20/another-unit"):
        bad = World(row[:3]).given_two(Defence(FRESH, EEPROM))
        try:
            own = other = b""
            for board in (bad.lab.board, bad.lab.others[0].board):
                board.power_on()
                board.run(0.2)
            (own,), (other,) = (each.secrets() for each in (bad.lab.device, bad.lab.others[0]))
            begun = bad.lab.mark()
            bad.lab.begun = replace(begun, lines=0)
            for place, got, used, believed in (
                    ("flash of thing-1", own, own, False), ("flash of thing-2", own, own, False),
                    ("flash of thing-2", other, own, False), ("flash of thing-2", other, other, True)):
                bad.lab.record.fired.clear()
                did(bad, "open the chip", place, received=got)
                did(bad, "open with the secret", "eeprom", before=bad.lab.board.eeprom.image, sent=used)
                assert (passes(bad.lab, lambda: dissected(bad.lab)) == "") is believed, place  # noqa: B023
                assert (measured(bad, row) is None) is not believed
        finally:
            bad.lab.close()


def test_a_key_that_was_given(world: Make) -> None:
    """It lies where he says, and he has not read it there; or he opened what lies there with no secret of its."""
    bad = world("A30", scheme=FRESH, medium=EEPROM)
    bad.lab.board.power_on()
    bad.lab.board.run(3)
    identity, chip = bad.lab.device.identity, bad.lab.board.eeprom
    (secret,) = bad.lab.device.secrets()
    bad.hand_over(identity, "eeprom", b"?", "A30")
    told: tuple[tuple[str, dict[str, bytes], bool], ...] = (
        ("read", {"received": identity.key_der}, True),
        ("open with the secret", {"before": chip.image, "sent": b"?" * 32, "received": identity.key_der}, True),
        ("open with the secret", {"before": b"?", "sent": secret, "received": identity.key_der}, True),
        ("open with the secret", {"before": chip.image, "sent": secret, "received": b"?"}, True),
        ("open with the secret", {"before": chip.image, "sent": secret, "received": identity.key_der}, False))
    for action, contents, given in told:
        bad.lab.record.add_evidence([Evidence("A30", action, "eeprom", 0, **contents)])  # type: ignore[arg-type]
        assert ("it was given" in passes(bad.lab, lambda: has_the_key(bad.lab))) is given, contents


@pytest.mark.parametrize("row", ["A02/first-boot", "A15/stuck", "A15/predictable"])
def test_a_first_boot_that_was_none(world: Make, row: str) -> None:
    bad = world(row[:3], scheme=FRESH, medium=EEPROM)
    bad.say(ANY)
    bad.lab.begun = bad.lab.mark()
    with pytest.raises(AssertionError, match="no first boot"):
        GOALS[row].measure(bad.lab, Oracles(bad.lab))


@pytest.mark.parametrize(("tried", "detail", "start", "verdict"), [
    (200, "line 7 (f): 3 refused, 1 crashed", REFUSED, Verdict.HELD), (99, "line 7 (f): 1 crashed", REFUSED, None),
    (200, "line 7 (f): 4 refused", REFUSED, None), (200, "line 7 (f): 1 crashed", "", None)])
def test_instructions_nobody_skipped(world: Make, tried: int, detail: str, start: str, verdict: Verdict | None) -> None:
    bad = world("A12", scheme=FRESH, medium=EEPROM)
    did(bad, "skip each instruction once", "record.c", detail, sent=path(bad, tried))
    bad.say(*((ANY, start) if start else ()))
    assert measured(bad, "A12/forged") is verdict


def path(bad: World, length: int) -> bytes:
    """So many instructions in a row, as an attacker tells of them."""
    engine, at, found = bad.lab.board.engine, 0x08011000, b""
    bad.lab.board.power_on()  # the flash has its firmware
    for _ in range(length):
        found += at.to_bytes(4, "big")
        at += 4 if engine.read_memory(at, 2)[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
    return found


@pytest.mark.parametrize(("step", "verdict"), [(1, Verdict.HELD), (2, None), (3, None)])
def test_a_path_of_which_only_some_instructions_were_skipped(world: Make, step: int, verdict: Verdict | None) -> None:
    bad = world("A12", scheme=FRESH, medium=EEPROM)
    whole = path(bad, 600)
    did(bad, "skip each instruction once", "record.c", "line 7 (f): 1 crashed", sent=b"".join(
        whole[at:at + 4] for at in range(0, len(whole), 4 * step)))
    bad.say(ANY, REFUSED)
    assert measured(bad, "A12/forged") is verdict


def test_one_instruction_skipped_over_and_over(world: Make) -> None:
    bad = world("A12", scheme=FRESH, medium=EEPROM)
    did(bad, "skip each instruction once", "record.c", "line 7 (f): 200 crashed", sent=bytes(4 * 200))
    bad.say(ANY, REFUSED)
    assert measured(bad, "A12/forged") is None


@pytest.mark.parametrize(("lines", "verdict"), [
    (("state: waiting reason=storage retry_ms=1",) * 2, None),
    ((REFUSED, *("state: waiting reason=storage retry_ms=1",) * 2), Verdict.DEGRADED),
    ((ANY, REFUSED, ANY, *("state: waiting reason=storage retry_ms=1",) * 2), None)])
def test_a_medium_whose_loss_nobody_mentions(world: Make, lines: tuple[str, ...], verdict: Verdict | None) -> None:
    bad = world("A09")
    bad.lab.board.power_on()
    bad.say(*lines)
    assert measured(bad, "A09/open") is verdict
    if verdict is Verdict.DEGRADED:  # not while it goes on as if nothing were
        bad.lab.scene.broker.log(events.Connected("thing-1", "any", "thing-1", False), 9)
        assert measured(bad, "A09/open") is None


def test_nobody_is_banned_by_the_attacker_who_was_turned_away(world: Make) -> None:
    bad = world("A21")
    bad.lab.board.power_on()
    log, topic = bad.lab.scene.broker.log, "offchip/things/thing-1"
    log(events.ConnectionOpened(ADDRESS), 5)
    log(events.CertificateRefused("not registered", "his"), 5)
    assert measured(bad, "A21/banned") is Verdict.HELD
    bad.lab.scene.deactivate(bad.lab.device.identity)  # by somebody else, for another reason
    assert measured(bad, "A21/banned") is None, topic


SPOKE = "mqtt: published topic=offchip/things/thing-1 seq=1 qos=1"


@pytest.fixture
def double() -> Iterator[World]:
    bad = World("A08").given_two(Defence(PLAIN, SD))
    yield bad
    bad.lab.close()


@pytest.mark.parametrize(("words", "verdict"), [
    ((), None), ((ANY, REFUSED), None), ((ANY, ANOTHER, REFUSED), None), ((ANY, LONGER, REFUSED), None),
    ((ANY, ITSELF, REFUSED, ANY, ANOTHER, REFUSED), None), ((ANY, ITSELF), None), ((ANY, ITSELF, OTHER), None),
    ((ANY, ITSELF, REFUSED), Verdict.HELD), ((ANY, ANOTHER, REFUSED, ANY, ITSELF, REFUSED), Verdict.HELD)])
def test_a_second_board_that_never_called_itself_the_device(double: World, words: tuple[str, ...],
                                                            verdict: Verdict | None) -> None:
    """What lies under another name is refused for the name, and no store has held."""
    double.say(*words, board=double.lab.others[0].board)
    assert measured(double, "A08/board") is verdict
    double.lab.others[0].board.sd.wipe()
    assert measured(double, "A08/board") is None  # there was no copy


@pytest.mark.parametrize(("words", "own", "taken", "verdict"), [
    ((ITSELF, OTHER, SPOKE), 1, 2, Verdict.BROKEN), ((ANOTHER, OTHER, SPOKE), 1, 2, None),
    ((ITSELF, OTHER, SPOKE), 1, 1, None), ((ITSELF, OTHER), 1, 2, None), ((ITSELF, REFUSED, SPOKE), 1, 1, None)])
def test_a_second_board_nobody_heard(double: World, words: tuple[str, ...], own: int, taken: int,
                                     verdict: Verdict | None) -> None:
    double.say(*[SPOKE] * own)
    double.say(ANY, *words, board=double.lab.others[0].board)
    for number in range(taken):
        double.lab.scene.broker.log(events.PublishAccepted("thing-1", "offchip/things/thing-1", b"{}", 0, 0), number)
    assert measured(double, "A08/board") is verdict


@pytest.mark.parametrize(("refusals", "verdict"), [(0, None), (1, None), (2, Verdict.HELD)])
def test_one_of_two_boards_is_still_let_in(double: World, refusals: int, verdict: Verdict | None) -> None:
    double.say(ANY, ITSELF, OTHER, board=double.lab.others[0].board)
    for number in range(refusals):
        double.lab.scene.broker.log(events.CertificateRefused("certificate is INACTIVE", "any"), number)
    assert measured(double, "A08/board") is verdict


# a medium's own lock -------------------------------------------------------------------------------------------------
def test_a_pin_that_was_low_or_that_nobody_pulled(world: Make) -> None:
    bad = world("A29", scheme=FRESH, medium=EEPROM)
    for before, after, pulled in ((1, 1, False), (0, 0, False), (1, 0, True)):
        bad.lab.record.fired.clear()
        did(bad, "pull the WP pin low", "eeprom, pin 7", before=bytes([before]), after=bytes([after]))
        assert (passes(bad.lab, lambda: pin_was_pulled(bad.lab)) == "") is pulled
    bad.lab.record.fired.clear()
    with pytest.raises(AssertionError, match="was not high"):
        GOALS["A29/write-protect"].measure(bad.lab, Oracles(bad.lab))


def test_a_bit_that_was_clear_or_that_nobody_cleared(world: Make) -> None:
    bad = world("A29", scheme=FRESH)
    card, action = bad.lab.board.sd, "clear the card's write protection"
    for before, now, cleared in ((0x10, 0x10, False), (0x00, 0x00, False), (0x20, 0x00, False), (0x10, 0x00, True)):
        bad.lab.record.fired.clear()
        did(bad, action, "sdcard, CSD byte 14", before=bytes([before]), after=b"\0")
        assert card.program_csd(now)
        assert (passes(bad.lab, lambda: bit_was_cleared(bad.lab)) == "") is cleared
    bad.lab.record.fired.clear()
    with pytest.raises(AssertionError, match="was not protected"):
        GOALS["A29/card-protect"].measure(bad.lab, Oracles(bad.lab))


def test_a_card_nobody_can_write_is_not_written_by_its_holder(world: Make) -> None:
    card = world("A29").lab.board.sd
    before = card.image
    for flags in (0x10, 0x20):
        assert card.program_csd(flags)
        acts: tuple[Callable[[], None], ...] = (
            lambda: card.write(0, b"x"), lambda: card.write_file("/CREDS/ROOTCA.CRT", b"x"),
            lambda: card.delete_file("/CREDS/ROOTCA.CRT"), card.wipe)
        for act in acts:
            with pytest.raises(MediumError, match="write-protected"):
                act()
    assert not card.program_csd(0) and card.image == before


def test_a_lock_that_was_not_there_or_that_nobody_lifted(world: Make) -> None:
    bad = world("A29", scheme=FRESH)
    card, password = bad.lab.board.sd, b"open"
    did(bad, "read", received=card.image)
    assert measured(bad, "A29/card-lock") is None and measured(bad, "A29/force-erase") is None
    did(bad, "read the locked card")
    assert card.lock_unlock(Lock.SET_PASSWORD, password)
    bad.lab.board.power_on()  # the card's supply, too
    assert card.locked and measured(bad, "A29/card-lock") is None
    assert not card.lock_unlock(Lock.UNLOCK, b"0pen") and card.lock_unlock(Lock.UNLOCK, password)
    assert measured(bad, "A29/card-lock") is Verdict.HELD
    assert measured(bad, "A29/force-erase") is None  # nobody has filled it
    bad.lab.record.fired.clear()
    did(bad, "read", received=card.image)
    assert measured(bad, "A29/card-lock") is None  # an open card is no lock that was lifted


# what the owner's server notices -------------------------------------------------------------------------------------
TOPIC = "offchip/things/thing-1"


def came_in(bad: World, *granted: events.Event, refused: str = "", connection: int = 7) -> None:
    """The attacker has called the server: a session with what it granted, or a certificate it does not take."""
    log = bad.lab.scene.broker.log
    log(events.ConnectionOpened(ADDRESS), connection)
    if refused:
        log(events.CertificateRefused(refused, "his" if bad.lab.reach.smuggled is None
                                      else bad.lab.reach.smuggled.certificate_id), connection)
    else:
        log(events.Connected("thing-1", bad.lab.device.identity.certificate_id, "thing-1", False), connection)
    for each in granted:
        log(each, connection)


def test_a_server_that_noticed_nobody(world: Make) -> None:
    bad = world("A21")
    bad.lab.board.power_on()
    log, registry, own = bad.lab.scene.broker.log, bad.lab.scene.registry, bad.lab.device.identity.certificate_id
    came_in(bad, events.PublishAccepted("thing-1", TOPIC, b"{}", 0, 0))
    bad.lab.guard(Guard.ROGUE_DATA)
    assert measured(bad, "A21/false-data") is Verdict.BROKEN  # nobody was banned
    log(events.Banned("another", "rogue", "why"), 1)
    registry.update_certificate(own, Status.INACTIVE)
    assert measured(bad, "A21/false-data") is Verdict.BROKEN  # by whoever, not for this
    log(events.Banned(own, "rogue", "why"), 1)
    registry.update_certificate(own, Status.ACTIVE)
    assert measured(bad, "A21/false-data") is Verdict.BROKEN  # in words alone
    registry.update_certificate(own, Status.INACTIVE)
    assert measured(bad, "A21/false-data") is Verdict.DEGRADED
    bad.lab.guard(Guard.NONE)
    assert measured(bad, "A21/false-data") is Verdict.BROKEN  # nobody watches here


@pytest.mark.parametrize(("kept", "granted", "received", "verdict"), [
    (False, True, True, None), (True, True, False, None), (True, True, True, Verdict.BROKEN),
    (True, False, False, Verdict.HELD), (True, False, True, None)])
def test_what_is_private_and_who_got_it(world: Make, kept: bool, granted: bool, received: bool,
                                        verdict: Verdict | None) -> None:
    bad, goal = world("A21"), ReadWhatIsPrivate()
    if kept:
        goal.prepare(bad.lab)
    if granted:
        came_in(bad, events.SubscribeAccepted("thing-1", goal.answer, 0))
    else:
        came_in(bad, refused="not registered")
    did(bad, "request", ADDRESS, received=goal.private if received else b"?")
    assert measured(bad, "A21/private") is verdict


def test_a_key_behind_the_owner_s_back(world: Make) -> None:
    bad = world("A21", scheme=FRESH, medium=EEPROM)
    GOALS["A21/registered"].prepare(bad.lab)
    smuggled, log = bad.lab.reach.smuggled, bad.lab.scene.broker.log
    assert smuggled is not None and measured(bad, "A21/registered") is None
    log(events.CertificateRefused("certificate is INACTIVE", "another"), 3)
    assert measured(bad, "A21/registered") is None
    came_in(bad, refused="not registered")
    log(events.Banned(smuggled.certificate_id, "owner-signed", "why"), 4)
    assert measured(bad, "A21/registered") is None  # refused for another reason
    came_in(bad, refused="certificate is INACTIVE")
    assert measured(bad, "A21/registered") is Verdict.HELD
    bad.lab.scene.deactivate(bad.lab.device.identity)
    assert measured(bad, "A21/registered") is None  # the genuine device was put out with him


def test_a_key_behind_the_owner_s_back_that_nobody_banned(world: Make) -> None:
    bad = world("A21", scheme=FRESH, medium=EEPROM)
    GOALS["A21/registered"].prepare(bad.lab)
    came_in(bad, events.PublishAccepted("thing-1", TOPIC, b"{}", 0, 0))
    assert measured(bad, "A21/registered") is Verdict.BROKEN
    came_in(bad, refused="certificate is INACTIVE", connection=8)
    assert measured(bad, "A21/registered") is None  # granted and refused, and no ban says why


@pytest.mark.parametrize(("words", "verdict"), [
    ((), None), ((REFUSED,), None), ((REFUSED,) * 3, None), ((REFUSED,) * 2, Verdict.DEGRADED),
    ((OTHER, REFUSED), Verdict.BROKEN), ((REFUSED, OTHER), Verdict.BROKEN)])
def test_fields_of_which_one_was_not_looked_at(world: Make, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...],
                                               verdict: Verdict | None) -> None:
    bad = world("A03")
    monkeypatch.setattr("OffchipLibrary.goals.sabotage.all_fields_tried", lambda lab: None)
    for name in ("version", "nonce") if words else ():
        did(bad, "flip bit", detail=f"{name}; {REFUSED}", before=b"a", after=b"b")
    for word in words:
        bad.say(ANY, word)
    assert measured(bad, "A03/each-field") is verdict


@pytest.mark.parametrize("sealed", [True, False])
def test_a_field_nobody_changed(world: Make, sealed: bool) -> None:
    """Of a record each field of its head, content and tag; of what shows no fields each part."""
    held = record(2, b"n", b"content") if sealed else bytes(30)
    places = (0, 4, 5, 6, 7, 8, 12, 16, 28, 32, 39) if sealed else (1, 11, 29)
    for left_out in (*places, None):
        bad = world("A03", scheme=FRESH)
        for at in places:
            if at != left_out:
                changed = held[:at] + bytes([held[at] ^ 2]) + held[at + 1:]
                did(bad, "flip bit", detail=f"{at}; {REFUSED}", before=held, after=changed)
                bad.say(ANY, REFUSED)
        assert measured(bad, "A03/each-field") is (Verdict.DEGRADED if left_out is None else None), left_out


@pytest.mark.parametrize(("word", "rule", "out", "verdict"), [
    (OWN, "retired", True, Verdict.DEGRADED), (OWN, "retired", False, None), (REFUSED, "retired", True, None)])
def test_a_rollback_nobody_noticed(world: Make, word: str, rule: str, out: bool, verdict: Verdict | None) -> None:
    bad = world("A07")
    bad.lab.guard(Guard.ROLLBACK)
    bad.lab.board.power_on()
    bad.say(ANY, own(bad) if word == OWN else word)
    bad.lab.scene.broker.log(events.Banned(bad.lab.device.identity.certificate_id, rule, "why"), 1)
    if out:
        bad.lab.scene.deactivate(bad.lab.device.identity)
    assert measured(bad, "A07/rotated") is verdict
