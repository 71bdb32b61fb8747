# SPDX-License-Identifier: Apache-2.0
"""Power cuts by the campaign: a reduced set with every step that commits, and a tool that notices its own mistakes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offchip import vault
from offchip.campaign import gate
from offchip.campaign.crowd import Trace, engine_of
from offchip.campaign.cuts import Cuts, Report, ToolFailed
from offchip.campaign.joining import Diary
from offchip.campaign.ledger import Ledger, record, table
from offchip.campaign.nonvolatile import Base, State, capture, differing
from offchip.campaign.operations import NEW, RESET, Provision, Reset, Rotation, Turn
from offchip.campaign.operations import Operation as Operation_
from offchip.cli import app
from offchip.engines.protocol import Operation, StorageEvent, Tear
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE
from offchip.scene.defence import Defence


def provision(scheme: str = "split") -> Provision:
    return Provision(Defence(vault.scheme(scheme), vault.SD), FIRMWARE, 1)


def test_every_commit_of_a_first_boot_ends_in_sealed_credentials() -> None:
    report = Cuts(provision(), check_every=32, second="none", connect="none", shapes=("complete",)).run()
    assert report.failures == [] and report.lost == []
    assert {case.verdict for case in report.first} == {NEW}
    assert report.steps["flash-word"] > 20 and report.steps["sd-block"] >= 4 and report.steps["flash-erase"] >= 1
    assert report.checked >= 2 and report.points == sum(report.steps.values())


def test_a_state_that_was_computed_wrongly_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool loses one bit of what a step writes: its own check has to say so."""
    right, complete = State.after, Tear(1 << 30)

    def wrong(self: State, operation: Operation, tear: Tear = complete) -> State:
        state = right(self, operation, tear)
        if operation.event is StorageEvent.SD_BLOCK:
            return state.put("sdcard", operation.offset, b"\x55")
        return state

    monkeypatch.setattr(State, "after", wrong)
    with pytest.raises(ToolFailed, match="do not add up"):
        Cuts(provision(), second="none", connect="none", shapes=("complete",)).run()


def test_states_are_equal_exactly_when_their_bytes_are() -> None:
    device = provision().build()
    try:
        base = Base(device.board)
        empty = capture(device.board, base)
        assert empty.key == State(base, {}).key and not empty.units
        one = empty.put("eeprom", 510, b"\x00\x01\x02\x03")
        assert one.key != empty.key and one.put("eeprom", 510, b"\xff" * 4).key == empty.key
        assert differing([one]) == [("eeprom", 7), ("eeprom", 8)]  # pages
        assert empty.overlaid(one.cells({})).key == one.key and one.cells(one.units) == {}
        one.apply(device.board)
        assert capture(device.board, base).key == one.key
        one.take_back(device.board)
        assert capture(device.board, base).key == empty.key
        word = Operation(StorageEvent.FLASH_WORD, "flash", 0x8000, b"\xf0\xff\xff\xff", b"\x0f\x00\x00\x00")
        assert word.torn(Tear(2)) == b"\x00\x00\xff\xff"  # programming never raises a bit
        trace = Trace([word], [empty])
        assert len({state.key for _, state in trace.cuts()}) == 5
    finally:
        device.board.close()


def test_a_run_is_joined_only_where_it_looked_at_nothing_else() -> None:
    """One word was looked at, one erased, one only watched: the run joined must have held the same in the first,
    and in every word nobody watched."""
    device = provision().build()
    try:
        base = Base(device.board)
        held, words = State(base, {}), [0x8000 + 4 * number for number in range(4)]
        diary = Diary()
        diary.mark(b"here", 0, held.units, 6)
        diary.looked(("flash", words[0] // 4), held.read("flash", words[0], 4))
        diary.overwritten("flash", words[1], 4)
        diary.looked(("flash", words[1] // 4), b"new!")
        story = diary.story([], "new", b"")
        (mark,) = story.marks
        watched = {("flash", word // 4) for word in words[:3]}
        fits = [story.fits(mark, held.put("flash", word, b"\x12\x34\x56\x78"), watched) for word in words]
        assert story.fits(mark, held, watched) and fits == [False, True, True, False]
        parted = Diary()  # the run itself found something else there than it thought at the mark
        parted.mark(b"here", 0, held.units, 6)
        parted.looked(("flash", words[0] // 4), b"torn")
        story = parted.story([], "new", b"")
        (mark,) = story.marks
        assert not story.fits(mark, held, watched) and story.fits(mark, held.put("flash", words[0], b"torn"), watched)
        twice = Diary()  # it is asked of either mark on both sides of a pipe
        for steps, looked in enumerate(words[:2]):
            twice.mark(b"here", steps, held.units, 6)
            twice.looked(("flash", looked // 4), held.read("flash", looked, 4))
        story, torn = twice.story([], "new", b""), held.put("flash", words[0], b"torn")
        for _ in range(20):
            assert [story.fits(mark, torn, watched) for mark in story.marks] == [False, True]
            story = pickle.loads(pickle.dumps(story))
    finally:
        device.board.close()


def test_torn_words_of_a_first_boot_are_judged_by_few_runs_and_some_of_the_others_really() -> None:
    """What is torn in an entry of the log is passed over: devices come together and go on as one; that is checked."""
    report = Cuts(provision(), check_every=4, most_checked=4, second="none", connect="none",
                  shapes=("one byte", "half"), events=(StorageEvent.FLASH_WORD,)).run()
    assert report.good and {case.verdict for case in report.first} == {NEW}
    assert report.runs <= 8 and report.joined >= report.distinct - report.runs
    assert report.checked >= 3


def test_who_comes_to_the_parser_with_known_credentials_goes_no_further() -> None:
    """... and nothing is known of one who does more than parse them."""
    header = (FIRMWARE.parents[1] / "src/vault/config.h").read_text()
    assert f"CONFIG_ANCHORS_MAX = {gate.ANCHORS}" in header
    device, passed = provision().build(), gate.Gate(FIRMWARE)
    try:
        device.board.power_on()
        engine, runs = engine_of(device.board), list[str]()

        def decide(answer: str = "new") -> str:
            device.board.run(0.2)
            runs.append(answer)
            return answer

        assert passed.decide(engine, decide, int) == "new" and runs == ["new"] and len(passed.known) == 1
        device.board.power_cycle()
        assert passed.decide(engine, decide, int) == "new" and runs == ["new"], "known by what it would parse"
        device.board.power_cycle()
        passed.known.clear()
        assert passed.decide(engine, decide, lambda: len(runs)) == "new" and not passed.known, "it went on and did more"
    finally:
        device.board.close()


@pytest.mark.parametrize(("operation", "events"), [(Turn, (StorageEvent.FLASH_WORD, StorageEvent.FLASH_ERASE)),
                                                   (Reset, (StorageEvent.FLASH_ERASE,))])
def test_every_commit_of_what_a_device_does_with_its_owner(operation: type[Operation_],
                                                           events: tuple[StorageEvent, ...]) -> None:
    """Cut behind each word and erase of a rotation for which the counters' sector is full, and each erase of a reset's:
    no device is lost, and one of each class publishes again."""
    cut = operation(Defence(vault.scheme("fresh"), vault.EEPROM), FIRMWARE, 1)
    report = Cuts(cut, check_every=1000, second="none", shapes=("complete",),
                  events=events).run()
    assert report.failures == [] and report.lost == []
    assert {case.verdict for case in report.first} == {*operation.good}
    assert report.checked >= len(operation.good) and report.connected >= len(operation.good)
    assert report.runs <= report.distinct <= report.points


def test_a_ledger_goes_on_where_it_was_and_believes_nothing_found_otherwise(tmp_path: Path) -> None:
    found = record(Report("reset", (RESET,), first=[], cpu_s=3.0, check_s=1.0))
    ledger = Ledger(tmp_path / "all", {"seed": 1})
    assert ledger.found("fresh", "sd", "reset") is None
    ledger.keep("fresh", "sd", "reset", found)
    assert ledger.found("fresh", "sd", "reset") == found
    assert Ledger(tmp_path / "all", {"seed": 2}).found("fresh", "sd", "reset") is None
    (tmp_path / "all/fresh-sd-reset.json").write_text("{")
    assert ledger.found("fresh", "sd", "reset") is None
    lost = {**found, "cuts": 1200, "ends": {"lost": 1, "reset": 1199}, "good": False}
    rows = table({("fresh", "sd", "reset"): lost, ("fresh", "sd", "turn"): None}).splitlines()
    assert "| 1,200 | 0 | **lost 1, reset 1,199** |" in rows[2] and "| turn | not run |" in rows[3]
    assert len({row.count("|") for row in rows}) == 1


@pytest.mark.parametrize(("arguments", "said"), [
    (["--scheme", "nosuch"], "no scheme 'nosuch'"), (["--medium", "tape"], "no medium 'tape'"),
    (["--scheme", "internal", "--medium", "sd"], "does not go with medium 'sd'"),
    (["--json", "x.json", "--elf", "none.elf"], "--json is of one scheme and medium"),
    (["--elf", "none.elf"], "none.elf: cannot read")])
def test_a_choice_of_nothing_is_told_from_nothing_left_to_do(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["cuts", "--all", str(tmp_path / "all"), *arguments])
    assert isinstance(done.exception, OffchipError) and said in str(done.exception)
    assert not (tmp_path / "all").exists()


def test_without_labels_a_record_is_of_the_chunk_its_head_names() -> None:
    """Under `sealed` the key's new record opens as any other chunk, too, whose version is the old one."""
    rotation = Rotation(Defence(vault.scheme("sealed"), vault.EEPROM), FIRMWARE, 1)
    device = rotation.build()
    try:
        rotation.perform(device)
        assert rotation.examine(device, NEW) == NEW
    finally:
        device.board.close()
