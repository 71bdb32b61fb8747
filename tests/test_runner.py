# SPDX-License-Identifier: Apache-2.0
"""A run nobody can hurt himself with: what is not ours stays, what was lost is said, no half report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from offchip.attacks.catalogue import ATTACKS
from offchip.errors import OffchipError
from offchip.runner.inventory import read_inventory
from offchip.runner.preflight import why_not
from offchip.runner.results import MARKER, ResultsFolder
from offchip.runner.run import time_left
from tests import forked_cli

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "firmware/build/offchip.elf"
LIBRARY = "*** Settings ***\nLibrary    OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}\n"


def publish(path: Path, whole: bool = True, text: str = "new") -> Path:
    with ResultsFolder(path, whole) as folder:
        (folder.fresh / "index.html").write_text(text)
        (folder.fresh / "records").mkdir()
        (folder.fresh / "records/a.json").write_text(text)
        return folder.publish()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def suites(folder: Path, **texts: str) -> Path:
    folder.mkdir()
    for stem, text in texts.items():
        (folder / f"{stem}.robot").write_text(text)
    return folder


def offchip(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return forked_cli.offchip(*arguments, env={**os.environ, **environment})


def results_of(folder: Path) -> dict[str, str]:
    summary = json.loads((folder / "results.json").read_text())
    statuses = {row["claim"]: row["status"] for row in summary["claims"]}
    assert summary["total"] == len(statuses) == summary["proven"] + summary["refuted"] + summary["not_run"]
    return statuses


# the folder ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["/", "~", ".", "checkout", "link", "file", "link-to-file", "dangling/../file",
                                   "other-tool", "lookalike"])
def test_what_is_not_ours_is_refused_and_left(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    for folder in (home, tmp_path / "checkout/.git", tmp_path / "other-tool", tmp_path / "lookalike"):
        folder.mkdir(parents=True)
    for file in ("home/letter", "checkout/.git/HEAD", "other-tool/index.html", "file", "lookalike/results.json"):
        (tmp_path / file).write_text("mine")
    (tmp_path / "lookalike" / MARKER).write_text('{"tool": "another", "files": {}}')
    (tmp_path / "link").symlink_to(home)
    (tmp_path / "link-to-file").symlink_to(tmp_path / "file")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(OffchipError, match="--results"):
        publish(Path(str(home) if place == "~" else place))
    assert tree(tmp_path) == before


def test_the_command_refuses_before_it_runs_anything(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("mine")
    for place in (tmp_path, "/", "."):
        done = offchip("run", "--results", place)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "--results" in done.stderr and tree(tmp_path) == {"letter": b"mine"}


def test_new_empty_and_own_folders_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "to-empty").symlink_to(tmp_path / "empty")
    for place in ("new", "deep/er/new", "to-empty", "to-empty"):
        publish(tmp_path / place, text="old")
        assert publish(tmp_path / place) == (tmp_path / place).resolve()
        assert (tmp_path / place / "index.html").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty", "new", "to-empty"]


@pytest.mark.parametrize("name", ["notes.txt", "records/mine.json", "sub/empty", "index.html"])
def test_a_file_of_the_user_beside_ours_stays(tmp_path: Path, name: str) -> None:
    results = publish(tmp_path / "results")
    mine = results / name
    if name == "sub/empty":
        mine.mkdir(parents=True)
    else:
        mine.write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(OffchipError, match=mine.name):
        publish(results)
    assert tree(tmp_path) == before and mine.exists()


def test_a_file_that_comes_during_the_run_stays(tmp_path: Path) -> None:
    results = publish(tmp_path / "results", text="old")
    with ResultsFolder(results, True) as folder:
        (folder.fresh / "index.html").write_text("new")
        (results / "notes.txt").write_text("mine")
        place = folder.publish()
    assert place != results and (place / "index.html").read_text() == "new"
    assert (results / "notes.txt").read_text() == "mine" and (results / "index.html").read_text() == "old"


def test_a_partial_run_does_not_replace_a_whole_report(tmp_path: Path) -> None:
    publish(tmp_path / "results")
    with pytest.raises(OffchipError, match="--suite"):
        publish(tmp_path / "results", whole=False)
    publish(tmp_path / "part", whole=False)
    publish(tmp_path / "part", whole=True)


def test_a_run_that_fails_leaves_nothing_and_the_old_report(tmp_path: Path) -> None:
    publish(tmp_path / "results", text="old")
    before = tree(tmp_path)
    for place in ("results", "not/yet/there"):
        with pytest.raises(RuntimeError), ResultsFolder(tmp_path / place, True) as folder:
            (folder.fresh / "index.html").write_text("new")
            raise RuntimeError
    assert tree(tmp_path) == before and [path.name for path in tmp_path.iterdir()] == ["results"]


def test_runs_that_end_at_the_same_time_leave_one_whole_report(tmp_path: Path) -> None:
    threads = [threading.Thread(target=publish, args=(tmp_path / "results", True, str(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    content = tree(tmp_path / "results")
    assert content["index.html"] == content["records/a.json"]


def on_a_small_disk(folder: Path, size: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run shell code in a mount namespace where ``folder`` is a disk of that size."""
    script = f"mount -t tmpfs -o size={size} none '{folder}' && cd '{folder}' && {{ {script}\n}}; echo end; ls"
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], text=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    if "end" not in done.stdout:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    return done


def test_a_small_disk_is_refused_before_the_run(tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path, "1m",
                           f"echo mine > mine; '{sys.executable}' -m offchip run --results here; echo $?")
    assert done.stdout.split() == ["2", "end", "mine"]
    assert "free" in done.stderr and "Traceback" not in done.stderr


def test_a_disk_that_fills_up_during_the_run_is_one_sentence_and_leaves_the_old_report(tmp_path: Path) -> None:
    fills = "*** Test Cases ***\nFills The Disk\n    Evaluate    open($RECORDS + '.x', 'wb').write(bytes(200 << 20))\n"
    folder = suites(tmp_path / "suites", s=LIBRARY + fills)
    disk = tmp_path / "disk"
    disk.mkdir()
    old = "from offchip.runner.results import ResultsFolder as R; from pathlib import Path\n" \
          "with R(Path('results'), False) as r: (r.fresh / 'index.html').write_text('old'); r.publish()"
    done = on_a_small_disk(disk, "80m", f"'{sys.executable}' -c \"{old}\"; '{sys.executable}' -m offchip run --suites "
                                        f"'{folder}' --results results; echo $?; cat results/index.html; echo")
    assert done.stdout.split() == ["2", "old", "end", "results"], done.stdout + done.stderr
    assert "disk is full" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


# the inventory -------------------------------------------------------------------------------------------------------
def test_the_inventory_is_what_robot_would_run() -> None:
    inventory = read_inventory(ROOT / "robot/suites", [], [])
    written = [suite.stem for suite in inventory if not suite.stem.startswith("matrix_")]
    assert written == sorted(path.stem for path in (ROOT / "robot/suites").glob("*.robot"))
    assert all(suite.recorded for suite in inventory), "each suite imports OffchipLibrary itself"
    (only,) = read_inventory(ROOT / "robot/suites", ["07"], ["*Level 1 Refuses*"])
    assert [claim.name for claim in only.claims] == ["Level 1 Refuses The Flash"]


@pytest.mark.parametrize(("include", "exclude", "stems"), [
    (["CWE-312"], [], {"06_plain"}), (["A09"], [], {"02_storage_faults", "08_enrolment", "11_vault"}),
    (["CWE-12*"], [], {"07_debug_port"}),
    (["CWE-295ANDCWE-345"], ["A17"], {"06_plain"}),
    (["functional"], ["cost"], {"01_baseline", "08_enrolment", "11_vault", "12_memory", "13_newcomers"})])
def test_claims_are_chosen_by_the_weaknesses_of_their_attacks(include: list[str], exclude: list[str],
                                                              stems: set[str]) -> None:
    chosen = read_inventory(ROOT / "robot/suites", include=include, exclude=exclude)
    assert {suite.stem for suite in chosen if not suite.stem.startswith("matrix_")} == stems
    for suite in chosen:
        for claim in suite.claims:
            for attack in ATTACKS.keys() & set(claim.tags):
                assert set(ATTACKS[attack].tags()) <= set(claim.tags)
    for wrong in ({"include": ["CWE-1"]}, {"exclude": ["CWE-1"]}, {"include": ["A01"], "exclude": ["CWE-312"]}):
        with pytest.raises(OffchipError, match="no test has a tag|choose nothing"):
            read_inventory(ROOT / "robot/suites", **wrong)


def test_robot_s_own_command_chooses_by_them_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "robot", "--prerunmodifier", "offchip.runner.tags.AttackTags", "--include",
               "CWE-312", "--dryrun", "--output", tmp_path / "o.xml", "--log", "NONE", "--report", "NONE",
               "--pythonpath", "robot"]
    for name, value in {"ENGINE": "embedded", "ELF": "", "RECORDS": "", "SEED": "1"}.items():
        command += ["--variable", f"{name}:{value}"]
    done = subprocess.run([*command, "robot/suites"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "3 tests, 3 passed" in done.stdout


def test_the_command_finds_the_cells_without_any_help(tmp_path: Path) -> None:
    """Nobody but pytest knows where OffchipLibrary lies."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-m", "offchip", "list", "claims"], cwd=ROOT, env=bare, capture_output=True,
                          text=True)
    assert done.returncode == 0 and "matrix_internal: " in done.stdout and "07_debug_port: " in done.stdout, done.stderr


def test_two_claims_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = suites(tmp_path / "s", a="*** Test Cases ***\nSame\n    No Operation\nSame\n    No Operation\n")
    with pytest.raises(OffchipError, match='"A.Same"'):
        read_inventory(folder, [], [])


def test_a_claim_that_hangs_and_a_process_that_dies_are_not_run_and_the_rest_counts(tmp_path: Path) -> None:
    folder = suites(
        tmp_path / "suites",
        hangs=LIBRARY + "*** Test Cases ***\nBefore\n    No Operation\nHangs [*]\n    Evaluate    time.sleep(900)\n"
                        "Behind\n    No Operation\n",
        dies=LIBRARY + "*** Test Cases ***\nFirst\n    No Operation\nDies\n    Evaluate    os.kill(os.getpid(), 9)\n"
                       "Third\n    No Operation\nFourth\n    No Operation\n",
        closes=LIBRARY + "Suite Teardown    Fail    a secret on the console\n*** Test Cases ***\nLooked Good\n"
                         "    No Operation\n",
        foreign="*** Test Cases ***\nWithout The Library\n    No Operation\n")
    # far longer than a process takes to start, however busy the host is
    done = offchip("run", "--suites", folder, "--results", tmp_path / "results", "--limit", "20", "--xunit",
                   tmp_path / "x.xml")
    assert done.returncode == 1, done.stderr
    assert results_of(tmp_path / "results") == {
        "Before": "proven", "Hangs [*]": "not run", "Behind": "proven",
        "First": "proven", "Dies": "not run", "Third": "not run", "Fourth": "not run",
        "Looked Good": "refuted", "Without The Library": "proven"}
    assert "4 of 9 claims proven, 1 refuted, 4 not run" in done.stderr
    assert "hung" in done.stderr and "signal 9" in done.stderr
    cases = {case.get("name"): [child.tag for child in case]
             for case in ElementTree.parse(tmp_path / "x.xml").iter("testcase")}
    assert len(cases) == 9 and cases["Third"] == ["error"] and cases["Looked Good"] == ["failure"]
    assert (tmp_path / "results/log.html").is_file()


def test_a_closing_check_that_never_came_takes_its_claims_with_it(tmp_path: Path) -> None:
    folder = suites(tmp_path / "suites", s=LIBRARY + "Suite Teardown    No Operation\n*** Test Cases ***\nFirst\n"
                                                     "    No Operation\nDies\n    Evaluate    os._exit(7)\n")
    done = offchip("run", "--suites", folder, "--results", tmp_path / "results")
    assert done.returncode == 2 and "exit code 7" in done.stderr, "not one claim is left"
    assert not (tmp_path / "results").exists()


def test_a_record_that_cannot_be_saved_is_no_proof(tmp_path: Path) -> None:
    spoil = "*** Test Cases ***\nLoses Its Record\n    Evaluate    pathlib.Path($RECORDS).write_text('')\n"
    folder = suites(tmp_path / "suites", s=LIBRARY + spoil)
    done = offchip("run", "--suites", folder, "--results", tmp_path / "results")
    assert done.returncode == 1
    assert results_of(tmp_path / "results") == {"Loses Its Record": "refuted"}


# the whole command ---------------------------------------------------------------------------------------------------
def test_a_firmware_that_crashes_at_once_judges_nothing(tmp_path: Path) -> None:
    source, elf = tmp_path / "a.c", tmp_path / "a.elf"
    source.write_text('__attribute__((section(".v"))) const unsigned v[2] = {0x20001000, 0x08000101};\n'
                      "void _start(void) { *(volatile unsigned *)0xE0000000 = 1; __asm__ volatile(\"udf #0\"); }\n")
    subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-nostdlib",
                    "-Wl,--section-start=.v=0x08000000,-Ttext=0x08000100", "-o", elf, source], check=True)
    done = offchip("run", "--elf", elf, "--suite", "07", "--results", tmp_path / "results")
    assert done.returncode == 1, done.stderr
    assert set(results_of(tmp_path / "results").values()) == {"not run"}
    rows = json.loads((tmp_path / "results/results.json").read_text())["claims"]
    assert all(row["message"].startswith("the firmware") and row["verdict"] is None for row in rows)


def test_a_firmware_that_says_nothing_judges_nothing(tmp_path: Path) -> None:
    source, elf = tmp_path / "a.c", tmp_path / "a.elf"
    source.write_text('__attribute__((section(".v"))) const unsigned v[2] = {0x20001000, 0x08000101};\n'
                      'void _start(void) { for(;;) __asm__ volatile("wfi"); }\n')
    subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-nostdlib",
                    "-Wl,--section-start=.v=0x08000000,-Ttext=0x08000100", "-o", elf, source], check=True)
    assert 'did not say "boot: ..."' in why_not("embedded", elf, 1)


def test_two_runs_at_once_with_one_seed_say_the_same_bytes_in_any_locale(tmp_path: Path) -> None:
    """Side by side in one checkout, one of them where the terminal knows only ASCII, into folders with a space."""
    command = [sys.executable, "-m", "offchip", "run", "--suite", "07", "--test", "Level 1 Refuses The Flash", "--test",
               "Going Back*", "--seed", "7"]
    ascii_only = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    runs = [subprocess.Popen([*command, "--jobs", jobs, "--results", tmp_path / name], cwd=ROOT, stderr=subprocess.PIPE,
                             stdout=subprocess.PIPE, env={**os.environ, **locale})
            for name, jobs, locale in (("a b", "1", ascii_only), ("c d", "2", {"LC_ALL": "C.UTF-8"}))]
    said = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    said[0][1].decode("ascii")
    first, second = ((tmp_path / name / "results.json").read_bytes() for name in ("a b", "c d"))
    assert first == second
    assert [json.loads(first)["seed"], *(row["record"]["seed"] for row in json.loads(first)["claims"])] == [7] * 3
    assert json.loads((tmp_path / f"a b/{MARKER}").read_text())["whole"] is False
    host = json.loads((tmp_path / "a b/host.json").read_text())
    assert host["started"].endswith("+00:00") and "--seed 7" in host["command"] and len(host["seconds"]) == 2


def named_below(pid: int) -> list[psutil.Process]:
    """The processes of suites, then what a claim began; others may end while they are looked at."""
    suites_, begun = [], []
    for each in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if each.name() == "sleep":
                begun.append(each)
            elif "robot" in each.cmdline():
                suites_.append(each)
    return suites_ + begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_when_the_run_is_ended_while_a_claim_hangs(tmp_path: Path, number: signal.Signals) -> None:
    # what it starts is soon nobody's child
    folder = suites(tmp_path / "suites", s="*** Test Cases ***\nHangs\n    Evaluate    subprocess.Popen(['sh', '-c', "
                    "'sleep 877 &'], start_new_session=True)\n    Evaluate    time.sleep(900)\n")
    run = subprocess.Popen([sys.executable, "-m", "offchip", "run", "--suites", folder, "--results", tmp_path / "r"],
                           cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True)
    started = time.monotonic()
    while not (below := named_below(run.pid)) or below[-1].name() != "sleep":
        assert time.monotonic() - started < 120
        time.sleep(0.1)
    run.send_signal(number)
    if number == signal.SIGTERM:
        assert run.wait(60) == 143
        assert sorted(path.name for path in tmp_path.iterdir()) == ["suites"]
    else:  # nobody is left to end what the claim itself started
        assert run.wait(60) == -number
        below.pop().kill()
    gone, alive = psutil.wait_procs(below, timeout=20)
    assert not alive


def test_help_sets_nothing_up(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "a checkout/scripts")
    for script in ("run", "monitor", "test", "setup"):
        done = subprocess.run([tmp_path / f"a checkout/scripts/{script}", "--help"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0 and "sage" in done.stdout, (script, done.stderr)
    assert [path.name for path in (tmp_path / "a checkout").iterdir()] == ["scripts"]


def test_the_script_names_every_option_of_the_command() -> None:
    said = subprocess.run([ROOT / "scripts/run", "--help"], capture_output=True, text=True, check=True).stdout
    from typer.main import get_command

    from offchip.cli import app

    command = get_command(app).commands["run"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts}
    assert not [name for name in options - {"--help"} if name.replace("--summary", "--no-summary") not in said]


def test_an_interrupted_run_keeps_what_it_decided_and_goes_on(tmp_path: Path) -> None:
    """The first claim is not run a second time."""
    started = tmp_path / "started"
    folder = suites(tmp_path / "suites", one=f"""*** Settings ***
Library    OperatingSystem
*** Test Cases ***
First
    Append To File    {tmp_path}/first    x
Second
    Append To File    {started}    x
    ${{times}} =    Get File    {started}
    IF    '${{times}}' == 'x'    Sleep    300 s
""")
    command = ("run", "--suites", folder, "--results", tmp_path / "results", "--jobs", "1")
    run = subprocess.Popen([sys.executable, "-m", "offchip", *map(str, command)], cwd=ROOT, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not started.exists():
        assert run.poll() is None
        os.sched_yield()
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 143 and "interrupted; 1 of 2 claims are kept" in said.splitlines()[-1], said
    assert results_of(tmp_path / "results") == {"First": "proven", "Second": "not run"}
    seed = offchip(*command, "--seed", "2", "--resume")
    assert seed.returncode == 2 and "another seed" in seed.stderr
    other = offchip(*command, "--test", "Second", "--resume")
    assert other.returncode == 2 and "another choice of claims" in other.stderr
    again = offchip(*command, "--resume")
    assert again.returncode == 0, again.stderr
    assert results_of(tmp_path / "results") == {"First": "proven", "Second": "proven"}
    assert (tmp_path / "first").read_text() == "x"
    assert offchip(*command, "--resume").returncode == 0
    none = offchip(*command[:-4], "--results", tmp_path / "none", "--resume")
    assert none.returncode == 2 and "no interrupted run" in none.stderr


@pytest.mark.parametrize("taken", ["", "folder", "file", "link", "dangling"])
def test_what_is_left_of_a_whole_run_takes_no_other_place(tmp_path: Path, taken: str) -> None:
    results, part = publish(tmp_path / "results", text="old"), tmp_path / "results-partial"
    if taken == "folder":
        part.mkdir()
        (part / "letter").write_text("mine")
    elif taken == "file":
        part.write_text("mine")
    elif taken:
        part.symlink_to(publish(tmp_path / "other", whole=False) if taken == "link" else tmp_path / "nowhere")
    before = tree(tmp_path)
    with ResultsFolder(results, whole=True) as folder:
        (folder.fresh / "index.html").write_text("half")
        folder.turn_to(part)
        place = folder.publish()
    assert (place / "index.html").read_text() == "half" and (place == part) is not bool(taken)
    now = tree(tmp_path)
    assert {name: now.get(name) for name in before} == before and part.is_symlink() is (taken in ("link", "dangling"))


@pytest.mark.parametrize(("seconds", "done", "total", "said"), [
    (5, 0, 100, ""), (5, 9, 100, ""), (60, 10, 100, ", about 9 min left"), (60, 90, 100, ", about 7 s left"),
    (60, 100, 100, ", about 0 s left"), (4, 1, 1, ", about 0 s left")])
def test_time_left_is_as_what_is_done(seconds: float, done: int, total: int, said: str) -> None:
    assert time_left(seconds, done, total) == said
