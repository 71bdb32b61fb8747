# SPDX-License-Identifier: Apache-2.0
"""The keyword library is documented and clean, and a run of the lab repeats to the instruction."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from offchip import vault
from offchip.board.create import create_board
from offchip.board.factory import Provisioning, provision
from offchip.pki import Authority
from offchip.report.record import Evidence, Record, Verdict

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "firmware/build/offchip.elf"
ROLES = {"attacker", "oracle", "owner", "bench"}


def test_libdoc_is_clean_and_every_keyword_has_one_role_and_a_text(tmp_path: Path) -> None:
    out = tmp_path / "lib.json"
    done = subprocess.run([sys.executable, "-m", "robot.libdoc", "--pythonpath", f"{ROOT / 'robot'}", "--pythonpath",
                           f"{ROOT}", "OffchipLibrary", out], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    keywords = json.loads(out.read_text())["keywords"]
    assert len(keywords) > 40
    for keyword in keywords:
        assert keyword["shortdoc"], keyword["name"]
        assert len(ROLES & set(keyword["tags"])) == 1, f"{keyword['name']} has roles {keyword['tags']}"
        for argument in keyword["args"]:
            assert argument["type"], f"{keyword['name']}: argument {argument['name']} is not typed"


def test_every_suite_resolves_its_keywords(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "robot", "--dryrun", "--output", "NONE", "--log", "NONE", "--report",
                           "NONE", "--pythonpath", f"{ROOT / 'robot'}", "--pythonpath", f"{ROOT}", "--variable",
                           "ENGINE:embedded", "--variable", f"ELF:{ELF}", "--variable", "RECORDS:",
                           f"{ROOT / 'robot/suites'}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_same_firmware_seed_and_inputs_give_the_same_instruction_count() -> None:
    def run(seed: int) -> tuple[int, list, int]:
        authority = Authority(1)
        device = authority.issue_device("thing-1")
        with create_board("embedded", elf=ELF, seed=seed) as board:
            provision(board.engine, Provisioning(
                "thing-1", "nowhere.test", ("a", "b"),
                vault.Credentials((authority.root.certificate_der,), device.certificate_der, device.key_der),
                vault.PLAIN, vault.SD))
            board.power_on()
            board.run(5)
            return board.engine.instructions, board.console.lines, board.engine.now_ns

    first, second, other = run(1), run(1), run(2)
    assert first == second
    assert len(first[1]) > 6
    assert other[0] != first[0], "the seed decides the jitter of the back-off, hence the instruction count"


def test_no_evidence_means_not_run() -> None:
    record = Record("suite.claim", "claim")
    record.judge(Verdict.HELD, "nothing came through")
    assert record.verdict is Verdict.NOT_RUN
    record.fired.append(Evidence("flip bit", "eeprom:100", 0, 1))
    record.judge(Verdict.HELD, "nothing came through")
    assert record.verdict is Verdict.HELD
