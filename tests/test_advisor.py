# SPDX-License-Identifier: Apache-2.0
"""Device Advisor's tests: a good client passes each, a known-bad one fails it; the firmware; a client over TCP."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from advisor_clients import Device
from offchip.advisor.cases import CASES, NAMES, Verdict, _suites
from offchip.advisor.run import Firmware, OverTcp, page, record, run
from offchip.advisor.server import AdvisorServer, Moment, Record, Script
from offchip.broker.client import MqttClient
from offchip.broker.profile import load_profile
from offchip.errors import OffchipError
from offchip.interrupt import Interrupt
from offchip.lab.flash import Flash
from offchip.lab.live import Options, open_scene
from offchip.scene.scene import THING
from tests.broker_lab import HOST, Lab

BAD = {
    "TLS_Connect": "never", "TLS_Support_AWS_IoT_Cipher_Suites": "never",
    "TLS_Receive_Maximum_Size_Fragments": "no-puback", "TLS_Large_Size_Server_Cert": "never",
    "TLS_Unsecure_Server_Cert": "trusts-anybody", "TLS_Incorrect_Subject_Name_Server_Cert": "any-host",
    "TLS_Expired_Server_Cert": "ignores-dates", "MQTT_Connect": "never",
    "MQTT_Connect_Jitter_Backoff_Retries": "no-backoff", "MQTT_Connect_Exponential_Backoff_Retries": "no-backoff",
    "MQTT_Reconnect_Backoff_Retries_On_Server_Disconnect": "no-backoff",
    "MQTT_Reconnect_Backoff_Retries_On_Unstable_Connection": "no-backoff", "MQTT_Publish": "mute",
    "MQTT_Publish_Retry_No_Puback": "qos0", "MQTT_Subscribe": "mute", "MQTT_Subscribe_Retry_No_Suback": "mute",
    "MQTT_Client_Puback_Qos1": "no-puback", "MQTT_No_Ack_PingResp": "patient",
    "MQTT_Persistent_Session_Happy_Case": "clean", "MQTT_Expired_Persistent_Session": "clean",
    "Shadow_Publish_Reported_State": "mute", "Shadow_Update_Reported_State": "mute", "Job_Execution": "mute",
    "MQTT_Long_Duration": "no-backoff",
    "Security_Device_Policies": "wildcards"}


def verdicts(bad: str, *names: str) -> dict[str, tuple[str, str]]:
    return {each.name: (each.verdict, each.reason) for each in run(Device(bad), names or NAMES, lambda result: None)}


def test_a_good_client_passes_and_a_known_bad_one_fails_each() -> None:
    assert set(BAD) == set(NAMES)
    good = verdicts("")
    assert {name for name, (verdict, _) in good.items() if verdict == "FAIL"} == set(), good
    for name, bad in BAD.items():
        assert verdicts(bad, name)[name][0] == "FAIL", (name, bad)


def test_what_passes_with_warnings() -> None:
    name = "MQTT_Connect_Jitter_Backoff_Retries"
    assert verdicts("no-jitter", name)[name][0] == "PASS_WITH_WARNINGS"
    for suites, verdict in (((0x1301, 0xC02B), Verdict.PASS), ((0xC02B, 0x00FF, 0x1A1A), Verdict.PASS),
                            ((0xC02B, 0xCCA8), Verdict.WARNINGS), ((0xC030,), Verdict.WARNINGS),
                            ((0xCCA8,), Verdict.FAIL)):
        judged = _suites(Record(suites=suites))
        assert judged is not None and judged[0] is verdict, suites


def test_a_long_test_says_in_which_phase_a_device_failed() -> None:
    name = "MQTT_Long_Duration"
    for bad, phase in (("mute", "connect, subscribe, publish"), ("no-puback", "PUBACK"),
                       ("no-backoff", "reconnect with back-off")):
        verdict, reason = verdicts(bad, name)[name]
        assert verdict == "FAIL" and f"{phase}: " in reason.rpartition("; ")[2], (bad, reason)
    verdict, reason = verdicts("", name)[name]
    assert verdict == "PASS" and reason.count(": ") >= 8, reason
    tries = re.search(r"it tried (\d+) times in 600 s", reason)  # nobody judges before the time is over
    assert tries and int(tries[1]) > 5, reason


def test_no_phase_of_the_long_test_is_passed_by_too_little() -> None:
    def told(name: str, *seen: tuple[int, str]) -> Verdict | None:
        judged = phases[name].judge(Record([Moment(0.0, number, kind) for number, kind in seen]))
        return judged and judged[0]

    phases = {each.name: each for each in CASES[-1].phases}
    assert all(each.judge(Record()) is None for each in phases.values())
    for name in ("reconnect", "the server is back"):
        assert told(name, (1, "connect")) is None and told(name, (1, "connect"), (1, "publish")) is Verdict.PASS
    assert told("keep alive", (1, "tcp"), (1, "closed"), (2, "connect")) is None
    assert told("keep alive", (1, "connect"), (1, "closed")) is Verdict.PASS
    calm = phases["long server disconnect"].lasts_s / 2
    assert told("long server disconnect", *((n, "tcp") for n in range(round(calm)))) is Verdict.PASS
    assert told("long server disconnect", *((n, "tcp") for n in range(round(calm) + 1))) is Verdict.FAIL
    spoke = [(n // 2, "publish") for n in range(8)]
    assert told("intermittent connectivity", *spoke[:6]) is None
    assert told("intermittent connectivity", *spoke) is Verdict.PASS


def test_a_test_there_is_not_and_a_page_of_hostile_names() -> None:
    with pytest.raises(OffchipError, match="TLS_Conect"):
        run(Device(), ["TLS_Conect"])
    content = record("<script>", run(Device("never"), ["TLS_Connect"], lambda result: None))
    assert content["counts"] == {"PASS": 0, "PASS_WITH_WARNINGS": 0, "FAIL": 1} and json.dumps(content)
    assert "<script>" not in page(content) and "nobody connected" in page(content)


def test_the_firmware_refuses_whom_it_must_not_trust() -> None:
    names = ("TLS_Connect", "TLS_Expired_Server_Cert", "MQTT_Subscribe", "Security_Device_Policies")
    said = {each.name: each.verdict for each in run(Firmware(), names, lambda result: None)}
    assert said == dict.fromkeys(names, Verdict.PASS)


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed")
def test_what_connects_over_tcp(tmp_path: Path) -> None:
    scene, files = open_scene(Options(tmp_path))
    clients: list[threading.Thread] = []

    def start(case: object, port: int) -> None:
        line = Flash(tmp_path, files.ca, "127.0.0.1", port).text(THING, scene.world.devices[THING]).splitlines()[-1]
        clients.append(threading.Thread(target=subprocess.run, args=(line,), kwargs={
            "shell": True, "capture_output": True, "timeout": 60}))
        clients[-1].start()

    said = run(OverTcp(scene, 0, Interrupt(), start, 5.0), ["TLS_Connect", "TLS_Unsecure_Server_Cert", "MQTT_Publish",
                                                            "MQTT_Subscribe"], lambda result: None)
    for each in clients:
        each.join()
    scene.close()
    assert [each.verdict for each in said] == [Verdict.PASS, Verdict.PASS, Verdict.PASS, Verdict.FAIL]


def test_each_test_has_a_known_bad_client() -> None:
    assert len(CASES) == 24 and all(each.name in BAD for each in CASES)


def test_a_phase_begins_with_nothing_but_the_sessions_of_the_one_before() -> None:
    lab = Lab()
    server = AdvisorServer(lab.world.server, lab.world.authority.certificates, load_profile(), Script(drops=1),
                           lambda: 0.0)
    client = MqttClient(THING, lab.world.devices[THING], lab.world.authority.certificates, HOST, clean=False)

    def come() -> tuple[bool, bool]:
        client.connect(server)
        return client.connected, client.session_present

    assert come() == (False, False) and come() == (True, True)  # dropped once, and not again
    assert len(server.record.of("connect")) == 2
    server.begin(Script(drops=1, silent_connects=2))
    assert not client.connected and server.record.moments == []
    for _ in range(2):
        assert come() == (False, True) and client.connack is None  # the first CONNECTs of this phase are not answered
        client.drop()
    assert come() == (False, True) and client.connack == 0         # the third is, and dropped
    assert len(server.record.of("connect")) == 3
    server.begin(Script(end_after_subscribe=True))
    for _ in range(2):
        assert come() == (True, True)
        client.subscribe("a")
    assert client.connected and len(server.record.of("ended")) == 1
    server.begin(Script(end_after_subscribe=True))
    come()
    client.subscribe("a")
    assert not client.connected
