# SPDX-License-Identifier: Apache-2.0
"""A behaviour of the server is switched, and the verdict that depends on it changes; each verdict says whose rules it
was found under."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from offchip.broker.profile import load_profile
from offchip.paths import FIRMWARE
from offchip.scene import Scene

ROOT = Path(__file__).resolve().parent.parent
CLONE = "A08/clone/plain/sd"
DROPPED = "Device Deactivated While Connected Is Dropped And Cannot Return With Internal Credentials"


def offchip(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "offchip", *map(str, arguments)], cwd=ROOT, capture_output=True,
                          text=True, timeout=300, check=False)


def switched(folder: Path, behaviour: str) -> Path:
    """A profile of one's own in which one behaviour is off."""
    path = folder / "mine.toml"
    path.write_text(f'extends = "aws-2026"\n[{behaviour}]\nvalue = false\nsource = ""\ndate = "2026"\n'
                    'confidence = "assumed"\ntest = "none"\n')
    return path


def test_a_clone_is_turned_away_where_the_first_connection_wins(tmp_path: Path) -> None:
    usual = offchip("replay", CLONE)
    assert usual.returncode == 0 and f"{CLONE}  broken" in usual.stderr and "server's rules: aws-2026" in usual.stderr
    mine = offchip("replay", CLONE, "--profile", switched(tmp_path, "duplicate_client_id_takes_over"))
    assert mine.returncode == 1 and f"{CLONE}  held" in mine.stderr and "server's rules: mine" in mine.stderr


def test_a_deactivated_device_goes_on_where_deactivation_drops_nobody(tmp_path: Path) -> None:
    results = tmp_path / "results"
    done = offchip("run", "--suite", "04_client_identity", "--test", DROPPED, "--jobs", "1", "--results", results,
                   "--profile", switched(tmp_path, "inactive_drops_sessions"))
    assert done.returncode == 1, done.stderr
    summary = json.loads((results / "results.json").read_text())
    claim, = summary["claims"]
    assert summary["profile"] == claim["record"]["profile"] == "mine" and "profile mine" in summary["scope"]
    assert claim["status"] == "refuted" and "mqtt: published" in claim["message"]  # it goes on as if nothing were
    assert "server's rules mine" in (results / "summary.md").read_text()


def test_a_thief_is_refused_also_where_a_forbidden_act_ends_nothing(tmp_path: Path) -> None:
    """A server that goes on in silence has granted nothing: the verdict is that of one that hangs up."""
    cell = "A21/publish/plain/sd"
    done = offchip("replay", cell, "--profile", switched(tmp_path, "forbidden_publish_closes"))
    assert done.returncode == 0 and f"{cell}  held" in done.stderr and "PublishForbidden" in done.stderr, done.stderr
    assert "server's rules: mine" in done.stderr


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_device_connects_where_the_server_speaks_one_version_only(version: str) -> None:
    with closing(Scene(1, profile=load_profile().with_changes(tls_versions=(f"TLSv{version}",)))) as scene:
        device = scene.build(elf=FIRMWARE)
        device.board.power_on()
        device.board.console.wait_for(f"^tls: connected version=TLSv{version} ", 10)


@pytest.mark.parametrize(("profile", "said"), [("aws-1999", "known by name are aws-2018, aws-2026"),
                                               ("none.toml", "none.toml: no such profile")])
@pytest.mark.parametrize("command", [("run", "--suite", "04"), ("replay", CLONE), ("lab", "--no-device")])
def test_a_profile_nobody_has_is_one_line(command: tuple[str, ...], profile: str, said: str) -> None:
    done = offchip(*command, "--profile", profile)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
