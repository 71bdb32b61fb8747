# SPDX-License-Identifier: Apache-2.0
"""Trials of what answers on reserved topics, and of the audits."""

from __future__ import annotations

import json

from offchip.broker import events
from offchip.broker.audit import audit
from offchip.trials.bench import THING, Bench, said, trial


def _answered(bench: Bench, topic: str, content: object, asks: bool = True) -> str:
    """What comes to a thing that asks."""
    client = bench.client()
    if asks:
        client.subscribe(f"{topic}/+")
    client.publish(topic, json.dumps(content).encode())
    answers = ", ".join(each.topic.rsplit("/", 1)[1] for each in client.messages) or "nothing"
    noted = ", ".join(type(each).__name__ for each in bench.broker.events
                      if isinstance(each, events.NotModelled | events.RuleInvoked))
    return f"answer: {answers}; the connection {'stays' if client.connected else 'ends'}; events: {noted or 'none'}"


@trial()
def basic_ingest(bench: Bench) -> str:
    """A message straight to a rule."""
    return _answered(bench, "$aws/rules/store/a", {}, asks=False)


@trial()
def shadows(bench: Bench) -> str:
    """A thing reports its state."""
    return _answered(bench, f"$aws/things/{THING}/shadow/update", {"state": {"reported": {"on": True}}})


@trial()
def jobs(bench: Bench) -> str:
    """A thing asks what there is to do."""
    return _answered(bench, f"$aws/things/{THING}/jobs/get", {})


@trial()
def device_defender(bench: Bench) -> str:
    """A thing reports its metrics."""
    return _answered(bench, f"$aws/things/{THING}/defender/metrics/json", {"header": {"report_id": 1}})


@trial()
def file_delivery(bench: Bench) -> str:
    """A thing asks for a file."""
    return _answered(bench, f"$aws/things/{THING}/streams/s/describe/json", {}, asks=False)


@trial()
def commands(bench: Bench) -> str:
    """A thing answers a command."""
    return _answered(bench, f"$aws/commands/things/{THING}/executions/1/response/json", {"status": "SUCCEEDED"})


@trial()
def device_location(bench: Bench) -> str:
    """A thing asks where it is."""
    return _answered(bench, f"$aws/device_location/{THING}/get_position_estimate", {})


@trial()
def audit_delay_seconds(bench: Bench) -> str:
    """A certificate in two hands; the audit looks a second before the end of its memory, and a second behind it."""
    def seen(seconds: int) -> bool:
        fresh = bench.again()
        fresh.client("first")
        fresh.client("second")
        fresh.wait(seconds)
        return any(each.check == "DEVICE_CERTIFICATE_SHARED_CHECK" for each in audit(fresh.broker))
    delay = bench.profile.audit_delay_seconds
    return (f"a shared certificate is found after {delay} s: {said(seen(delay))}, after {delay + 1} s: "
            f"{said(seen(delay + 1))}")
