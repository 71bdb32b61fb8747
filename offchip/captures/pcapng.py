# SPDX-License-Identifier: Apache-2.0
"""Connections as Wireshark opens them: pcapng (draft-ietf-opsawg-pcapng) with the TLS secrets inside.

The laboratory has byte streams, no packets. Ethernet, IPv4 and TCP headers are made for them, as the modem's own stack
would send them: handshake, segments of 1460 bytes, the end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from ipaddress import IPv4Address
from typing import BinaryIO

from dpkt import ethernet, ip, pcapng, tcp

from offchip.captures.network import Wire

_SEGMENT = 1460
#: documentation addresses of RFC 5737: the device, and hosts in the order in which they were called
_DEVICE, _SERVERS = IPv4Address("192.0.2.10"), IPv4Address("198.51.100.1")
_FIRST_PORT = 49152
_DECRYPTION_SECRETS, _TLS_KEY_LOG = 0x0000000A, 0x544C534B
_NANOSECONDS = pcapng.PcapngOptionLE(code=9, data=b"\x09")  # if_tsresol
_END = pcapng.PcapngOptionLE()


def write_pcapng(stream: BinaryIO, wires: Sequence[Wire], secrets: bytes, start: datetime, comment: str = "") -> None:
    """All connections, each as one TCP stream.

    Args:
        secrets: NSS key log of the TLS sessions; may hold more than these.
        start: what virtual time 0 is in UTC.
        comment: for whoever opens the file.
    """
    note = pcapng.PcapngOptionLE(code=pcapng.PCAPNG_OPT_COMMENT, data=comment.encode())
    stream.write(bytes(pcapng.SectionHeaderBlockLE(opts=[note, _END] if comment else [])))
    stream.write(bytes(pcapng.InterfaceDescriptionBlockLE(snaplen=0, opts=[_NANOSECONDS, _END])))
    stream.write(_secrets_block(secrets))
    hosts = list(dict.fromkeys(wire.host for wire in wires))
    frames = [frame for number, wire in enumerate(wires)
              for frame in _Conversation(wire, number, hosts.index(wire.host)).frames()]
    begin_ns = round(start.timestamp()) * 1_000_000_000
    for time_ns, frame in sorted(frames, key=lambda each: each[0]):
        high, low = divmod(begin_ns + time_ns, 1 << 32)
        stream.write(bytes(pcapng.EnhancedPacketBlockLE(ts_high=high, ts_low=low, caplen=len(frame),
                                                        pkt_len=len(frame), pkt_data=frame)))


def _secrets_block(secrets: bytes) -> bytes:
    """Section 4.7 of the draft; dpkt has no class for it."""
    body = struct.pack("<II", _TLS_KEY_LOG, len(secrets)) + secrets + bytes(-len(secrets) % 4)
    size = len(body) + 12
    return struct.pack("<II", _DECRYPTION_SECRETS, size) + body + struct.pack("<I", size)


class _Side:
    def __init__(self, address: IPv4Address, port: int, sequence: int) -> None:
        self.address, self.port, self.next = address, port, sequence
        self.mac = b"\x02\x00" + address.packed

    def takes(self, flags: int, size: int) -> None:
        """SYN and FIN count as a byte (RFC 9293, 3.4)."""
        self.next += size + bool(flags & (tcp.TH_SYN | tcp.TH_FIN))


class _Conversation:
    """One connection, packet by packet."""

    def __init__(self, wire: Wire, number: int, host: int) -> None:
        self._wire = wire
        try:
            caller = IPv4Address(wire.caller)
        except ValueError:
            caller = _DEVICE
        self._client = _Side(caller, _FIRST_PORT + number, 1000)
        self._server = _Side(_SERVERS + host, wire.port, 2000)
        self._packets = 0

    def frames(self) -> Iterator[tuple[int, bytes]]:
        opened = self._wire.time_ns
        yield self._packet(opened, True, tcp.TH_SYN)
        if self._wire.refused:
            yield self._packet(opened, False, tcp.TH_RST | tcp.TH_ACK)
            return
        yield self._packet(opened, False, tcp.TH_SYN | tcp.TH_ACK)
        yield self._packet(opened, True, tcp.TH_ACK)
        for each in self._wire.passed:
            for at in range(0, len(each.data), _SEGMENT):
                yield self._packet(each.time_ns, each.to_server, tcp.TH_PUSH | tcp.TH_ACK,
                                   each.data[at:at + _SEGMENT])
            if not each.data:
                yield self._packet(each.time_ns, each.to_server, tcp.TH_FIN | tcp.TH_ACK)

    def _packet(self, time_ns: int, to_server: bool, flags: int, data: bytes = b"") -> tuple[int, bytes]:
        source, target = (self._client, self._server) if to_server else (self._server, self._client)
        self._packets += 1
        segment = tcp.TCP(sport=source.port, dport=target.port, seq=source.next,
                          ack=target.next if flags & tcp.TH_ACK else 0, flags=flags, win=65535, data=data)
        packet = ip.IP(src=source.address.packed, dst=target.address.packed, p=ip.IP_PROTO_TCP, id=self._packets,
                       ttl=64, data=segment)
        packet.len = len(packet)
        source.takes(flags, len(data))
        return time_ns, bytes(ethernet.Ethernet(src=source.mac, dst=target.mac, data=packet))
