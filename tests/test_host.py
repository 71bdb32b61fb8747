# SPDX-License-Identifier: Apache-2.0
"""Which sources judged: two states of a checkout are told apart, so that no run goes on with another's verdicts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from offchip.runner import host


def test_changes_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", *arguments], check=True,
                       capture_output=True)

    monkeypatch.setattr(host, "ROOT", tmp_path)
    oracle = tmp_path / "oracle.py"
    oracle.write_text("assert 1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    clean = host._commit()
    states = [clean]
    for text in ("assert 2\n", "assert 3\n"):
        oracle.write_text(text)
        states.append(host._commit())
    assert len(set(states)) == 3 and all(each.startswith(clean) for each in states) and len(clean) == 40
    oracle.write_text("assert 1\n")
    assert host._commit() == clean
