# SPDX-License-Identifier: Apache-2.0
"""What happened, in words, on the one virtual clock: console, buses, media, network and broker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

from offchip.attacks.wire import sd_blocks
from offchip.board.console import ConsoleLine
from offchip.broker.events import Connected, Event
from offchip.broker.world import PROCESSOR
from offchip.captures.network import Wire
from offchip.engines.protocol import Transfer

#: transfers of one kind that follow each other within this time are told in one line
_PAUSE_NS = 20_000_000
#: so many lines of one pattern in a row are told one by one
_LIKE_SHOWN = 3
_LONGEST = 160
_BLOCK = 512
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


class Lane(StrEnum):
    """Who or what a moment is about."""

    CONSOLE = "console"
    BUS = "bus"
    MEDIA = "media"
    NETWORK = "network"
    BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the story. ``time_ns``: virtual time since the first power-on."""

    time_ns: int
    lane: Lane
    text: str

    def record(self) -> dict[str, object]:
        """The form in a verdict record."""
        return {"time_ns": self.time_ns, "lane": str(self.lane), "text": self.text}


def in_order(moments: Iterable[Moment]) -> list[Moment]:
    """By time; what repeats itself is told once, with how often."""
    lanes = sorted(moments, key=lambda each: (each.lane, each.time_ns))
    shown = [each for _, lane in groupby(lanes, key=lambda each: each.lane) for each in _without_repetition(list(lane))]
    return sorted(shown, key=lambda each: each.time_ns)


def of_console(lines: Iterable[ConsoleLine], name: str = "") -> Iterator[Moment]:
    """``name``: of the device, where there are several."""
    for line in lines:
        if line.text.strip():
            yield Moment(line.time_ns, Lane.CONSOLE, _short(f"{name}: {line.text}" if name else line.text))


def of_spi(transfers: Sequence[Transfer], name: str = "") -> Iterator[Moment]:
    """Which blocks of the card were read and written."""
    blocks = [(each.time_ns, each.written, each.block, _BLOCK) for each in sd_blocks(transfers)]
    yield from _accesses(blocks, f"{name}SD card, block", f"{name}SD card, blocks", lambda number: str(number), 1)


def of_i2c(transfers: Iterable[Transfer], name: str = "") -> Iterator[Moment]:
    """Which bytes of the EEPROM were read and written; polls for the end of a write are left out."""
    found = []
    for transfer in transfers:
        if len(transfer.mosi) >= 2:
            address = int.from_bytes(transfer.mosi[:2], "big")
            if transfer.miso:
                found.append((transfer.time_ns, False, address, len(transfer.miso)))
            elif len(transfer.mosi) > 2:
                found.append((transfer.time_ns, True, address, len(transfer.mosi) - 2))
    yield from _accesses(found, f"{name}EEPROM, byte", f"{name}EEPROM, bytes", lambda number: f"0x{number:04X}", 0)


def of_network(wires: Iterable[Wire]) -> Iterator[Moment]:
    """Who called whom, and how much was said."""
    for wire in wires:
        caller = "the device" if wire.caller == "device" else wire.caller
        if wire.refused:
            yield Moment(wire.time_ns, Lane.NETWORK, _short(f"{caller} calls {wire.host}:{wire.port}: {wire.refused}"))
            continue
        yield Moment(wire.time_ns, Lane.NETWORK, f"{caller} calls {wire.host}:{wire.port}")
        if wire.passed and not wire.passed[-1].data:
            last = wire.passed[-1]
            who = "the caller" if last.to_server else "the server"
            yield Moment(last.time_ns, Lane.NETWORK,
                         f"{who} hangs up; {len(wire.sent(True))} bytes went to {wire.host}, {len(wire.sent(False))} "
                         "came back")


def of_broker(events: Iterable[Event], start: datetime) -> Iterator[Moment]:
    """What the broker decided about everybody but its own data processor. ``start``: what virtual time 0 is in UTC."""
    log = list(events)
    own = {each.connection for each in log if isinstance(each, Connected) and each.client_id == PROCESSOR}
    for event in log:
        if event.connection in own or getattr(event, "client_id", "") == PROCESSOR:
            continue
        time_ns = (event.time - start) // timedelta(microseconds=1) * 1000
        yield Moment(max(0, time_ns), Lane.BROKER, _short(_event_in_words(event)))


def of_media(time_ns: int, name: str, size: int, differences: Iterable[tuple[int, bytes, bytes]]) -> Iterator[Moment]:
    """Where the content of a medium is another one than at the start.

    ``size``: of the medium, bytes. ``differences``: offset of a piece, what was there, what is.
    """
    unit_size = _BLOCK if size > 1 << 16 else 64
    changed = [(start + at) // unit_size for start, before, after in differences
               for at in range(0, len(after), unit_size)
               if before[at:at + unit_size] != after[at:at + unit_size]]
    if not changed:
        return
    unit = "block" if unit_size == _BLOCK else "page"
    yield Moment(time_ns, Lane.MEDIA, _short(f"{name}: changed since the start: {unit}{'s' * (len(changed) > 1)} "
                                             f"{_ranges(changed, str)}"))


def _accesses(found: Sequence[tuple[int, bool, int, int]], one: str, many: str, number: Callable[[int], str],
              step: int) -> Iterator[Moment]:
    """Group (time, written, first, length) to lines. ``step``: what one access covers; 0: its length."""
    group: list[tuple[int, bool, int, int]] = []
    for each in [*found, None]:
        if group and (each is None or each[1] != group[0][1] or each[0] - group[-1][0] > _PAUSE_NS):
            numbers = sorted({at for _, _, first, length in group for at in range(first, first + (step or length))})
            verb = "written" if group[0][1] else "read"
            places = _ranges(numbers, number)
            yield Moment(group[0][0], Lane.BUS, _short(f"{one if len(numbers) == 1 else many} {places} {verb}"))
            group = []
        if each is not None:
            group.append(each)


def _ranges(numbers: Sequence[int], number: Callable[[int], str]) -> str:
    """``3-5, 9``"""
    runs: list[list[int]] = []
    for each in numbers:
        if runs and each == runs[-1][1] + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return ", ".join(number(first) if first == last else f"{number(first)}-{number(last)}" for first, last in runs)


def _event_in_words(event: Event) -> str:
    name = _CAMEL.sub(" ", type(event).__name__).lower()
    told = [f"{field.name.replace('_', ' ')} {_value(field.name, getattr(event, field.name))}"
            for field in fields(event) if field.name not in ("time", "connection")
            and getattr(event, field.name) not in ("", None, b"", ())]
    return f"{name}: {', '.join(told)}" if told else name


def _value(name: str, value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    text = str(value)
    return text[:12] if name == "certificate_id" else text


def _without_repetition(moments: list[Moment]) -> Iterator[Moment]:
    for _, run in groupby(moments, key=lambda each: _NUMBERS.sub("#", each.text)):
        like = list(run)
        yield from like[:_LIKE_SHOWN]
        if len(like) > _LIKE_SHOWN:
            left = len(like) - _LIKE_SHOWN
            yield Moment(like[_LIKE_SHOWN].time_ns, like[0].lane,
                         f"... {left} more like it, the last at {like[-1].time_ns / 1e9:.3f} s")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[:_LONGEST - 3] + "..."
