# SPDX-License-Identifier: Apache-2.0
"""The firmware's network code, built with the host's compiler: MQTT against amqtt's codec, AT against the lab's modem.

The clock of these tests is a number that only waiting moves.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from amqtt.adapters import BufferReader
from amqtt.mqtt import packet_class
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.packet import MQTTFixedHeader, MQTTPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from hypothesis import given
from hypothesis import strategies as st

from offchip.network.clock import LabClock
from offchip.network.esp_at import Modem
from offchip.network.internet import Internet

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
HERE = ROOT / "tests/firmware_net"
MQTT_SOURCES = [FIRMWARE / "src/net" / name for name in ("mqtt.c", "mqtt_packet.c")]
AT_PARSER = FIRMWARE / "src/net/at_parser.c"
OTHERS = [FIRMWARE / "src" / name
          for name in ("net/json.c", "net/modem.c", "net/wall_clock.c", "app/backoff.c", "app/telemetry.c",
                       "board/format.c")]
FLAGS = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{FIRMWARE / 'src'}"]
HOST = "iot.offchip.test"
DECODED, INCOMPLETE, MALFORMED = range(3)
(OK, REFUSED, STREAM_FAILED, NO_CONNACK, NO_SUBACK, NO_PUBACK, NO_PINGRESP, SUBSCRIBE_REFUSED,
 BAD_PACKET, TOO_LARGE) = range(10)
MODEM_WORDS = ("ok", "no-answer", "rejected", "wifi-password", "wifi-not-found", "wifi-failed", "unreachable", "closed",
               "lost-bytes", "no-time")

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs the host's gcc")

IDLE = ctypes.CFUNCTYPE(None)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)
READ = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)
SEND = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_size_t)
RECEIVE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32)
MESSAGE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)

topics = st.text(st.characters(codec="utf-8", exclude_characters="\0+#", exclude_categories=["Cs", "Cc"]), min_size=1,
                 max_size=80)
packet_ids = st.integers(1, 0xFFFF)


def compile_c(output: Path, *arguments: object) -> Path:
    done = subprocess.run(["gcc", *FLAGS, *map(str, arguments), "-o", str(output)], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def library_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(tmp_path_factory.mktemp("net") / "net.so", "-shared", "-fPIC", "-fsanitize=undefined",
                     "-fsanitize-undefined-trap-on-error", HERE / "host.c", AT_PARSER, *MQTT_SOURCES, *OTHERS)


@pytest.fixture(scope="module")
def codec(library_path: Path) -> ctypes.CDLL:
    return open_library(library_path)


@pytest.fixture
def library(library_path: Path, tmp_path: Path) -> ctypes.CDLL:
    """A fresh copy: the modem's state is static, as on the device."""
    return open_library(Path(shutil.copy(library_path, tmp_path / "net.so")))


def open_library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name in ("host_encode_publish", "mqtt_encode_connect", "mqtt_encode_subscribe", "mqtt_encode_puback",
                 "mqtt_encode_empty"):
        getattr(library, name).restype = ctypes.c_size_t
    library.host_now_us.restype = ctypes.c_uint64
    library.host_pass_time.argtypes = [ctypes.c_uint64]
    library.host_encode_publish.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
                                            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint8, ctypes.c_bool,
                                            ctypes.c_bool, ctypes.c_uint16]
    library.host_decode.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    library.at_parse_time.restype = library.json_text.restype = ctypes.c_bool
    library.json_text.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    return library


# MQTT packets --------------------------------------------------------------------------------------------------------
def encode(codec: ctypes.CDLL, function: str, *arguments: object, size: int = 4096) -> bytes:
    buffer = ctypes.create_string_buffer(size)
    length = getattr(codec, function)(buffer, ctypes.c_size_t(size), *arguments)
    return buffer.raw[:length]


def amqtt_decode(data: bytes) -> MQTTPacket:
    """Exactly one packet, by the reference."""
    async def decode() -> MQTTPacket:
        reader = BufferReader(data)
        header = await MQTTFixedHeader.from_stream(reader)
        packet = await packet_class(header).from_stream(reader, fixed_header=header)
        assert await reader.read(1) == b"", "bytes behind the packet"
        return packet

    return asyncio.run(decode())


def decode(codec: ctypes.CDLL, data: bytes) -> tuple[int, list[int]]:
    out = (ctypes.c_uint32 * 12)()
    return codec.host_decode(data, len(data), out), list(out)


@given(client_id=st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=128),
       keep_alive=st.integers(0, 0xFFFF))
def test_connect_reads_back(codec: ctypes.CDLL, client_id: str, keep_alive: int) -> None:
    packet = amqtt_decode(encode(codec, "mqtt_encode_connect", client_id.encode(), ctypes.c_uint16(keep_alive)))
    assert packet.client_id == client_id
    assert packet.keep_alive == keep_alive
    assert (packet.proto_name, packet.proto_level, packet.clean_session_flag) == ("MQTT", 4, True)
    assert not (packet.will_flag or packet.username_flag or packet.password_flag or packet.reserved_flag)


@given(topic=topics, payload=st.binary(max_size=600), qos=st.integers(0, 1), duplicate=st.booleans(),
       retain=st.booleans(), packet_id=packet_ids)
def test_publish_reads_back_both_ways(codec: ctypes.CDLL, topic: str, payload: bytes, qos: int, duplicate: bool,
                                      retain: bool, packet_id: int) -> None:
    duplicate = duplicate and qos > 0
    name = topic.encode()
    data = encode(codec, "host_encode_publish", name, len(name), payload, len(payload), qos, duplicate, retain,
                  packet_id)
    packet = amqtt_decode(data)
    assert (packet.topic_name, bytes(packet.data), packet.qos) == (topic, payload, qos)
    assert (bool(packet.dup_flag), bool(packet.retain_flag)) == (duplicate, retain)
    assert qos == 0 or packet.packet_id == packet_id

    theirs = bytes(PublishPacket.build(topic, payload, packet_id if qos else None, duplicate, qos, retain).to_bytes())
    assert theirs == data
    result, out = decode(codec, theirs)
    assert result == DECODED
    assert out[4:8] == [packet_id if qos else 0, qos, duplicate, retain]
    assert theirs[out[8]:out[8] + out[9]] == name
    assert theirs[out[10]:out[10] + out[11]] == payload


@given(packet_id=packet_ids, topic_filter=topics, qos=st.integers(0, 1))
def test_subscribe_reads_back(codec: ctypes.CDLL, packet_id: int, topic_filter: str, qos: int) -> None:
    packet = amqtt_decode(encode(codec, "mqtt_encode_subscribe", ctypes.c_uint16(packet_id), topic_filter.encode(),
                                 ctypes.c_uint8(qos)))
    assert packet.variable_header.packet_id == packet_id
    assert packet.payload.topics == [(topic_filter, qos)]
    assert packet.fixed_header.flags == 2


def test_small_packets_read_back(codec: ctypes.CDLL) -> None:
    puback = amqtt_decode(encode(codec, "mqtt_encode_puback", ctypes.c_uint16(0xABCD)))
    assert puback.variable_header.packet_id == 0xABCD
    assert encode(codec, "mqtt_encode_empty", 12) == b"\xC0\x00"
    assert encode(codec, "mqtt_encode_empty", 14) == b"\xE0\x00"


def test_encoders_refuse_what_does_not_fit(codec: ctypes.CDLL) -> None:
    whole = encode(codec, "mqtt_encode_connect", b"thing", ctypes.c_uint16(60))
    for size in range(len(whole)):
        assert encode(codec, "mqtt_encode_connect", b"thing", ctypes.c_uint16(60), size=size) == b""
    assert encode(codec, "host_encode_publish", b"t", 1, b"", 0, 1, False, False, 0) == b"", "packet id 0"
    assert encode(codec, "host_encode_publish", b"", 0, b"", 0, 0, False, False, 0) == b"", "no topic"


@pytest.mark.parametrize(("packet", "expected"), [
    (ConnackPacket.build(0, 0), [2, 2, 2, 0, 0]),
    (ConnackPacket.build(1, 5), [2, 2, 2, 5, 0]),
    (PubackPacket.build(0x1234), [4, 2, 2, 0, 0x1234]),
    (SubackPacket.build(7, [1]), [9, 3, 2, 1, 7]),
    (SubackPacket.build(7, [0x80]), [9, 3, 2, 0x80, 7]),
    (PingRespPacket.build(), [13, 0, 2, 0, 0]),
])
def test_answers_of_a_server_are_read(codec: ctypes.CDLL, packet: MQTTPacket, expected: list[int]) -> None:
    data = bytes(packet.to_bytes())
    result, out = decode(codec, data)
    assert (result, out[:5]) == (DECODED, expected)
    for length in range(len(data)):
        assert decode(codec, data[:length])[0] == INCOMPLETE


@pytest.mark.parametrize("data", [
    b"\x20\x80\x80\x80\x80\x01", b"\x20\x03\0\0\0", b"\x21\x02\0\0", b"\x20\x02\x02\0", b"\x40\x02\0\0",
    b"\x90\x03\0\x01\x03", b"\x90\x02\0\x01", b"\x36\x05\0\x01a\0\x01", b"\x30\x03\0\0x", b"\x30\x03\0\x02a",
    b"\x32\x05\0\x01a\0\0", b"\x10\x00", b"\x50\x02\0\x01", b"\xC0\x00", b"\xE0\x00", b"\xD0\x01\0", b"\x00\x00",
    b"\xF0\x00",
])
def test_malformed_packets_are_refused(codec: ctypes.CDLL, data: bytes) -> None:
    assert decode(codec, data)[0] == MALFORMED


# MQTT session --------------------------------------------------------------------------------------------------------
class Server:
    """The other end of the session's stream, scripted per test; reads packets with amqtt's codec."""

    def __init__(self, library: ctypes.CDLL, chunk: int = 4096) -> None:
        self.library = library
        self.chunk = chunk
        self.packets: list[MQTTPacket] = []
        self.times_ms: list[int] = []
        self.messages: list[tuple[str, int]] = []
        self.output = bytearray()
        self.broken = False
        self.answer: Callable[[MQTTPacket], bytes] = self.honest
        self.calls = (IDLE(), WRITE(), READ(), SEND(self.on_send), RECEIVE(self.on_receive), MESSAGE(self.on_message))
        library.host_set_calls(*self.calls)

    @staticmethod
    def honest(packet: MQTTPacket) -> bytes:
        kind = packet.fixed_header.packet_type
        if kind == 1:
            return ConnackPacket.build(0, 0).to_bytes()
        if kind == 8:
            return SubackPacket.build(packet.variable_header.packet_id, [1]).to_bytes()
        if kind == 3 and packet.qos == 1:
            return PubackPacket.build(packet.packet_id).to_bytes()
        return PingRespPacket.build().to_bytes() if kind == 12 else b""

    @property
    def kinds(self) -> list[int]:
        return [packet.fixed_header.packet_type for packet in self.packets]

    def on_send(self, data: int, length: int) -> bool:
        if not self.broken:
            packet = amqtt_decode(ctypes.string_at(data, length))
            self.packets.append(packet)
            self.times_ms.append(self.library.host_now_us() // 1000)
            self.output += self.answer(packet)
        return not self.broken

    def on_receive(self, to: int, capacity: int, timeout_ms: int) -> int:
        if self.broken:
            return -1
        part = bytes(self.output[:min(capacity, self.chunk)])
        del self.output[:len(part)]
        ctypes.memmove(to, part, len(part))
        self.library.host_pass_time(1000 if part else timeout_ms * 1000)
        return len(part)

    def on_message(self, topic: int, topic_length: int, payload: int, payload_length: int) -> None:
        self.messages.append((ctypes.string_at(topic, topic_length).decode(), payload_length))

    def open(self, keep_alive: int = 60) -> int:
        return self.library.host_mqtt_open(b"thing-1", keep_alive)

    def subscribe(self) -> tuple[int, int]:
        granted = ctypes.c_uint8()
        return self.library.host_mqtt_subscribe(b"cmd/#", ctypes.byref(granted)), granted.value


@pytest.mark.parametrize("chunk", [1, 3, 4096])
def test_a_session_from_connect_to_disconnect(library: ctypes.CDLL, chunk: int) -> None:
    server = Server(library, chunk)
    assert server.open() == OK
    assert server.subscribe() == (OK, 1)
    assert library.host_mqtt_publish(b"dt/thing-1", b'{"a":1}', 1) == OK
    assert library.host_mqtt_publish(b"feed", b'{"a":1}', 0) == OK
    library.host_mqtt_close()
    assert server.kinds == [1, 8, 3, 3, 14]
    assert [packet.qos for packet in server.packets[2:4]] == [1, 0]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 7])
def test_a_refusal_keeps_its_code(library: ctypes.CDLL, code: int) -> None:
    server = Server(library)
    server.answer = lambda packet: ConnackPacket.build(0, code).to_bytes()
    assert server.open() == REFUSED
    assert library.host_mqtt_return_code() == code


def test_a_silent_server_is_given_up(library: ctypes.CDLL) -> None:
    server = Server(library)
    server.answer = lambda packet: b""
    assert server.open() == NO_CONNACK
    assert library.host_now_us() < 11_000_000


def test_nothing_may_come_before_connack(library: ctypes.CDLL) -> None:
    server = Server(library)
    server.answer = lambda packet: PingRespPacket.build().to_bytes()
    assert server.open() == BAD_PACKET


def test_publish_is_sent_again_with_dup_until_acknowledged(library: ctypes.CDLL) -> None:
    server = Server(library)
    assert server.open() == OK
    server.answer = lambda packet: b"" if not packet.dup_flag else Server.honest(packet)
    assert library.host_mqtt_publish(b"dt", b"{}", 1) == OK
    first, second = server.packets[1:]
    assert (first.dup_flag, second.dup_flag) == (False, True)
    assert first.packet_id == second.packet_id
    server.answer = lambda packet: b""
    assert library.host_mqtt_publish(b"dt", b"{}", 1) == NO_PUBACK
    assert server.packets[3].packet_id != first.packet_id


def test_another_id_acknowledges_nothing(library: ctypes.CDLL) -> None:
    server = Server(library)
    assert server.open() == OK
    server.answer = lambda packet: PubackPacket.build(packet.packet_id + 1).to_bytes()
    assert library.host_mqtt_publish(b"dt", b"{}", 1) == NO_PUBACK


def test_subscribe_failure_and_silence(library: ctypes.CDLL) -> None:
    server = Server(library)
    assert server.open() == OK
    server.answer = lambda packet: SubackPacket.build(packet.variable_header.packet_id, [0x80]).to_bytes()
    assert server.subscribe()[0] == SUBSCRIBE_REFUSED
    server.answer = lambda packet: b""
    assert server.subscribe()[0] == NO_SUBACK
    assert server.kinds == [1, 8, 8, 8, 8]


@pytest.mark.parametrize("chunk", [7, 4096])
@pytest.mark.parametrize("size", [0, 1, 2000, 2041, 2042, 2043, 5000, 131072])
def test_messages_of_any_size_are_counted_and_acknowledged(library: ctypes.CDLL, size: int, chunk: int) -> None:
    server = Server(library, chunk)
    assert server.open(0) == OK
    server.output += PublishPacket.build("cmd", b"x" * size, 9, False, 1, False).to_bytes()
    server.output += PublishPacket.build("cmd/next", b"yz", None, False, 0, False).to_bytes()
    assert library.host_mqtt_serve(60_000) == OK
    assert server.messages == [("cmd", size), ("cmd/next", 2)]
    assert [packet.variable_header.packet_id for packet in server.packets[1:]] == [9]


def test_keep_alive_pings_in_time_and_gives_up_without_answer(library: ctypes.CDLL) -> None:
    server = Server(library)
    assert server.open(20) == OK
    assert library.host_mqtt_serve(100_000) == OK
    pings = [time for kind, time in zip(server.kinds, server.times_ms, strict=True) if kind == 12]
    gaps = [b - a for a, b in zip([0, *pings], pings, strict=False)]
    assert len(pings) >= 5 and max(gaps) < 20_000
    server.answer = lambda packet: b""
    assert library.host_mqtt_serve(100_000) == NO_PINGRESP


def test_a_broken_stream_ends_every_call(library: ctypes.CDLL) -> None:
    server = Server(library)
    assert server.open() == OK
    server.broken = True
    assert library.host_mqtt_serve(1000) == STREAM_FAILED
    assert library.host_mqtt_publish(b"dt", b"{}", 1) == STREAM_FAILED
    assert server.subscribe()[0] == STREAM_FAILED


def test_a_packet_larger_than_the_buffer_is_not_sent(library: ctypes.CDLL) -> None:
    server = Server(library)
    assert server.open() == OK
    assert library.host_mqtt_publish(b"dt", b"x" * 3000, 0) == TOO_LARGE
    assert server.kinds == [1]


def test_hostile_bytes_under_address_sanitizer(tmp_path: Path) -> None:
    program = compile_c(tmp_path / "fuzz", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", HERE / "fuzz.c",
                        AT_PARSER, *MQTT_SOURCES)
    source = random.Random(0x0FFC)
    seeds = [bytes(ConnackPacket.build(0, 0).to_bytes()), bytes(SubackPacket.build(1, [1]).to_bytes()),
             bytes(PubackPacket.build(2).to_bytes()), b"\xD0\x00", b"\r\n+IPD,5:hello\r\nOK\r\n>",
             b"+CIPSNTPTIME:Thu Nov 23 18:27:16 2026\r\n", b"Thu Nov 23 18:27:16 2026\n",
             b"x" * 300 + b"+IPD,3:abc\r\n", b'+IPD,5,"192.168.0.7",8883:hello\r\n',
             bytes(PublishPacket.build("cmd/a", b"x" * 40, 3, False, 1, False).to_bytes()),
             bytes(PublishPacket.build("t" * 3000, b"x" * 3000, 3, False, 1, False).to_bytes())]
    cases = []
    for _ in range(3000):
        data = bytearray().join(source.choices(seeds, k=source.randint(1, 4)))
        for _ in range(source.randint(0, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        cases.append(bytes(data[source.randrange(4) if source.random() < 0.3 else 0:source.randint(1, len(data))]))
    stdin = b"".join(struct.pack("<I", len(case)) + case for case in cases)
    done = subprocess.run([str(program)], input=stdin, capture_output=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, b"3000"), done.stderr.decode(errors="replace")[-2000:]


# modem ---------------------------------------------------------------------------------------------------------------
class Echo:
    """Answers in capitals; ``bye`` makes it say so and hang up."""

    def __init__(self) -> None:
        self.closed = False
        self.on_output: Callable[[], None] | None = None
        self.got = bytearray()
        self.output = bytearray()

    def receive(self, data: bytes) -> None:
        self.got += data
        self.output += data.upper()
        self.closed = data.endswith(b"bye")

    def take(self) -> bytes:
        data = bytes(self.output)
        self.output.clear()
        return data

    def peer_closed(self) -> None:
        self.closed = True


class EchoServer:
    def __init__(self) -> None:
        self.peers: list[Echo] = []

    def connect(self, peer_name: str) -> Echo:
        self.peers.append(Echo())
        return self.peers[-1]


class Bench:
    """The firmware's modem driver wired to the lab's modem, at line rate: 11 bytes a millisecond."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.server = EchoServer()
        internet = Internet()
        internet.register(HOST, 8883, self.server)
        self.modem = Modem(internet, LabClock(datetime(2026, 11, 23, 18, 27, tzinfo=UTC)), ssid="lab",
                           passphrase='p"a,s\\s')
        self.modem.power_on(0)
        self.queue = bytearray()
        self.arrived = bytearray()
        self.calls = (IDLE(self.on_idle), WRITE(self.on_write), READ(self.on_read), SEND(), RECEIVE(), MESSAGE())
        library.host_set_calls(*self.calls)

    @property
    def now_ns(self) -> int:
        return self.library.host_now_us() * 1000

    def on_idle(self) -> None:
        self.library.host_pass_time(1000)
        self.queue += self.modem.advance(self.now_ns)
        self.arrived += self.queue[:11]
        del self.queue[:11]

    def on_write(self, data: int, length: int) -> None:
        self.modem.receive(ctypes.string_at(data, length), self.now_ns)

    def on_read(self, to: int, capacity: int) -> int:
        part = bytes(self.arrived[:capacity])
        del self.arrived[:capacity]
        ctypes.memmove(to, part, len(part))
        return len(part)

    def start(self, ssid: str = "lab", passphrase: str = 'p"a,s\\s') -> str:
        return MODEM_WORDS[self.library.modem_start(ssid.encode(), passphrase.encode())]

    def open(self, host: str = HOST, port: int = 8883) -> str:
        return MODEM_WORDS[self.library.modem_open(host.encode(), ctypes.c_uint16(port))]

    def send(self, data: bytes) -> str:
        return MODEM_WORDS[self.library.modem_send(data, ctypes.c_size_t(len(data)))]

    def receive(self, timeout_ms: int = 1000, capacity: int = 512) -> tuple[str, bytes]:
        buffer = ctypes.create_string_buffer(capacity)
        length = ctypes.c_size_t()
        result = self.library.modem_receive(buffer, ctypes.c_size_t(capacity), timeout_ms, ctypes.byref(length))
        return MODEM_WORDS[result], buffer.raw[:length.value]

    def receive_all(self) -> tuple[str, bytes]:
        """Until nothing more comes, or the end."""
        data = bytearray()
        while True:
            result, part = self.receive()
            data += part
            if not part:
                return result, bytes(data)

    def sntp(self) -> tuple[str, int]:
        value = ctypes.c_uint32()
        return MODEM_WORDS[self.library.modem_sntp(b"pool.ntp.org", ctypes.byref(value))], value.value


@pytest.fixture
def bench(library: ctypes.CDLL) -> Iterator[Bench]:
    yield Bench(library)


def test_modem_joins_opens_and_carries_bytes_both_ways(bench: Bench) -> None:
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    data = bytes(random.Random(1).choices(b"abc\r\n>+IPD,5:OK", k=5000))
    assert bench.send(data) == "ok"
    assert bench.receive_all() == ("ok", data.upper())
    assert bytes(bench.server.peers[0].got) == data
    assert bench.start() == "ok", "a second start leaves the connection alone"
    bench.library.modem_close()
    assert bench.server.peers[0].closed


def test_a_modem_left_with_cipdinfo_is_understood(bench: Bench) -> None:
    """Each +IPD then carries address and port of the peer."""
    bench.modem.peer_shown = True
    assert bench.start() == "ok" and bench.open() == "ok"
    data = bytes(random.Random(1).choices(b'abc\r\n>+IPD,5:",OK', k=5000))
    assert bench.send(data) == "ok"
    assert bench.receive_all() == ("ok", data.upper())


def test_modem_reports_why_it_cannot_join(bench: Bench) -> None:
    assert bench.start(passphrase="wrong") == "wifi-password"
    assert bench.start(ssid="elsewhere") == "wifi-not-found"
    assert bench.start() == "ok"


def test_a_mute_modem_is_given_up_and_found_again(bench: Bench) -> None:
    bench.modem.mute = True
    assert bench.start() == "no-answer"
    bench.modem.mute = False
    assert bench.start() == "ok"


def test_nobody_there(bench: Bench) -> None:
    assert bench.start() == "ok"
    assert bench.open("nowhere.test") == "unreachable"
    assert bench.open(port=1) == "unreachable"
    assert bench.open() == "ok"


def test_the_last_words_of_a_peer_are_read_before_the_end(bench: Bench) -> None:
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    assert bench.send(b"good" * 300 + b"bye") in ("ok", "closed")
    assert bench.receive_all() == ("closed", b"GOOD" * 300 + b"BYE")
    assert bench.send(b"more") == "closed"
    assert bench.open() == "ok"


def test_a_lost_network_ends_the_connection_and_the_next_start_joins_again(bench: Bench) -> None:
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    bench.modem.network_up = False
    assert bench.receive()[0] == "closed"
    assert bench.start() == "wifi-not-found"
    bench.modem.network_up = True
    assert bench.start() == "ok"
    assert bench.open() == "ok"


def test_a_restarted_modem_is_set_up_again(bench: Bench) -> None:
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    bench.modem.power_off()
    bench.modem.power_on(bench.now_ns)
    assert bench.receive()[0] == "closed"
    assert bench.start() == "ok"
    assert bench.open() == "ok"


def test_a_reset_in_the_middle_of_sending_does_not_strand_the_modem(bench: Bench, library_path: Path,
                                                                   tmp_path: Path) -> None:
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    bench.modem.receive(b"AT+CIPSEND=2048\r\n", bench.now_ns)
    assert bench.receive(timeout_ms=100) == ("ok", b"")
    reborn = open_library(Path(shutil.copy(library_path, tmp_path / "reborn.so")))
    reborn.host_pass_time(bench.library.host_now_us())
    bench.library = reborn
    reborn.host_set_calls(*bench.calls)
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    assert bench.send(b"hello") == "ok"
    assert bench.receive_all()[1].endswith(b"HELLO")


def test_a_lost_byte_is_noticed(bench: Bench) -> None:
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    bench.library.host_lose_uart_byte()
    assert bench.receive()[0] == "lost-bytes"
    assert bench.start() == "ok"
    assert bench.open() == "ok"
    assert bench.send(b"x") == "ok"


def test_time_of_day(bench: Bench) -> None:
    assert bench.start() == "ok"
    result, seconds = bench.sntp()
    assert result == "ok"
    assert abs(seconds - bench.modem.clock.utc(bench.now_ns).timestamp()) <= 1
    bench.modem.sntp_answers = False
    assert bench.sntp()[0] == "no-time"


@given(moment=st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 59)))
def test_dates_are_read_as_the_modem_writes_them(codec: ctypes.CDLL, moment: datetime) -> None:
    value = ctypes.c_uint32()
    assert codec.at_parse_time(moment.ctime().encode(), ctypes.byref(value))
    assert value.value == int(moment.replace(tzinfo=UTC, microsecond=0).timestamp())


@pytest.mark.parametrize("text", ["Thu Jan  1 00:00:00 1970", "Thu Feb 29 00:00:00 2027", "Thu Nov 31 00:00:00 2026",
                                  "Thu Foo 23 18:27:16 2026", "Thu Nov 23 24:27:16 2026", "Thu Nov 23", "", "Thu Nov ",
                                  "Thu Nov 23 18:27:16 2026x", "Thu Nov 23 18:27 2026"])
def test_dates_that_are_none(codec: ctypes.CDLL, text: str) -> None:
    assert not codec.at_parse_time(text.encode(), ctypes.byref(ctypes.c_uint32()))


# the rest ------------------------------------------------------------------------------------------------------------
def test_backoff_doubles_up_to_a_minute_with_full_jitter(codec: ctypes.CDLL) -> None:
    state = ctypes.c_uint32(0)
    ceilings = []
    for _ in range(9):
        before = state.value
        ceilings.append(codec.backoff_next(ctypes.byref(state), 0xFFFFFFFF // 60_000 * 60_000 - 1))
        state.value = before
        assert codec.backoff_next(ctypes.byref(state), 0) == 1
    assert all(1 <= each <= 60_000 for each in ceilings)
    limits = [min(1000 << i, 60_000) for i in range(9)]
    state.value = 0
    for limit in limits:
        before = state.value
        seen = set()
        for value in range(limit - 2, limit + 1):
            state.value = before
            seen.add(codec.backoff_next(ctypes.byref(state), value))
        assert seen == {limit - 1, limit, 1}


@given(thing=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=32),
       seq=st.integers(0, 0xFFFFFFFF), time=st.integers(0, 0xFFFFFFFF))
def test_telemetry_is_json(codec: ctypes.CDLL, thing: str, seq: int, time: int) -> None:
    buffer = ctypes.create_string_buffer(384)
    codec.telemetry_write(buffer, thing.encode(), ctypes.c_uint32(seq), ctypes.c_uint32(time))
    document = json.loads(buffer.value)
    temperature = document.pop("temperature")
    assert document == {"thing": thing, "seq": seq, "time": time}
    assert 20 <= temperature <= 24.99


# JSON ----------------------------------------------------------------------------------------------------------------
def json_text(codec: ctypes.CDLL, text: str | bytes, name: str, size: int = 64) -> str | None:
    """The member as the device reads it; None: not read. The text is in a block of its own size."""
    data, to = text.encode() if isinstance(text, str) else text, ctypes.create_string_buffer(size)
    good = codec.json_text(data, len(data), name.encode(), to, size)
    return to.value.decode() if good else None


#: what the device reads: ASCII that may stand in its texts, however it is escaped
ascii_texts = st.text(st.characters(min_codepoint=1, max_codepoint=0x7E), max_size=40)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
                      lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(st.text(max_size=8), inner, max_size=3))


@given(before=st.dictionaries(st.text(max_size=80), values, max_size=3), wanted=ascii_texts,
       after=st.dictionaries(st.text(max_size=8), values, max_size=2), indent=st.none() | st.integers(0, 3),
       ascii_only=st.booleans())
def test_a_member_is_found_among_any_others(codec: ctypes.CDLL, before: dict[str, object], wanted: str,
                                            after: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    content = {**before, "certificatePem": wanted}
    content |= {name: value for name, value in after.items() if name not in content}
    text = json.dumps(content, indent=indent, ensure_ascii=ascii_only)
    if "\x7f" in wanted:
        return
    assert json_text(codec, text, "certificatePem") == wanted
    # a text that breaks off is none, or the member was whole already
    for cut in range(0, len(text.encode()), 7):
        assert json_text(codec, text.encode()[:cut], "certificatePem") in (None, wanted)


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"other":"x"}', '{"member":1}', '{"member":null}', '{"member":["x"]}', '{"member":{"member":"x"}}',
    '{"outer":{"member":"x"}}', '{"member":"' + "x" * 64 + '"}', '{"member":"\\u0000"}',
    '{"member":"\\ud83d\\ude00"}', '{"member":"\\x"}', '{"member":"\\u12"}',
    '{"member":"a\nb"}', '{"member":"\u00e4"}', '{"member" "x"}',
    '{"a":"b" "member":"x"}', '{"a":' + "[" * 5000 + ',"member":"x"}', '"member"', '{"member":"x', '{"mem\\'])
def test_what_is_no_text_member_is_not_read(codec: ctypes.CDLL, text: str) -> None:
    assert json_text(codec, text, "member") is None


@given(st.binary(max_size=60), st.integers(1, 20))
def test_any_bytes_are_survived(codec: ctypes.CDLL, noise: bytes, size: int) -> None:
    for data in (noise, b'{"member":"' + noise, b'{"' + noise + b'":"x","member":"y"}', b'{"a":' + noise):
        found = json_text(codec, data, "member", size)
        assert found is None or len(found) < size
