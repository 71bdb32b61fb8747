# SPDX-License-Identifier: Apache-2.0
"""Records as a run of the matrix leaves them, made up: every scheme on every medium, and what theory says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from offchip.report.build import Judged, RunFacts, build_report
from offchip.report.matrix import NoCells
from offchip.report.record import SCHEMA
from offchip.vault import SCHEMES

HOST = {"started": "2026-11-27T02:30:00+00:00", "offchip": "0.1.0", "command": "offchip run", "commit": "c" * 40,
        "seconds": {}}
CODE = {"config": 2048, "internal": 45, "medium": 70, "medium_eeprom": 130, "medium_sd": 513, "plain": 3480,
        "vault": 9000}
CLEAR, TRUSTING = {"plain"}, {"plain", "split-plain"}
STALE = CLEAR | {"encrypted", "sealed", "labelled"}
#: attack/variant -> schemes that lose
LOSERS: dict[str, set[str]] = {
    "A01/read": CLEAR, "A02/boot": CLEAR, "A03/flip-anchor": TRUSTING | {"encrypted"},
    "A03/each-field": TRUSTING | {"encrypted", "sealed"}, "A04/redirect": TRUSTING,
    "A04/firmware": TRUSTING, "A05/swap": TRUSTING | {"sealed"}, "A06/transplant": CLEAR | {"fleet-key"},
    **dict.fromkeys(("A07/whole", "A07/rotated", "A07/retired-ca", "A11/older"), STALE),
    **dict.fromkeys(("A11/torn", "A11/torn-late", "A12/forged", "A12/stale", "A16/cut"), set()),
    **dict.fromkeys(("A21/false-data", "A21/banned"), CLEAR), "A08/clone": CLEAR,
    "A08/board": CLEAR | {"fleet-key"}, "A09/wipe": set(),
    "A19/device": set(), "A20/another-unit": {"fleet-key"}, "A27/mutual": CLEAR, "A27/server-only": TRUSTING,
    "A29/write-protect": TRUSTING, "A29/card-protect": TRUSTING, "A29/card-lock": CLEAR, "A29/force-erase": CLEAR,
    "A30/read": set(SCHEMES), "A30/forge": set(SCHEMES), "A30/deactivated": set(),
}
#: rows in which a device that does not lose is out of service
OUT_OF_SERVICE = {"A03/flip-anchor", "A03/each-field", "A09/wipe"}
ONLY_OUTSIDE = {"A01", "A02", "A03", "A04", "A05", "A06", "A07", "A09", "A11", "A12", "A16", "A29"}


def cells() -> Iterator[tuple[str, str]]:
    """(id of a cell, its verdict)"""
    for scheme in SCHEMES.values():
        for medium in scheme.media:
            for row, losers in LOSERS.items():
                if medium.name == "none" and row[:3] in ONLY_OUTSIDE:
                    continue
                kept = "degraded" if row in OUT_OF_SERVICE else "held"
                yield f"{row}/{scheme.name}/{medium.name}", "broken" if scheme.name in losers else kept
            for level in (0, 1, 2):
                place = f"{scheme.name}/{medium.name}" + (f"/rdp{level}" if level != 1 else "")
                yield f"A13/dump/{place}", "held" if level == 2 else "broken"
            for wish in ("publish", "subscribe", "private"):
                yield f"A21/{wish}/{scheme.name}/{medium.name}", "held"
                wide = "broken" if scheme.name in CLEAR else "held"
                yield f"A21/{wish}/{scheme.name}/{medium.name}/wide", wide
            yield from _guarded(scheme.name, medium.name)


def _guarded(scheme: str, medium: str) -> Iterator[tuple[str, str]]:
    """Under one measure more, where it can change anything."""
    place = f"{scheme}/{medium}"
    yield f"A13/dump/{place}/tamper", "degraded"
    if scheme in CLEAR:
        yield from ((f"A08/{row}/{place}/deactivation", "held") for row in ("clone", "board"))
        yield f"A08/board/{place}/clone-detection", "degraded"
        yield from ((f"A08/clone/{place}/{guard}", "broken") for guard in ("clone-detection", "rogue-data"))
        yield f"A21/false-data/{place}/rogue-data", "degraded"
    if scheme in STALE:
        yield f"A07/rotated/{place}/rollback-detection", "degraded"
    if scheme in ("internal", "fresh"):
        yield f"A13/past-the-lid/{place}/tamper", "broken"
        yield f"A21/registered/{place}", "broken"
        yield f"A21/registered/{place}/owner-signed", "held"


def record(cell: str, verdict: str) -> dict[str, Any]:
    attack, _, scheme, medium, *_ = cell.split("/")
    fired = {"attack": attack, "action": "read", "place": f"{medium}:/CREDS/DEVICE.KEY", "time_ns": 1_200_000_000,
             "received": {"size": 241, "sha256": "ab" * 32, "head": "2d2d2d2d2d424547494e"},
             "detail": "241 bytes, 1 private keys in them"}
    timeline = [(3_000_000, "console", "boot: offchip 0.1.0 reset=power-on"),
                (1_636_000, "bus", "SD card, blocks 0, 65, 97, 101-102 read"),
                (1_414_500_000, "network", "the device calls iot.offchip.test:8883"),
                (2_022_000_000, "broker", "connected: client id thing-1, certificate id e1c66f5f4978, thing thing-1"),
                (2_047_000_000, "console", "mqtt: connected"),
                (6_000_000_000, "media", "sdcard: changed since the start: block 107")]
    return {"schema": SCHEMA, "scenario": scenario(cell), "claim": cell, "cell": cell, "attack": attack,
            "defence": {"scheme": scheme, "medium": medium}, "engine": "embedded (1)", "elf_sha256": "ef" * 32,
            "seed": 1, "virtual_time_ns": 6_000_000_000, "instructions": 61_704_479, "fired": [fired],
            "observations": ["the attacker's client connected as thing-1"], "captures": [], "verdict": verdict,
            "predicted": verdict, "why": "so theory says", "proven": True,
            "reason": f"the goal was {'reached' if verdict == 'broken' else 'missed'}",
            "timeline": [{"time_ns": ns, "lane": lane, "text": text} for ns, lane, text in timeline]}


def scenario(cell: str) -> str:
    _, _, scheme, medium, *_ = cell.split("/")
    return f"{scheme} {medium}.{cell}"


def report(folder: Path, *, changes: dict[str, dict[str, Any]] | None = None, only: str = "",
           scope: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    """Write a report of made-up cells. ``changes``: cell -> fields of its record; ``only``: cells with this in them."""
    changes = changes or {}
    (folder / "records").mkdir(parents=True)
    claims = [Judged("01 Baseline", "The Device Connects", "", "PASS", "")]
    base = record("A01/read/plain/sd", "broken") | {"cell": "", "attack": "", "scenario": claims[0].key, "fired": [],
                                                    "verdict": None}
    (folder / "records/base.json").write_text(json.dumps(base))
    for number, (cell, verdict) in enumerate(cells()):
        if only not in cell:
            continue
        suite, _, name = scenario(cell).partition(".")
        claims.append(Judged(suite, name, "", "FAIL" if changes.get(cell, {}).get("proven") is False else "PASS",
                             changes.get(cell, {}).get("message", "")))
        (folder / f"records/{number}.json").write_text(json.dumps(record(cell, verdict) | changes.get(cell, {})))
    for number, (scheme, medium, instructions) in enumerate([
            ("internal", "none", 59_000_000), ("plain", "sd", 61_704_479), ("plain", "eeprom", 61_900_000),
            ("fresh", "sd", 62_900_000), ("fresh", "eeprom", 63_202_912), ("split", "sd", 62_100_000)]):
        cost = {"scheme": scheme, "medium": medium, "instructions": instructions, "virtual_ms": 2047.5,
                "bus_bytes": 9300, "flash_erases": 0, "eeprom_writes": 0, "sd_writes": 2}
        name = f"{scheme} on {medium} has its price"
        claims.append(Judged("08 Cost", name, "", "PASS", ""))
        (folder / f"records/cost{number}.json").write_text(
            json.dumps(base | {"scenario": f"08 Cost.{name}", "cost": cost}))
    skipped = (NoCells("A02/boot", "internal", "nothing crosses a bus"),)
    facts = RunFacts("embedded", "ef" * 32, 1, scope, skipped, CODE)
    return build_report(folder, facts, claims, HOST, {}, **options)
