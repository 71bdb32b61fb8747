# SPDX-License-Identifier: Apache-2.0
"""Bare-metal probes of peripherals and core: each says facts, its source states the truth with chapter and verse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engines import ROOT, Bench, build_probe

PROBES = sorted((ROOT / "tests/probes").glob("*.c"))
_TRUTH = re.compile(r"^ \* truth: (\w+)=([0-9a-f]{8})", re.MULTILINE)
_FEED = re.compile(r"^ \* feed: (\w+) ([0-9a-f]+)", re.MULTILINE)
_LIMIT = re.compile(r"^ \* virtual seconds: ([0-9.]+)", re.MULTILINE)


@pytest.mark.parametrize("source", [each for each in PROBES if _TRUTH.search(each.read_text())], ids=lambda p: p.stem)
def test_probe_says_the_truth(source: Path, tmp_path: Path) -> None:
    text = source.read_text()
    limit = _LIMIT.search(text)
    with Bench("embedded", build_probe(source.stem, tmp_path)) as bench:
        for uart, data in _FEED.findall(text):
            bench.engine.feed_uart(uart, bytes.fromhex(data))
        said = bench.hear("end=probe\n", float(limit[1]) if limit else 1.0)
        facts = re.findall(r"(\w+)=([0-9a-f]{8})", said)
        assert dict(facts) == dict(_TRUTH.findall(text)), said
        assert "end=probe" in said, said
        unmodelled = [each for each in bench.engine.diagnostics() if each.kind == "unmodelled"]
        assert not unmodelled, unmodelled
