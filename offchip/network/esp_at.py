# SPDX-License-Identifier: Apache-2.0
"""The modem: a Wi-Fi module that speaks the ESP-AT dialect, as a sans-IO model on virtual time.

Source of the dialect: Espressif's "ESP-AT User Guide", release 2.4 (basic, Wi-Fi and TCP/IP AT commands, AT messages).
Modelled is what a single-connection TCP client needs; every other command answers ``ERROR``, as on the module.

Simplifications: the module forgets its access point at a restart (as after ``AT+SYSSTORE=0``), and a peer inside the
laboratory answers within one latency, however far away it would be.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from offchip.errors import NetworkError
from offchip.network.clock import NEVER_NS, LabClock
from offchip.network.internet import Internet, Stream, UnknownName

#: largest payload of one +IPD message: what fits an Ethernet-sized TCP segment
IPD_CHUNK = 1460
#: longest command line and longest AT+CIPSEND the module accepts, bytes
LINE_LIMIT = 256
SEND_LIMIT = 8192

_OK = b"\r\nOK\r\n"
_ERROR = b"\r\nERROR\r\n"
_UNSYNCHRONISED = datetime(1970, 1, 1)


class _Rejected(Exception):
    """The command answers ERROR, after ``prefix``."""

    def __init__(self, prefix: bytes = b"") -> None:
        self.prefix = prefix


class Modem:
    """One module. The knobs are plain attributes and may be turned at any time.

    ``mute``: powered, but nothing ever comes out. ``network_up``: the access point is in reach. ``sntp_answers``: the
    time servers can be reached. ``latency_ms``: from a byte sent to the answer of the network. ``boot_ms`` and
    ``join_ms``: how long a start and joining the access point take. ``ssid``, ``passphrase``: what the access point
    demands; None accepts anything. ``peer_shown``: somebody left it with AT+CIPDINFO=1.
    """

    def __init__(self, internet: Internet, clock: LabClock, latency_ms: int = 20, boot_ms: int = 300,
                 join_ms: int = 500, ssid: str | None = None, passphrase: str | None = None) -> None:
        self.internet = internet
        self.clock = clock
        self.latency_ms = latency_ms
        self.boot_ms = boot_ms
        self.join_ms = join_ms
        self.ssid = ssid
        self.passphrase = passphrase
        self.mute = False
        self.network_up = True
        self.sntp_answers = True
        self.peer_shown = False
        self._peer = "", 0
        self.stream: Stream | None = None
        #: every byte the MCU ever handed over for the network
        self.payloads = bytearray()
        self._powered = False
        self._order = count()
        self._commands: dict[str, Callable[[str, list[str], int], None]] = {
            "RST": self._rst, "GMR": self._gmr, "CWMODE": self._cwmode, "CWJAP": self._cwjap, "CWQAP": self._cwqap,
            "CIPMUX": self._cipmux, "CIPSNTPCFG": self._cipsntpcfg, "CIPSNTPTIME": self._cipsntptime,
            "CIPSTART": self._cipstart, "CIPSEND": self._cipsend, "CIPCLOSE": self._cipclose,
            "CIPDINFO": self._cipdinfo,
            "CIPSTATE": self._cipstate, "CIPSTATUS": self._cipstatus, "SYSSTORE": self._sysstore,
        }
        self._start(0)

    # supply and wire -----------------------------------------------------------------------------------------------
    def power_on(self, now_ns: int) -> None:
        """The module starts; it is deaf until it has said ``ready``."""
        self._powered = True
        self._start(now_ns)

    def power_off(self) -> None:
        """Connections vanish without a word."""
        self._powered = False
        self._drop_stream()
        self._output.clear()

    def receive(self, data: bytes, now_ns: int) -> None:
        """Bytes from the MCU, the last of them at virtual time ``now_ns``."""
        if not self._powered or now_ns < self._ready_ns:
            return
        for value in data:
            if self._payload_left:
                self._payload.append(value)
                self._payload_left -= 1
                if not self._payload_left:
                    self._send_payload(now_ns)
            else:
                self._command_byte(value, now_ns)

    def advance(self, now_ns: int) -> bytes:
        """Bytes due to the MCU by ``now_ns``."""
        if not self._powered:
            return b""
        if self._joined and not self.network_up:
            self._lose_network(now_ns)
        self._poll_stream(now_ns)
        due = bytearray()
        while self._output and self._output[0][0] <= now_ns:
            due += heapq.heappop(self._output)[2]
        return b"" if self.mute else bytes(due)

    @property
    def due_ns(self) -> int:
        """When :meth:`advance` has something to do, if nothing reaches the module before."""
        if not self._powered:
            return NEVER_NS
        if self._joined and not self.network_up:
            return 0
        return self._output[0][0] if self._output else NEVER_NS

    # state ---------------------------------------------------------------------------------------------------------
    def _start(self, now_ns: int) -> None:
        self._drop_stream()
        self._output: list[tuple[int, int, bytes]] = []
        self._line = bytearray()
        self._echo = True
        self._payload = bytearray()
        self._payload_left = 0
        self._mode = 0
        self._joined: str | None = None
        self._busy_until_ns = 0
        self._busy_word = b"p"
        self._stream_due_ns = 0
        self._boot_ns = now_ns
        self._ready_ns = now_ns + self.boot_ms * 1_000_000
        self._sntp_zone: timedelta | None = None
        self._sntp_servers: list[str] = []
        self._synchronised_ns: int | None = None
        self._clock_error = timedelta()
        self._say(b"\r\nready\r\n", self._ready_ns)

    def _say(self, text: bytes, due_ns: int) -> None:
        heapq.heappush(self._output, (due_ns, next(self._order), text))

    def _finish_later(self, text: bytes, due_ns: int, word: bytes = b"p") -> None:
        """The command's last words come at ``due_ns``; until then the module is busy."""
        self._say(text, due_ns)
        self._busy_until_ns = due_ns
        self._busy_word = word

    def _after_latency(self, now_ns: int) -> int:
        """When the next event of the connection is due: events keep their order even if the latency is turned."""
        self._stream_due_ns = max(self._stream_due_ns, now_ns + self.latency_ms * 1_000_000)
        return self._stream_due_ns

    def _drop_stream(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def _lose_network(self, now_ns: int) -> None:
        if self.stream is not None:
            self._drop_stream()
            self._say(b"CLOSED\r\n", now_ns)
        self._joined = None
        self._say(b"WIFI DISCONNECT\r\n", now_ns)

    # connection ----------------------------------------------------------------------------------------------------
    def _poll_stream(self, now_ns: int) -> None:
        if self.stream is None:
            return
        data = self.stream.receive()
        for start in range(0, len(data), IPD_CHUNK):
            chunk = data[start:start + IPD_CHUNK]
            peer = b',"%s",%d' % (self._peer[0].encode(), self._peer[1]) if self.peer_shown else b""
            self._say(b"\r\n+IPD,%d%s:" % (len(chunk), peer) + chunk, self._after_latency(now_ns))
        if self.stream.closed:
            self._drop_stream()
            self._say(b"CLOSED\r\n", self._after_latency(now_ns))

    def _send_payload(self, now_ns: int) -> None:
        data = bytes(self._payload)
        self.payloads += data
        self._payload.clear()
        self._say(b"\r\nRecv %d bytes\r\n" % len(data), now_ns)
        try:
            if self.stream is None:
                raise NetworkError("the connection closed while the payload was on its way")
            self.stream.send(data)
        except NetworkError:
            self._say(b"\r\nSEND FAIL\r\n", now_ns)
        else:
            self._finish_later(b"\r\nSEND OK\r\n", self._after_latency(now_ns), b"s")
        self._poll_stream(now_ns)

    # command lines -------------------------------------------------------------------------------------------------
    def _command_byte(self, value: int, now_ns: int) -> None:
        if self._echo:
            self._say(bytes([value]), now_ns)
        self._line.append(value)
        if value != 0x0A:
            return
        line = bytes(self._line).strip()
        too_long = len(self._line) > LINE_LIMIT
        self._line.clear()
        if not line:
            return
        if now_ns < self._busy_until_ns:
            self._say(b"\r\nbusy %s...\r\n" % self._busy_word, now_ns)
        elif too_long:
            self._say(_ERROR, now_ns)
        else:
            self._execute(line.decode("utf-8", "replace"), now_ns)

    def _execute(self, line: str, now_ns: int) -> None:
        word = line.upper()
        try:
            if word == "AT":
                self._say(_OK, now_ns)
            elif word in ("ATE0", "ATE1"):
                self._echo = word == "ATE1"
                self._say(_OK, now_ns)
            else:
                name, operation, arguments = _parse(line)
                if name not in self._commands:
                    raise _Rejected
                self._commands[name](operation, arguments, now_ns)
        except _Rejected as rejected:
            self._say(rejected.prefix + _ERROR, now_ns)

    def _rst(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "")
        self._start(now_ns)
        self._say(_OK, now_ns)

    def _gmr(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "")
        self._say(b"AT version:2.4.0.0(offchip)\r\nSDK version:v4.3\r\nBin version:2.4.0(LAB)\r\n" + _OK, now_ns)

    def _sysstore(self, operation: str, arguments: list[str], now_ns: int) -> None:
        # 1 would keep the access point over a restart, which this module does not
        _require(operation == "=" and arguments == ["0"])
        self._say(_OK, now_ns)

    def _cwmode(self, operation: str, arguments: list[str], now_ns: int) -> None:
        if operation == "?":
            self._say(b"+CWMODE:%d\r\n" % self._mode + _OK, now_ns)
            return
        _require(operation == "=" and arguments[:1] in (["0"], ["1"]))
        self._mode = int(arguments[0])
        self._say(_OK, now_ns)

    def _cwjap(self, operation: str, arguments: list[str], now_ns: int) -> None:
        if operation == "?":
            state = f'+CWJAP:"{self._joined}","02:00:00:00:00:01",6,-50\r\n' if self._joined else "No AP\r\n"
            self._say(state.encode() + _OK, now_ns)
            return
        _require(operation == "=" and len(arguments) >= 2 and self._mode == 1)
        ssid, passphrase = arguments[:2]
        if self._joined:
            self._lose_network(now_ns)
        done_ns = now_ns + self.join_ms * 1_000_000
        if not self.network_up or (self.ssid is not None and ssid != self.ssid):
            self._finish_later(b"+CWJAP:3\r\n" + _ERROR, done_ns)  # 3: cannot find the access point
        elif self.passphrase is not None and passphrase != self.passphrase:
            self._finish_later(b"+CWJAP:2\r\n" + _ERROR, done_ns)  # 2: wrong password
        else:
            self._joined = ssid
            self._finish_later(b"WIFI CONNECTED\r\nWIFI GOT IP\r\n" + _OK, done_ns)
            self._synchronise(done_ns)

    def _cwqap(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "")
        self._say(_OK, now_ns)
        if self._joined:
            self._lose_network(now_ns)

    def _cipmux(self, operation: str, arguments: list[str], now_ns: int) -> None:
        if operation == "?":
            self._say(b"+CIPMUX:0\r\n" + _OK, now_ns)
            return
        _require(operation == "=" and arguments == ["0"])
        self._say(_OK, now_ns)

    # time ----------------------------------------------------------------------------------------------------------
    def _cipsntpcfg(self, operation: str, arguments: list[str], now_ns: int) -> None:
        if operation == "?":
            enabled = self._sntp_zone is not None
            zone = int(self._sntp_zone / timedelta(hours=1)) if self._sntp_zone is not None else 0
            servers = "".join(f',"{name}"' for name in self._sntp_servers)
            self._say(f"+CIPSNTPCFG:{int(enabled)},{zone}{servers}\r\n".encode() + _OK, now_ns)
            return
        _require(operation == "=" and arguments[:1] in (["0"], ["1"]))
        self._synchronised_ns = None
        if arguments[0] == "0":
            self._sntp_zone = None
        else:
            self._sntp_zone = _time_zone(arguments[1] if len(arguments) > 1 else "0")
            self._sntp_servers = arguments[2:5]
        self._say(_OK, now_ns)
        self._synchronise(now_ns)

    def _synchronise(self, now_ns: int) -> None:
        if self._sntp_zone is not None and self._joined and self.sntp_answers and self._synchronised_ns is None:
            self._synchronised_ns = now_ns + self.latency_ms * 1_000_000
            # the module runs on by itself: a server that lies later is believed at the next synchronisation only
            self._clock_error = timedelta(seconds=self.clock.offset_s)
            self._say(b"+TIME_UPDATED\r\n", self._synchronised_ns)

    def _cipsntptime(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "?" and self._sntp_zone is not None)
        assert self._sntp_zone is not None
        if self._synchronised_ns is not None and now_ns >= self._synchronised_ns:
            shown = self.clock.true_utc(now_ns) + self._clock_error + self._sntp_zone
        else:
            shown = _UNSYNCHRONISED + timedelta(microseconds=(now_ns - self._boot_ns) // 1000)
        self._say(f"+CIPSNTPTIME:{shown.ctime()}\r\n".encode() + b"OK\r\n", now_ns)

    # TCP -----------------------------------------------------------------------------------------------------------
    def _cipstart(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "=" and len(arguments) in (3, 4) and arguments[0].upper() == "TCP")
        host, port = arguments[1], arguments[2]
        _require(port.isdecimal() and host != "")
        if not self._joined:
            raise _Rejected(b"no ip\r\n")
        if self.stream is not None:
            raise _Rejected(b"ALREADY CONNECTED\r\n")
        due_ns = self._after_latency(now_ns)
        try:
            self.stream = self.internet.connect(host, int(port))
            self._peer = host, int(port)
        except UnknownName:
            self._finish_later(b"DNS Fail\r\n" + _ERROR, due_ns)
        except NetworkError:
            self._finish_later(_ERROR, due_ns)
        else:
            self._finish_later(b"CONNECT\r\n" + _OK, due_ns)

    def _cipdinfo(self, operation: str, arguments: list[str], now_ns: int) -> None:
        if operation == "?":
            self._say(b"+CIPDINFO:%s\r\n" % (b"true" if self.peer_shown else b"false") + _OK, now_ns)
            return
        _require(operation == "=" and arguments in (["0"], ["1"]))
        self.peer_shown = arguments == ["1"]
        self._say(_OK, now_ns)

    def _cipsend(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "=" and len(arguments) == 1 and arguments[0].isdecimal())
        length = int(arguments[0])
        _require(1 <= length <= SEND_LIMIT)
        if self.stream is None:
            raise _Rejected(b"link is not valid\r\n")
        self._payload_left = length
        self._say(_OK + b"\r\n>", now_ns)

    def _cipclose(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "" and self.stream is not None)
        self._drop_stream()
        self._say(b"CLOSED\r\n" + _OK, now_ns)

    def _cipstate(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "?")
        self._say(self._links("+CIPSTATE") + _OK, now_ns)

    def _cipstatus(self, operation: str, arguments: list[str], now_ns: int) -> None:
        _require(operation == "")
        status = 3 if self.stream else 2 if self._joined else 5
        self._say(b"STATUS:%d\r\n" % status + self._links("+CIPSTATUS") + _OK, now_ns)

    def _links(self, name: str) -> bytes:
        if self.stream is None:
            return b""
        return f'{name}:0,"TCP","{self.stream.host}",{self.stream.port},49152,0\r\n'.encode()


def _require(condition: bool) -> None:
    if not condition:
        raise _Rejected


def _time_zone(text: str) -> timedelta:
    """Hours (-12..14), or hours and minutes as in ``530``."""
    try:
        value = int(text)
    except ValueError:
        raise _Rejected from None
    if -12 <= value <= 14:
        return timedelta(hours=value)
    hours, minutes = divmod(abs(value), 100)
    _require(hours <= 14 and minutes < 60)
    return (1 if value > 0 else -1) * timedelta(hours=hours, minutes=minutes)


def _parse(line: str) -> tuple[str, str, list[str]]:
    """Split ``AT+NAME``, ``AT+NAME?`` or ``AT+NAME=arg,"arg"`` into name, operation and arguments."""
    _require(line[:3].upper() == "AT+")
    name, separator, rest = line[3:].partition("=")
    if separator:
        return name.upper(), "=", _arguments(rest)
    if name.endswith("?"):
        return name[:-1].upper(), "?", []
    return name.upper(), "", []


def _arguments(text: str) -> list[str]:
    """Comma-separated; texts are quoted, with a backslash before a quote, a comma or a backslash."""
    arguments = [""]
    quoted = escaped = False
    for character in text:
        if escaped:
            arguments[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            arguments.append("")
        else:
            arguments[-1] += character
    _require(not quoted and not escaped)
    return arguments
