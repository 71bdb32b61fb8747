# SPDX-License-Identifier: Apache-2.0
"""The rows of a scenario as one page without a network, and as JSON."""

from __future__ import annotations

import json
from collections import Counter

from jinja2 import Environment

from offchip.scenario.fire import Row, Verdict
from offchip.scenario.model import Scenario

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ name }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .35rem .6rem; vertical-align: top }
tr { border-bottom: 1px solid #ddd } .broken { color: #b00020; font-weight: 600 } .held { color: #1b6e32 }
.judged { color: #777 } code { font-size: .85em } details { color: #555 }
</style>
<h1>{{ name }}</h1>
<p>{{ summary }}. Firmware: {% for each in images %}<code>{{ each }}</code> {% endfor %}; the device counts as working
when <code>{{ uart }}</code> says <code>{{ success }}</code> within {{ within }} s of virtual time.</p>
<table><tr><th>attack<th>target<th>verdict<th>what happened</tr>
{% for row in rows %}<tr><td>{{ row.attack }} {{ row.title }}<td>{{ row.target }}
<td class="{{ row.verdict.value.split()[-1] }}">{{ row.verdict.value }}<td>{{ row.told }}
{% if row.evidence %}<details><summary>evidence</summary>{% for each in row.evidence[:8] %}
<div><code>{{ "%.6f"|format(each.time_ns / 1e9) }} s</code> {{ each.action }} {{ each.place }} {{ each.detail }}</div>
{% endfor %}</details>{% endif %}</tr>
{% endfor %}</table>
<p>Secrets are named as the scenario numbers them; none is in this page.</p>
"""


def summary(rows: list[Row]) -> str:
    """One sentence's worth of numbers."""
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)


def page(scenario: Scenario, rows: list[Row]) -> str:
    """The page."""
    return Environment(autoescape=True).from_string(_PAGE).render(
        name=scenario.path.stem, rows=rows, summary=summary(rows), images=[each.name for each in scenario.images],
        uart=scenario.uart, success=scenario.success.pattern, within=f"{scenario.within_s:g}")


def record(scenario: Scenario, rows: list[Row]) -> str:
    """The same for a program. Evidence of a secret keeps its place and digest, not its bytes."""
    records = [row.record() for row in rows]
    for each in records:
        for evidence in each["evidence"]:
            for content in ("before", "after", "sent", "received"):
                if content in evidence:
                    del evidence[content]["head"]
    return json.dumps({"scenario": scenario.path.name, "rows": records}, indent=1) + "\n"
