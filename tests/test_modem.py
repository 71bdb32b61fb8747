# SPDX-License-Identifier: Apache-2.0
"""The virtual internet and the modem: scripted AT sessions, a proxy, a real TCP peer."""

from __future__ import annotations

import select
import socket
from datetime import UTC, datetime

import pytest

from offchip.errors import NetworkError
from offchip.network.clock import LabClock
from offchip.network.esp_at import Modem
from offchip.network.internet import Internet, Refused, UnknownName
from offchip.network.proxy import Direction, Proxy
from offchip.network.tcp import TcpService

MS = 1_000_000
HOST = "iot.offchip.test"


class Peer:
    """Answers every chunk with its upper case; ``bye`` makes it hang up."""

    def __init__(self) -> None:
        self.closed = False
        self.on_output = None
        self.got = bytearray()
        self.output = bytearray()
        self.hung_up = False

    def receive(self, data: bytes) -> None:
        self.got += data
        self.output += data.upper()
        self.closed = data == b"bye"

    def take(self) -> bytes:
        data = bytes(self.output)
        self.output.clear()
        return data

    def peer_closed(self) -> None:
        self.hung_up = True

    def push(self, data: bytes) -> None:
        self.output += data
        if self.on_output:
            self.on_output()


class Server:
    """Keeps its peers; refuses on demand."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.full = False

    def connect(self, peer_name: str) -> Peer:
        if self.full:
            raise Refused(f"{peer_name}: no room")
        self.peers.append(Peer())
        return self.peers[-1]


class Bench:
    """A modem with a wire on which virtual time can be let pass."""

    def __init__(self, **knobs) -> None:
        self.internet = Internet()
        self.server = Server()
        self.internet.register(HOST, 8883, self.server)
        self.clock = LabClock()
        self.modem = Modem(self.internet, self.clock, **knobs)
        self.now = 0

    def at(self, line: str, wait_ms: int = 0) -> str:
        return self.raw(line.encode() + b"\r\n", wait_ms).decode()

    def raw(self, data: bytes, wait_ms: int = 0) -> bytes:
        self.modem.receive(data, self.now)
        return self.wait(wait_ms)

    def wait(self, ms: int) -> bytes:
        self.now += ms * MS
        return self.modem.advance(self.now)

    def online(self) -> Bench:
        self.modem.power_on(self.now)
        self.wait(300)
        self.at("ATE0")
        self.at("AT+CWMODE=1")
        assert self.at('AT+CWJAP="lab","secret"', 500) == "WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n"
        return self

    def connected(self) -> Bench:
        self.online()
        assert self.at(f'AT+CIPSTART="TCP","{HOST}",8883', 20) == "CONNECT\r\n\r\nOK\r\n"
        return self

    @property
    def peer(self) -> Peer:
        return self.server.peers[-1]


def test_start_echo_and_deafness():
    bench = Bench()
    assert bench.at("AT", 1000) == ""  # no supply
    bench.modem.power_on(bench.now)
    assert bench.at("AT", 299) == ""  # still starting
    assert bench.wait(1) == b"\r\nready\r\n"
    assert bench.at("AT") == "AT\r\n\r\nOK\r\n"
    assert bench.at("ATE0") == "ATE0\r\n\r\nOK\r\n"
    assert bench.at("AT") == "\r\nOK\r\n"
    assert bench.at("AT+GMR").startswith("AT version:")
    assert bench.at("AT+RST") == "\r\nOK\r\n"
    assert bench.wait(300) == b"\r\nready\r\n"
    assert bench.at("AT") == "AT\r\n\r\nOK\r\n"  # a restart switches the echo on again


@pytest.mark.parametrize("line", [
    "AT+NOSUCH", "HELLO", "AT+", "AT+CIPMUX=1", "AT+CWMODE=7", "AT+CIPSEND=5,6", "AT+CIPSEND=x", "AT+CIPCLOSE",
    'AT+CIPSTART="UDP","a",1', 'AT+CIPSTART="TCP","a"', 'AT+CIPSTART="TCP","a",99999', 'AT+CWJAP="open quote',
    "AT+CIPSNTPTIME?", "AT+CIPSNTPCFG=1,99", "A" * 300,
])
def test_bad_commands_answer_error(line):
    assert Bench().online().at(line, 50).endswith("ERROR\r\n")


def test_a_byte_at_a_time_is_the_same():
    bench = Bench().online()
    for byte in b"AT+CIPMUX=0\r":
        assert bench.raw(bytes([byte])) == b""
    assert bench.raw(b"\n") == b"\r\nOK\r\n"


def test_access_point_checks_name_and_passphrase():
    bench = Bench(ssid="lab", passphrase="secret")
    bench.modem.power_on(0)
    bench.wait(300)
    bench.at("ATE0")
    assert bench.at('AT+CWJAP="lab","secret"', 500) == "\r\nERROR\r\n"  # not in station mode yet
    bench.at("AT+CWMODE=1")
    assert bench.at('AT+CWJAP="other","secret"', 500) == "+CWJAP:3\r\n\r\nERROR\r\n"
    assert bench.at('AT+CWJAP="lab","guess"', 500) == "+CWJAP:2\r\n\r\nERROR\r\n"
    assert bench.at("AT+CWJAP?") == "No AP\r\n\r\nOK\r\n"
    assert bench.at(f'AT+CIPSTART="TCP","{HOST}",8883') == "no ip\r\n\r\nERROR\r\n"
    assert bench.at('AT+CWJAP="lab","secret"', 500).endswith("OK\r\n")
    assert bench.at("AT+CWJAP?").startswith('+CWJAP:"lab"')


def test_send_and_receive_with_latency_and_in_order():
    bench = Bench().connected()
    assert bench.at("AT+CIPSEND=5") == "\r\nOK\r\n\r\n>"
    assert bench.raw(b"he") == b""
    assert bench.raw(b"llo") == b"\r\nRecv 5 bytes\r\n"
    assert bytes(bench.peer.got) == b"hello"  # synchronous: the peer has it already
    assert bench.wait(19) == b""
    assert bench.at("AT") == "\r\nbusy s...\r\n"
    assert bench.wait(1) == b"\r\nSEND OK\r\n\r\n+IPD,5:HELLO"
    assert bench.at("AT+CIPSTATE?") == f'+CIPSTATE:0,"TCP","{HOST}",8883,49152,0\r\n\r\nOK\r\n'
    assert bench.at("AT+CIPSTATUS").startswith("STATUS:3\r\n+CIPSTATUS:0")


def test_payload_may_look_like_commands_and_commands_may_follow_it_at_once():
    bench = Bench().connected()
    bench.at("AT+CIPSEND=4")
    assert bench.raw(b"AT\r\nAT\r\n", 20) == b"\r\nRecv 4 bytes\r\n\r\nbusy s...\r\n\r\nSEND OK\r\n\r\n+IPD,4:AT\r\n"
    assert bytes(bench.peer.got) == b"AT\r\n"


def test_long_answers_come_in_chunks():
    bench = Bench().connected()
    bench.peer.push(bytes(3000))
    bench.wait(0)
    text = bench.wait(20)
    sizes = [int(part.split(b":")[0]) for part in text.split(b"\r\n+IPD,")[1:]]
    assert sizes == [1460, 1460, 80]


def test_peer_hangs_up_after_its_last_words():
    bench = Bench().connected()
    bench.at("AT+CIPSEND=3")
    assert bench.raw(b"bye", 20).endswith(b"\r\nSEND OK\r\n\r\n+IPD,3:BYECLOSED\r\n")
    assert bench.at("AT+CIPSEND=3") == "link is not valid\r\n\r\nERROR\r\n"


def test_connection_errors():
    bench = Bench().online()
    assert bench.at('AT+CIPSTART="TCP","nowhere.test",8883', 20) == "DNS Fail\r\n\r\nERROR\r\n"
    assert bench.at(f'AT+CIPSTART="TCP","{HOST}",1', 20) == "\r\nERROR\r\n"
    bench.server.full = True
    assert bench.at(f'AT+CIPSTART="TCP","{HOST}",8883', 20) == "\r\nERROR\r\n"
    bench.server.full = False
    assert bench.at(f'AT+CIPSTART="TCP","{HOST}",8883,60', 0) == ""
    assert bench.at("AT") == "\r\nbusy p...\r\n"
    assert bench.wait(20) == b"CONNECT\r\n\r\nOK\r\n"
    assert bench.at(f'AT+CIPSTART="TCP","{HOST}",8883') == "ALREADY CONNECTED\r\n\r\nERROR\r\n"
    assert bench.at("AT+CIPCLOSE") == "CLOSED\r\n\r\nOK\r\n"
    assert bench.peer.hung_up


def test_losing_the_network_and_the_supply():
    bench = Bench().connected()
    bench.modem.network_up = False
    assert bench.wait(1) == b"CLOSED\r\nWIFI DISCONNECT\r\n"
    assert bench.peer.hung_up
    assert bench.at('AT+CWJAP="lab","secret"', 500) == "+CWJAP:3\r\n\r\nERROR\r\n"
    other = Bench().connected()
    other.modem.power_off()
    assert other.peer.hung_up
    assert other.at("AT", 1000) == ""


def test_link_lost_while_the_payload_is_on_its_way():
    bench = Bench().connected()
    bench.at("AT+CIPSEND=4")
    bench.raw(b"ab")
    bench.peer.closed = True
    assert bench.wait(0) == b""  # noticed now, told one latency later
    assert bench.wait(20) == b"CLOSED\r\n"
    assert bench.raw(b"cd") == b"\r\nRecv 4 bytes\r\n\r\nSEND FAIL\r\n"


def test_mute_modem():
    bench = Bench().online()
    bench.modem.mute = True
    assert bench.at("AT", 1000) == ""


def test_sntp():
    bench = Bench().online()
    assert bench.at('AT+CIPSNTPCFG=1,0,"pool.ntp.org"') == "\r\nOK\r\n"
    assert bench.at("AT+CIPSNTPCFG?") == '+CIPSNTPCFG:1,0,"pool.ntp.org"\r\n\r\nOK\r\n'
    assert "1970" in bench.at("AT+CIPSNTPTIME?")
    assert bench.wait(20) == b"+TIME_UPDATED\r\n"
    bench.wait(5000 - bench.now // MS)
    assert bench.at("AT+CIPSNTPTIME?") == "+CIPSNTPTIME:Mon Jun  1 00:00:05 2026\r\nOK\r\n"
    bench.clock.offset_s = -86400.0 * 365
    assert "2026" in bench.at("AT+CIPSNTPTIME?")  # already synchronised
    bench.at("AT+CIPSNTPCFG=1,530")
    bench.wait(20)
    assert bench.at("AT+CIPSNTPTIME?") == "+CIPSNTPTIME:Sun Jun  1 05:30:05 2025\r\nOK\r\n"
    bench.modem.sntp_answers = False
    bench.at("AT+CIPSNTPCFG=1,0")
    bench.wait(1000)
    assert "1970" in bench.at("AT+CIPSNTPTIME?")


def test_lab_clock():
    clock = LabClock(datetime(2030, 1, 1, tzinfo=UTC))
    clock.offset_s = -1.5
    assert clock.utc(2_000_000_000) == datetime(2030, 1, 1, 0, 0, 0, 500_000, UTC)
    assert clock.true_utc(2_000_000_000) == datetime(2030, 1, 1, 0, 0, 2, 0, UTC)
    with pytest.raises(ValueError, match="time zone"):
        LabClock(datetime(2030, 1, 1))


def test_names_ports_and_redirection():
    internet, genuine, rogue = Internet(), Server(), Server()
    internet.register(HOST, 8883, genuine)
    with pytest.raises(UnknownName):
        internet.connect("elsewhere.test", 8883)
    with pytest.raises(Refused):
        internet.connect(HOST, 443)
    with pytest.raises(NetworkError, match="no address"):
        internet.register("", 8883, genuine)
    internet.redirect(HOST, 8883, rogue)
    internet.connect(HOST.upper(), 8883).send(b"secret")
    assert (bytes(rogue.peers[0].got), genuine.peers) == (b"secret", [])
    assert internet.service(HOST, 8883) is genuine
    internet.restore(HOST, 8883)
    stream = internet.connect(HOST, 8883)
    stream.send(b"bye")
    assert not stream.closed  # its last words have not been read
    assert (stream.receive(), stream.closed) == (b"BYE", True)
    with pytest.raises(NetworkError, match="closed"):
        stream.send(b"more")
    internet.unregister(HOST, 8883)
    with pytest.raises(UnknownName):
        internet.connect(HOST, 8883)


def test_proxy_records_changes_and_withholds():
    internet, server = Internet(), Server()
    internet.register(HOST, 8883, server)
    proxy = Proxy(internet.service(HOST, 8883))
    internet.redirect(HOST, 8883, proxy)
    stream = internet.connect(HOST, 8883)
    stream.send(b"one")
    server.peers[0].push(b"-pushed")
    assert stream.receive() == b"ONE-pushed"
    assert proxy.changed() == []
    proxy.rule = lambda direction, data: data.replace(b"two", b"TOO") if direction is Direction.TO_SERVER else None
    stream.send(b"two")
    assert stream.receive() == b""
    assert bytes(server.peers[0].got) == b"oneTOO"
    assert proxy.recorded(Direction.TO_SERVER) == b"onetwo"
    assert [(chunk.data, chunk.passed) for chunk in proxy.changed()] == [(b"two", b"TOO"), (b"TOO", None)]
    stream.close()
    assert server.peers[0].hung_up
    server.full = True
    with pytest.raises(Refused):
        internet.connect(HOST, 8883)


def test_real_tcp_peer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        internet = Internet()
        internet.register(HOST, 8883, TcpService("127.0.0.1", listener.getsockname()[1]))
        stream = internet.connect(HOST, 8883)
        peer, _ = listener.accept()
        with peer:
            stream.send(b"ping")
            assert peer.recv(100) == b"ping"
            assert stream.receive() == b""
            peer.sendall(b"pong")
            assert select.select(internet.sockets(), [], [], 5)[0]
            assert stream.receive() == b"pong"
        assert select.select(internet.sockets(), [], [], 5)[0]
        assert stream.receive() == b""
        assert stream.closed
        assert internet.sockets() == []
        port = listener.getsockname()[1]
    internet.register("dead.test", 1, TcpService("127.0.0.1", port))
    with pytest.raises(Refused, match="refused"):
        internet.connect("dead.test", 1)
