# SPDX-License-Identifier: Apache-2.0
"""The tests of AWS IoT Device Advisor: id, what the server does, and when a device passes (developer guide, "Device
Advisor test cases", read in November 2026).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from offchip.advisor.server import Moment, Record, Script
from offchip.mqtt import Connect, Puback, Publish, Subscribe

_BACKOFF = 5
#: TLS 1.3 and the ECDHE-GCM suites AWS recommends, then what else AWS IoT Core supports (IANA numbers)
RECOMMENDED = {0x1301, 0x1302, 0xC02B, 0xC02F}
SUPPORTED = RECOMMENDED | {0x1303, 0xC02C, 0xC030, 0xC023, 0xC027, 0xC024, 0xC028, 0xC009, 0xC013, 0xC00A, 0xC014,
                           0x009C, 0x009D, 0x003C, 0x003D, 0x002F, 0x0035}
#: no suites: renegotiation (RFC 5746) and fallback (RFC 7507) signals, GREASE (RFC 8701)
_SIGNALS = {0x00FF, 0x5600} | {0x0A0A + 0x1010 * number for number in range(16)}


class Verdict(StrEnum):
    """As AWS words them."""

    PASS = "PASS"
    WARNINGS = "PASS_WITH_WARNINGS"
    FAIL = "FAIL"


#: verdict and one sentence; None: not decided yet
Judged = tuple[Verdict, str] | None
Judge = Callable[[Record], Judged]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a long test; the device goes on, the server is another one. ``lasts_s``: it is not judged before."""

    name: str
    judge: Judge
    at_end: str
    script: Script = Script()
    limit_s: float = 300.0
    lasts_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """One test.

    Attributes:
        phases: of a long test, whose own judge and script are not asked.
        server: ``good``, ``foreign`` (unknown CA), ``wrong-host``, ``expired`` or ``large``.
        at_end: what to say when nothing was decided in time.
        limit_s: of virtual or real time.
        device: what our firmware's factory page says otherwise for it.
    """

    name: str
    category: str
    judge: Judge
    at_end: str
    script: Script = Script()
    server: str = "good"
    limit_s: float = 120.0
    device: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()

    @property
    def steps(self) -> tuple[Phase, ...]:
        """What is asked, one after the other; of most tests one thing."""
        return self.phases or (Phase("", self.judge, self.at_end, self.script, self.limit_s),)


def _seen(kind: str, what: str) -> Judge:
    def judge(record: Record) -> Judged:
        return (Verdict.PASS, f"the device {what}") if record.has(kind) else None
    return judge


def _tls_connect(record: Record) -> Judged:
    if not record.has("tls"):
        return None
    warnings = [each.detail for each in record.of("alert") if each.detail != "close_notify"]
    return (Verdict.WARNINGS, f"handshake complete, but the device sent {', '.join(warnings)}") if warnings \
        else (Verdict.PASS, f"handshake complete: {record.of('tls')[0].detail}")


def _suites(record: Record) -> Judged:
    if not record.suites:
        return None
    offered = set(record.suites) - _SIGNALS
    others = sorted(offered - SUPPORTED)
    if not offered & SUPPORTED:
        return Verdict.FAIL, "the device offers no cipher suite AWS IoT Core supports"
    if not offered & RECOMMENDED:
        return Verdict.WARNINGS, "the device offers supported cipher suites, none of them recommended"
    if others:
        return Verdict.WARNINGS, f"beside recommended ones it offers {len(others)} AWS does not support: " \
            + ", ".join(f"0x{each:04X}" for each in others[:6])
    return Verdict.PASS, "every cipher suite it offers is supported, and recommended ones are among them"


def _refuses(record: Record) -> Judged:
    """The device must go away before it says anything in MQTT."""
    if record.has("connect"):
        return Verdict.FAIL, "the device sent CONNECT to a server it must not trust"
    if record.has("hello") and record.has("failed", "closed"):
        alerts = [each.detail for each in record.of("alert")]
        return Verdict.PASS, f"the device ended the handshake: {', '.join(alerts) or 'hung up'}"
    return None


def _acknowledges(record: Record) -> Judged:
    acks = [each for each in record.of("puback") if isinstance(each.packet, Puback)]
    return (Verdict.PASS, "the device acknowledged the message") if acks else None


def _backs_off(record: Record, jitter_wanted: bool, rounds: int) -> Judged:
    connects = record.of("connect")
    if len(connects) < rounds:
        return None
    gaps = _waits(record, connects[:_BACKOFF])
    shown = ", ".join(f"{each:.1f}" for each in gaps)
    if gaps[-1] < 1.5 * gaps[0] or sum(gaps[len(gaps) // 2:]) <= sum(gaps[:len(gaps) // 2]):
        return Verdict.FAIL, f"no back-off: {shown} s before its connections"
    ratios = [later / earlier for earlier, later in zip(gaps, gaps[1:], strict=False) if earlier]
    if jitter_wanted and max(ratios) - min(ratios) < 0.02:
        return Verdict.WARNINGS, f"strictly exponential, without jitter: {shown} s before its connections"
    return Verdict.PASS, f"{shown} s before its connections"


def _waits(record: Record, connects: list[Moment]) -> list[float]:
    """How long it waited before each connection but the first, since the one before was over: how long it had waited
    for an answer is not part of a back-off."""
    waits = []
    for before, after in zip(connects, connects[1:], strict=False):
        over = [each.time_s for each in record.of("closed", "failed", "disconnect", "ended")
                if each.connection == before.connection]
        opened = next(each.time_s for each in record.of("tcp") if each.connection == after.connection)
        waits.append(opened - (over[0] if over else before.time_s))
    return waits


def _back_off(jitter_wanted: bool, rounds: int) -> Judge:
    return lambda record: _backs_off(record, jitter_wanted, rounds)


def _publish_again(record: Record) -> Judged:
    """The same message: marked so, under its packet id, or in a later connection; a constant value that is published
    anew in one connection is another message."""
    sent: dict[tuple[str, bytes], tuple[int, int]] = {}
    for each in record.of("publish"):
        packet = each.packet
        if isinstance(packet, Publish) and packet.qos:
            key, now = (packet.topic, packet.payload), (each.connection, packet.packet_id)
            before = sent.setdefault(key, now)
            if packet.duplicate or before is not now and (before == now or before[0] != now[0]):
                return Verdict.PASS, f"it published to '{packet.topic}' again"
    return None


def _subscribe_again(record: Record) -> Judged:
    filters: set[str] = set()
    for each in record.of("subscribe"):
        if isinstance(each.packet, Subscribe):
            named = {one.filter for one in each.packet.subscriptions}
            if named & filters:
                return Verdict.PASS, f"it subscribed to '{min(named & filters)}' again"
            filters |= named
    return None


def _leaves_without_pingresp(record: Record) -> Judged:
    ping = next(iter(record.of("pingreq")), None)
    ended = ping and [each for each in record.of("closed", "disconnect") if each.connection == ping.connection
                      and each.time_s >= ping.time_s]
    return (Verdict.PASS, f"it left {ended[0].time_s - ping.time_s:.1f} s after its PINGREQ") if ping and ended \
        else None


def _comes_back(kind: str, what: str) -> Judge:
    """To a session that was to outlive its connection; what it does in the last connection shows what it thinks."""
    def judge(record: Record) -> Judged:
        connects = [(each, each.packet) for each in record.of("connect") if isinstance(each.packet, Connect)]
        if connects and connects[0][1].clean:
            return Verdict.FAIL, "the device asks for a clean session"
        later = [each for each in record.of(kind) if len(connects) > 1
                 and each.connection == connects[-1][0].connection]
        return (Verdict.PASS, what) if later else None
    return judge


def _published(record: Record, fits: Callable[[str, dict[str, Any]], bool]) -> bool:
    for each in record.of("publish"):
        if isinstance(each.packet, Publish):
            try:
                content = json.loads(each.packet.payload.decode("utf-8"))
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict) and fits(each.packet.topic, content):
                return True
    return False


def _reported(content: dict[str, Any]) -> Any:
    state = content.get("state")
    return state.get("reported") if isinstance(state, dict) else None


def _reports(record: Record) -> Judged:
    done = _published(record, lambda topic, said: topic.endswith("/shadow/update") and _reported(said) is not None)
    return (Verdict.PASS, "it reported its state to its shadow") if done else None


def _follows_delta(record: Record) -> Judged:
    def follows(topic: str, said: dict[str, Any]) -> bool:
        reported = _reported(said)
        return topic.endswith("/shadow/update") and isinstance(reported, dict) and reported.get("advisor") == "on"
    return (Verdict.PASS, "it took over the desired state and reported it") if _published(record, follows) else None


def _finishes_job(record: Record) -> Judged:
    terminal = ("SUCCEEDED", "FAILED", "REJECTED")
    done = _published(record, lambda topic, said: "/jobs/" in topic and topic.endswith("/update")
                      and said.get("status") in terminal)
    return (Verdict.PASS, "it brought the job to its end") if done else None


def _does_all(*kinds: str) -> Judge:
    return lambda record: (Verdict.PASS, f"the device sent {', '.join(kinds)}") \
        if all(record.has(each) for each in kinds) else None


def _leaves_the_deaf(record: Record) -> Judged:
    left = {each.connection for each in record.of("closed", "disconnect")} & {
        each.connection for each in record.of("connect")}
    return (Verdict.PASS, "it gave up a connection in which nothing was answered") if left else None


def _stays_calm(record: Record) -> Judged:
    tries = [each.time_s for each in record.of("tcp")]
    if not tries:
        return None
    verdict = Verdict.FAIL if len(tries) > _AWAY_S / 2 else Verdict.PASS
    return verdict, f"it tried {len(tries)} times in {_AWAY_S:.0f} s"


def _goes_on(record: Record) -> Judged:
    spoke = {each.connection for each in record.of("publish")}
    return (Verdict.PASS, f"it published in {len(spoke)} connections") if len(spoke) > _BREAKS else None


_AWAY_S, _BREAKS = 600.0, 3
_LONG = (
    Phase("connect, subscribe, publish", _does_all("connect", "subscribe", "publish"), "not all of them came"),
    Phase("reconnect", _does_all("connect", "publish"), "it did not come back and publish"),
    Phase("PUBACK", _acknowledges, "it did not acknowledge a message of QoS 1", Script(payload=128)),
    Phase("keep alive", _leaves_the_deaf, "it stayed although nothing was answered",
          Script(puback=False, suback=False, pingresp=False)),
    Phase("reconnect with back-off", _back_off(True, _BACKOFF + 1), "it did not come back five times",
          Script(drops=_BACKOFF), 600),
    Phase("long server disconnect", _stays_calm, "it never tried again", Script(away=True), _AWAY_S + 1, _AWAY_S),
    Phase("the server is back", _does_all("connect", "publish"), "it did not come back and publish", limit_s=600),
    Phase("intermittent connectivity", _goes_on, "it did not publish in four connections",
          Script(ends_after_publish=_BREAKS), 600),
)
_LISTENS = {"subscribe_filters": ("offchip/things/thing-1/commands",)}

CASES = (
    Case("TLS_Connect", "TLS", _tls_connect, "the handshake never came to its end"),
    Case("TLS_Support_AWS_IoT_Cipher_Suites", "TLS", _suites, "no ClientHello came"),
    Case("TLS_Receive_Maximum_Size_Fragments", "TLS", _acknowledges, "the device did not acknowledge a full record",
         Script(payload=16 * 1024 - 64), device=_LISTENS),
    Case("TLS_Large_Size_Server_Cert", "TLS", _seen("tls", "took a chain of more than 8 KiB"),
         "the handshake never came to its end", server="large"),
    Case("TLS_Unsecure_Server_Cert", "TLS", _refuses, "the device did not hang up", server="foreign"),
    Case("TLS_Incorrect_Subject_Name_Server_Cert", "TLS", _refuses, "the device did not hang up", server="wrong-host"),
    Case("TLS_Expired_Server_Cert", "TLS", _refuses, "the device did not hang up", server="expired"),
    Case("MQTT_Connect", "MQTT", _seen("connect", "sent CONNECT"), "no CONNECT came"),
    Case("MQTT_Connect_Jitter_Backoff_Retries", "MQTT", _back_off(True, 2 * (_BACKOFF + 1)),
         "twelve CONNECTs did not come", Script(silent_connects=_BACKOFF, drops=99), limit_s=900),
    Case("MQTT_Connect_Exponential_Backoff_Retries", "MQTT", _back_off(False, 2 * (_BACKOFF + 1)),
         "twelve CONNECTs did not come", Script(silent_connects=_BACKOFF, drops=99), limit_s=900),
    Case("MQTT_Reconnect_Backoff_Retries_On_Server_Disconnect", "MQTT", _back_off(True, _BACKOFF + 1),
         "it did not come back five times", Script(drops=_BACKOFF), limit_s=600),
    Case("MQTT_Reconnect_Backoff_Retries_On_Unstable_Connection", "MQTT", _back_off(True, _BACKOFF + 1),
         "it did not come back five times", Script(drops=_BACKOFF, rudely=True), limit_s=600),
    Case("MQTT_Publish", "MQTT", _seen("publish", "published"), "nothing was published"),
    Case("MQTT_Publish_Retry_No_Puback", "MQTT", _publish_again, "no message came again after its PUBACK was withheld",
         Script(puback=False), limit_s=300),
    Case("MQTT_Subscribe", "MQTT", _seen("subscribe", "subscribed"), "no SUBSCRIBE came", device=_LISTENS),
    Case("MQTT_Subscribe_Retry_No_Suback", "MQTT", _subscribe_again, "it did not subscribe again", Script(suback=False),
         limit_s=300, device=_LISTENS),
    Case("MQTT_Client_Puback_Qos1", "MQTT", _acknowledges, "the device did not acknowledge a message of QoS 1",
         Script(payload=128), device=_LISTENS),
    Case("MQTT_No_Ack_PingResp", "MQTT", _leaves_without_pingresp, "it stayed although PINGRESP never came",
         Script(pingresp=False), limit_s=300, device={"publish_interval_ms": 3_600_000, "keep_alive_s": 30}),
    Case("MQTT_Persistent_Session_Happy_Case", "MQTT",
         _comes_back("puback", "it came back to its session and acknowledged what had waited"),
         "it did not come back to its session",
         Script(end_after_subscribe=True), device=_LISTENS),
    Case("MQTT_Expired_Persistent_Session", "MQTT",
         _comes_back("subscribe", "its session was gone, and it subscribed again"), "it did not subscribe again",
         Script(end_after_subscribe=True, forget=True), device=_LISTENS),
    Case("Shadow_Publish_Reported_State", "Shadow", _reports, "no state was reported to a shadow"),
    Case("Shadow_Update_Reported_State", "Shadow", _follows_delta, "the desired state was never reported back"),
    Case("Job_Execution", "Job execution", _finishes_job, "no job came to its end"),
    Case("MQTT_Long_Duration", "Long duration", _seen("publish", "published"), "nothing came",
         limit_s=sum(each.limit_s for each in _LONG), device=_LISTENS | {"keep_alive_s": 30}, phases=_LONG),
)
#: needs the registry, not a connection
POLICY_CASE = "Security_Device_Policies"
NAMES = (*(each.name for each in CASES), POLICY_CASE)
#: what is asked unless somebody asks for others: AWS too has the long ones as a suite of their own
USUAL = (*(each.name for each in CASES if not each.phases), POLICY_CASE)
