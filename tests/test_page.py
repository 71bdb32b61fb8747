# SPDX-License-Identifier: Apache-2.0
"""The report as a reader sees it, in a headless Chromium where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from offchip.report.build import Judged, RunFacts, build_report
from offchip.report.record import SCHEMA

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAME = "With A Name That Is Long Enough To Need Two Lines Of A Phone"
CLAIMS = [Judged("06 Plain", f"Claim {number} {NAME}", "", status, message) for number, (status, message) in enumerate([
    ("PASS", ""), ("FAIL", "<script>document.title = 'x'</script> was seen | twice"), ("LOST", "it hung"),
    ("PASS", "")])]
#: measures the page in a frame of a phone's width and leaves what it found in the title
MEASURE = """<iframe id=f width=390 height=2000 srcdoc="PAGE"></iframe><script>
f.onload = () => { const d = f.contentDocument, cut = [];
  for (const e of d.querySelectorAll('td, th, p, h1')) { const r = e.getBoundingClientRect();
    if (e.closest('.scroll') || e.closest('thead') || !r.width) continue;
    if (r.right > 391 || r.left < 0) cut.push(e.textContent); }
  const hosts = [...d.querySelectorAll('td[data-name=host]')].filter(e => e.getBoundingClientRect().height > 0).length;
  document.title = JSON.stringify([d.documentElement.scrollWidth, cut, hosts, d.title]); };
</script>"""


def build(folder: Path) -> dict[str, Any]:
    (folder / "records").mkdir(parents=True)
    for n in (0, 3):
        claim = CLAIMS[n]
        record = {"schema": SCHEMA, "scenario": claim.key, "verdict": "held", "virtual_time_ns": 10**9, "attack": "A01",
                  "defence": {"scheme": "plain", "medium": "sd"}, "fired": [], "observations": ["x" * 200],
                  "reason": "r"}
        (folder / f"records/{n}.json").write_text(json.dumps(record))
    host = {"started": "2026-11-26T00:00:00+00:00", "offchip": "0", "command": "offchip run", "commit": "c" * 40,
            "seconds": {claim.key: 1.5 for claim in CLAIMS}}
    return build_report(folder, RunFacts("embedded", "ab" * 32, 1), CLAIMS, host, {})


def test_counts_equal_the_inventory_and_what_is_lost_is_not_run(tmp_path: Path) -> None:
    summary = build(tmp_path)
    assert (summary["total"], summary["proven"], summary["refuted"], summary["not_run"]) == (4, 2, 1, 1)
    assert not {"seconds", "started", "id"} & {key for row in summary["claims"] for key in row}
    assert "2026" not in (tmp_path / "results.json").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_no_column_is_lost_on_a_phone(tmp_path: Path) -> None:
    build(tmp_path)
    page = tmp_path / "phone.html"
    page.write_text(MEASURE.replace("PAGE", html.escape((tmp_path / "index.html").read_text(), quote=True)))
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
               "--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r"<title>(.*?)</title>", done.stdout.split("<iframe")[0] + done.stdout, re.DOTALL)
    assert found, done.stderr[-500:]
    width, cut, hosts, title = json.loads(html.unescape(found[1]))
    assert width <= 390 and cut == [] and hosts == 4
    assert title == "offchip: 2 of 4 claims proven"
