# SPDX-License-Identifier: Apache-2.0
"""Bus transfers as waveforms (VCD, IEEE 1364 section 18) for PulseView, sigrok-cli and GTKWave: 1-bit nets only.

The taps note when a transfer began and which bytes it had. Its edges are spread evenly from there: at the pace of the
bus, faster where the next transfer would not wait for it (an emulated controller sends without a gap).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from typing import IO

from vcd import VCDWriter

from offchip.engines.protocol import Transfer

#: nanoseconds of one time step of the file
TICK_NS = 10
#: half a clock period in ticks: SPI1 at 21 MHz at most, I2C1 at 400 kHz
_SPI_HALF, _I2C_HALF = 3, 125
_NETS = ("CS", "SCK", "MOSI", "MISO", "SCL", "SDA")
_IDLE = {"CS": 1, "SCK": 0, "MOSI": 1, "MISO": 1, "SCL": 1, "SDA": 1}

#: levels some nets take at once
_Step = dict[str, int]
_Timed = tuple[int, str, int]


def write_vcd(stream: IO[str], spi: Sequence[Transfer], i2c: Sequence[Transfer], comment: str = "") -> None:
    """Both buses in one file.

    Args:
        spi, i2c: each in order of time.
        comment: for whoever opens the file.
    """
    writer = VCDWriter(stream, timescale=f"{TICK_NS} ns", date="", comment=comment, version="offchip")
    nets = {name: writer.register_var("board", name, "wire", size=1, init=_IDLE[name]) for name in _NETS}
    time = 0
    for time, name, level in merge(_edges(spi, _spi_steps, _SPI_HALF), _edges(i2c, _i2c_steps, _I2C_HALF),
                                   key=lambda edge: edge[0]):
        writer.change(nets[name], time, level)
    writer.close(time + _I2C_HALF)  # readers need something behind the last edge to see it


def _edges(transfers: Sequence[Transfer], steps_of: Callable[[Transfer], Iterable[_Step]],
           half: int) -> Iterator[_Timed]:
    """Changes of level, each at a tick of its own or later than the one before."""
    level = dict(_IDLE)
    time = 1
    for number, transfer in enumerate(transfers):
        steps = list(steps_of(transfer))
        begin = max(time, transfer.time_ns // TICK_NS)
        pace = half
        if number + 1 < len(transfers):
            room = transfers[number + 1].time_ns // TICK_NS - begin
            pace = max(1, min(half, room // (len(steps) + 1)))
        time = begin
        for step in steps:
            for name, value in step.items():
                if level[name] != value:
                    level[name] = value
                    yield time, name, value
            time += pace


def _spi_steps(transfer: Transfer) -> Iterable[_Step]:
    """Mode 0: data change while the clock is low, are taken at its rising edge."""
    yield {"CS": 0}
    for mosi, miso in zip(transfer.mosi, transfer.miso, strict=True):
        for bit in range(7, -1, -1):
            yield {"SCK": 0, "MOSI": mosi >> bit & 1, "MISO": miso >> bit & 1}
            yield {"SCK": 1}
    yield {"SCK": 0}
    yield {"CS": 1, "MOSI": 1, "MISO": 1}


def _i2c_steps(transfer: Transfer) -> Iterable[_Step]:
    """UM10204, 3.1: SDA changes while SCL is low, except for START and STOP."""
    for word in transfer.text.split():
        if word == "S":
            yield {"SDA": 1, "SCL": 1}
            yield {"SDA": 0}
            yield {"SCL": 0}
        elif word == "Sr":
            yield {"SDA": 1}
            yield {"SCL": 1}
            yield {"SDA": 0}
            yield {"SCL": 0}
        elif word == "P":
            yield {"SDA": 0}
            yield {"SCL": 1}
            yield {"SDA": 1}
        elif word == "X":  # the master vanished: both lines are let go
            yield {"SDA": 1}
            yield {"SCL": 1}
        else:
            yield from _i2c_byte(int(word[:2], 16), word.endswith("+"))


def _i2c_byte(value: int, acknowledged: bool) -> Iterable[_Step]:
    for level in (*(value >> bit & 1 for bit in range(7, -1, -1)), int(not acknowledged)):
        yield {"SDA": level}
        yield {"SCL": 1}
        yield {"SCL": 0}
