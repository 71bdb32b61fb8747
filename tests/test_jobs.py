# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Jobs as a device meets them: notices, the next one, its end, and everything it may do wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offchip.broker.client import MqttClient
from offchip.broker.world import WIDE
from offchip.errors import BrokerError
from tests.broker_lab import THING, Lab

JOBS = f"$aws/things/{THING}/jobs"


@pytest.fixture
def lab() -> Lab:
    return Lab(policy=WIDE)


@pytest.fixture
def device(lab: Lab) -> MqttClient:
    client = lab.client()
    assert client.subscribe(f"{JOBS}/#")
    return client


def ask(device: MqttClient, what: str, **content: Any) -> tuple[str, dict[str, Any]]:
    assert device.publish(f"{JOBS}/{what}", json.dumps(content).encode())
    last = next(each for each in reversed(device.messages) if each.topic.startswith(f"{JOBS}/{what}/"))
    return last.topic.rpartition("/")[2], json.loads(last.payload)


def told(device: MqttClient, what: str) -> list[dict[str, Any]]:
    return [json.loads(each.payload) for each in device.messages if each.topic == f"{JOBS}/{what}"]


def test_a_job_from_its_notice_to_its_end(lab: Lab, device: MqttClient) -> None:
    lab.world.jobs.create("update-1", {"url": "x"}, [THING, "thing-2"])
    lab.world.jobs.create("update-2", {"url": "y"}, [THING])
    assert [each["execution"]["jobId"] for each in told(device, "notify-next")] == ["update-1"]
    assert [len(each["jobs"]["QUEUED"]) for each in told(device, "notify")] == [1, 2]
    kind, said = ask(device, "get", clientToken="t")
    assert kind == "accepted" and said["clientToken"] == "t" and said["inProgressJobs"] == []
    assert [each["jobId"] for each in said["queuedJobs"]] == ["update-1", "update-2"]
    _, said = ask(device, "start-next", statusDetails={"step": "1"})
    execution = said["execution"]
    assert (execution["status"], execution["versionNumber"]) == ("IN_PROGRESS", 2)
    assert execution["jobDocument"] == {"url": "x"}
    assert ask(device, "$next/get")[1]["execution"]["statusDetails"] == {"step": "1"}
    kind, said = ask(device, "update-1/update", status="SUCCEEDED", expectedVersion="2", includeJobExecutionState=True)
    assert kind == "accepted" and said["executionState"]["status"] == "SUCCEEDED"
    assert told(device, "notify-next")[-1]["execution"]["jobId"] == "update-2"
    assert ask(device, "update-2/update", status="REJECTED")[0] == "accepted"
    assert told(device, "notify")[-1]["jobs"] == {} and told(device, "notify-next")[-1]["execution"] == {}
    assert "execution" not in ask(device, "start-next")[1]
    assert lab.world.jobs.status("update-1", "thing-2") == "QUEUED"


def test_what_is_rejected(lab: Lab, device: MqttClient) -> None:
    lab.world.jobs.create("job", {}, [THING])
    for what, content, code in (
            ("none/get", {}, "ResourceNotFound"), ("job/update", {}, "InvalidRequest"),
            ("job/update", {"status": "DONE"}, "InvalidRequest"),
            ("job/update", {"status": "QUEUED"}, "InvalidStateTransition"),
            ("job/update", {"status": "SUCCEEDED", "expectedVersion": 7}, "VersionMismatch"),
            ("job/update", {"status": "SUCCEEDED", "statusDetails": {"a": 1}}, "InvalidRequest")):
        kind, said = ask(device, what, **content)
        assert (kind, said["code"]) == ("rejected", code), what
    assert ask(device, "job/update", status="FAILED")[0] == "accepted"
    assert ask(device, "job/update", status="SUCCEEDED")[1]["code"] == "TerminalStateReached"
    device.publish(f"{JOBS}/get", b"\xff")
    assert json.loads(device.messages[-1].payload)["code"] == "InvalidJson"


def test_a_job_is_its_thing_s_own(lab: Lab, device: MqttClient) -> None:
    lab.world.jobs.create("theirs", {}, ["thing-2"])
    for what in ("theirs/get", "theirs/update"):
        assert ask(device, what, status="FAILED")[1]["code"] == "ResourceNotFound"
    assert ask(device, "get")[1]["queuedJobs"] == [] and "execution" not in ask(device, "start-next")[1]
    assert lab.world.jobs.status("theirs", "thing-2") == "QUEUED"


def test_what_has_begun_is_not_cancelled(lab: Lab, device: MqttClient) -> None:
    lab.world.jobs.create("job", {}, [THING, "thing-2"])
    assert ask(device, "start-next")[1]["execution"]["status"] == "IN_PROGRESS"
    lab.world.jobs.cancel("job")
    assert [lab.world.jobs.status("job", thing) for thing in (THING, "thing-2")] == ["IN_PROGRESS", "CANCELED"]


def test_the_owner_s_side(lab: Lab, device: MqttClient) -> None:
    lab.world.jobs.create("job", {}, [THING])
    lab.world.jobs.cancel("job")
    assert lab.world.jobs.status("job", THING) == "CANCELED" and lab.world.jobs.status("job", "thing-9") == ""
    for act in (lambda: lab.world.jobs.create("job", {}, []), lambda: lab.world.jobs.cancel("none")):
        with pytest.raises(BrokerError):
            act()
