# SPDX-License-Identifier: Apache-2.0
"""The attacks of the catalogue that need no knowledge of anybody's formats, fired at a stranger's device.

Two oracles judge, and both are tried before anything is fired. The success line must come from the untouched device,
and must not come from one without its medium (else it says nothing about the medium). A secret counts as found where
its bytes are, plain, as hexadecimal digits (with something between the bytes, too) or in base64.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from offchip import chip_map
from offchip.attacks.catalogue import ATTACKS
from offchip.attacks.wire import sd_blocks
from offchip.engines.protocol import Engine, StorageEvent, Transfer
from offchip.errors import DebugAccessRefused, OffchipError
from offchip.evidence import Evidence
from offchip.scenario.bench import alive, initial_media
from offchip.scenario.model import Scenario, Secret

#: power cuts tried of each kind of writing
_MOST_CUTS = 6
#: places tried by an attack that changes the medium where no secret lies in clear
_MOST_PLACES = 4
_BLOCK = 512
_PULLED_S = 0.2
#: what a curious person types first
_CURIOUS = ("\r", "help\r", "?\r", "ls\r", "dir\r", "printenv\r", "dump\r", "config\r")


class Verdict(StrEnum):
    """What became of an attack."""

    BROKEN = "broken"  # the attacker got what he wanted
    HELD = "held"  # it was fired, and the device withstood
    NOT_JUDGED = "not judged"  # it was not fired, or nothing that can be seen tells what it did


@dataclass(frozen=True, slots=True)
class Row:
    """One attack and what it brought."""

    attack: str
    target: str
    verdict: Verdict
    told: str
    evidence: tuple[Evidence, ...] = ()

    @property
    def title(self) -> str:
        """The catalogue's name of the attack."""
        return ATTACKS[self.attack].title

    def record(self) -> dict[str, Any]:
        """For the report."""
        return {"attack": self.attack, "title": self.title, "target": self.target, "verdict": self.verdict.value,
                "told": self.told, "evidence": [each.record() for each in self.evidence]}


@dataclass
class Baseline:
    """The untouched device's life: what it read, wrote and said."""

    before: dict[str, bytes]
    after: dict[str, bytes]
    read: dict[str, list[int]]  # medium -> offsets of the pieces the device read, in order, each once
    transfers: list[Transfer]
    writes: dict[StorageEvent, int]
    seconds: float
    needs: dict[str, bool] = field(default_factory=dict)  # medium -> whether the device fails without it


def fire_all(scenario: Scenario, engine: str = "embedded", say: Callable[[str], None] = lambda line: None) -> list[Row]:
    """Fire every attack that fits.

    Raises:
        OffchipError: the untouched device does not work; nothing can be judged then.
    """
    base = _baseline(scenario, engine)
    rows: list[Row] = []
    for attack, act in _ACTS.items():
        if attack in scenario.skip:
            rows.append(Row(attack, "-", Verdict.NOT_JUDGED, "the scenario leaves it out"))
            continue
        for row in act(_Bench(scenario, engine, base)):
            rows.append(row)
            say(f"{row.attack} {row.target}: {row.verdict.value}; {row.told}")
    return rows


@dataclass(frozen=True, slots=True)
class _Bench:
    scenario: Scenario
    engine: str
    base: Baseline

    def leaks(self, attack: str, place: str, data: bytes, now_ns: int, action: str = "read") -> Iterator[Evidence]:
        """Evidence of each secret in data."""
        for secret in self.scenario.secrets:
            for form, spelled in _spellings(secret):
                at = data.find(spelled)
                if at >= 0:
                    yield Evidence(attack, action, f"{place} + 0x{at:X}", now_ns, received=data[at:at + len(spelled)],
                                   detail=f"{secret.name}, {form}")
                    break
            else:
                listed = _listed(secret).search(data)
                if listed is not None:
                    yield Evidence(attack, action, f"{place} + 0x{listed.start():X}", now_ns, received=listed[0],
                                   detail=f"{secret.name}, listed byte by byte")

    def judged_by_content(self, attack: str, target: str, found: list[Evidence], seen: bytes, now_ns: int) -> Row:
        """A row of an attack that looks for secrets."""
        if not self.scenario.secrets:
            return Row(attack, target, Verdict.NOT_JUDGED, "the scenario names no secret to look for",
                       _seen(attack, target, seen, now_ns))
        if found:
            names = ", ".join(sorted({each.detail.split(",")[0] for each in found}))
            return Row(attack, target, Verdict.BROKEN, f"{names} in clear", tuple(found))
        return Row(attack, target, Verdict.HELD, f"no secret in {len(seen)} bytes", _seen(attack, target, seen, now_ns))

    def with_medium(self, medium: str, content: bytes) -> tuple[bool, int]:
        """Whether a device works whose medium holds this; and when that was known."""
        media = {**self.base.after, medium: content}
        with alive(self.scenario, self.engine, media=media) as life:
            life.start()
            return life.works(), life.engine.now_ns

    def judged_by_success(self, attack: str, medium: str, what: str, content: bytes, action: str,
                          place: tuple[int, int]) -> Row:
        """A row of an attack that changes the medium: a device that goes on as if nothing were is broken."""
        offset, length = place
        before, after = self.base.after[medium][offset:offset + length], content[offset:offset + length]
        works, now_ns = self.with_medium(medium, content)
        evidence = (Evidence(attack, action, f"{medium} 0x{offset:X}", now_ns, before=before[:4096],
                             after=after[:4096]),)
        if not self.base.needs[medium]:
            return Row(attack, medium, Verdict.NOT_JUDGED,
                       f"{what}; the success line comes without the medium, too, and tells nothing about it", evidence)
        if works:
            return Row(attack, medium, Verdict.BROKEN, f"{what}; the device went on as if nothing were", evidence)
        return Row(attack, medium, Verdict.HELD, f"{what}; the success line did not come", evidence)


def _spellings(secret: Secret) -> Iterator[tuple[str, bytes]]:
    content = secret.content
    yield "plain", content
    yield "as hexadecimal digits", content.hex().encode()
    yield "as hexadecimal digits", content.hex().upper().encode()
    yield "in base64", base64.b64encode(content).rstrip(b"=")[:-1]


def _listed(secret: Secret) -> re.Pattern[bytes]:
    """How programs print buffers: hexadecimal digits of single bytes, with something between."""
    digits = (rb"(?:0[xX])?" + f"{byte:02x}".encode() for byte in secret.content)
    return re.compile(rb"[\s,:;\-]{0,4}".join(digits), re.IGNORECASE)


def _seen(attack: str, target: str, seen: bytes, now_ns: int) -> tuple[Evidence, ...]:
    return (Evidence(attack, "read", target, now_ns, received=seen),) if seen else ()


# the untouched device ------------------------------------------------------------------------------------------------
def _baseline(scenario: Scenario, engine: str) -> Baseline:
    with alive(scenario, engine) as life:
        _record(scenario, life.engine)
        life.start()
        started_ns = life.engine.now_ns
        works = life.works()
        seconds = (life.engine.now_ns - started_ns) / 1e9
        transfers = _drain(scenario, life.engine)
        if not works:
            said = life.lines(scenario.uart)
            last = f"its last line is '{said[-1][:80]}'" if said else f"{scenario.uart} said nothing"
            raise OffchipError(f"{scenario.path}: [console] success: the untouched device did not say so within "
                               f"{scenario.within_s:g} s ({last}); `offchip check` tells more.")
        after = {name: life.engine.medium(name).read(0, life.engine.medium(name).size) for name in scenario.media}
        injector = life.engine.fault_injector()
        events = life.engine.capabilities.cut_events
        writes = {event: injector.events(event) for event in StorageEvent if event in events}
    base = Baseline(initial_media(scenario), after, _places(scenario, transfers), transfers, writes, seconds)
    for name in scenario.media:
        with alive(scenario, engine) as life:
            life.engine.medium(name).present = False
            life.start()
            base.needs[name] = not life.works()
    return base


def _record(scenario: Scenario, engine: Engine) -> None:
    if scenario.card is not None:
        engine.spi_tap().record()
    if scenario.chip is not None:
        engine.i2c_tap().record()


def _drain(scenario: Scenario, engine: Engine) -> list[Transfer]:
    found: list[Transfer] = []
    if scenario.card is not None:
        found += engine.spi_tap().drain()
    if scenario.chip is not None:
        found += engine.i2c_tap().drain()
    return found


def _i2c_data(transfer: Transfer) -> tuple[bytes, bytes]:
    """(written, read) bytes of one transaction in the short form of the tap."""
    written, read, reading, address = bytearray(), bytearray(), False, False
    for token in transfer.text.split():
        if token in ("S", "s", "Sr"):
            address = True
        elif token not in ("P", "X"):
            value = int(token[:2], 16)
            if address:
                reading, address = bool(value & 1), False
            else:
                (read if reading else written).append(value)
    return bytes(written), bytes(read)


def _places(scenario: Scenario, transfers: list[Transfer]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    if scenario.card is not None:
        blocks = [each.block * _BLOCK for each in sd_blocks(t for t in transfers if not t.text) if not each.written]
        places["sdcard"] = list(dict.fromkeys(each for each in blocks if each < scenario.card.size))
    if scenario.chip is not None:
        found = []
        for written, read in (_i2c_data(each) for each in transfers if each.text):
            if written and read:
                wide = 2 if scenario.chip.size > 2048 else 1
                start = int.from_bytes(written[:wide], "big") % scenario.chip.size
                found += list(range(start // scenario.chip.page * scenario.chip.page,
                                    min(start + len(read), scenario.chip.size), scenario.chip.page))
        places["eeprom"] = list(dict.fromkeys(found))
    return places


# acts ----------------------------------------------------------------------------------------------------------------
def _read(bench: _Bench) -> Iterator[Row]:
    for medium, content in bench.base.after.items():
        now_ns = round(bench.base.seconds * 1e9)
        yield bench.judged_by_content("A01", medium, list(bench.leaks("A01", medium, content, now_ns)), content, now_ns)


def _sniff(bench: _Bench) -> Iterator[Row]:
    for bus, wanted in (("spi", bench.scenario.card), ("i2c", bench.scenario.chip)):
        if wanted is None:
            continue
        transfers = [each for each in bench.base.transfers if bool(each.text) is (bus == "i2c")]
        if bus == "spi":
            seen = b"".join(each.data for each in sd_blocks(transfers))
        else:
            pairs = [_i2c_data(each) for each in transfers]
            seen = b"".join(read for _, read in pairs) + b"\0" + b"".join(written[1:] for written, _ in pairs)
        if not transfers:
            yield Row("A02", bus, Verdict.NOT_JUDGED, "nothing crossed this bus while the device started")
            continue
        now_ns = transfers[-1].time_ns
        yield bench.judged_by_content("A02", bus, list(bench.leaks("A02", bus, seen, now_ns, "sniff")), seen, now_ns)


def _targets(bench: _Bench, medium: str) -> list[tuple[str, int]]:
    """Bytes worth changing: in the middle of secrets in clear, else of pieces the device read."""
    content = bench.base.after[medium]
    found = [(secret.name, content.find(spelled) + len(spelled) // 2) for secret in bench.scenario.secrets
             for _, spelled in _spellings(secret) if spelled in content]
    if found:
        return list({name: (name, at) for name, at in found}.values())[:_MOST_PLACES]
    piece = _piece(bench, medium)
    used = [at for at in bench.base.read.get(medium, []) if len(set(content[at:at + piece])) > 1]
    return [(f"the piece at 0x{at:X}", at + piece // 2) for at in used[-_MOST_PLACES:]]


def _piece(bench: _Bench, medium: str) -> int:
    chip = bench.scenario.chip
    return _BLOCK if medium == "sdcard" or chip is None else chip.page


def _flip(bench: _Bench) -> Iterator[Row]:
    for medium, content in bench.base.after.items():
        targets = _targets(bench, medium)
        if not targets:
            yield Row("A03", medium, Verdict.NOT_JUDGED, "the device reads nothing of it that could be changed")
        for name, at in targets:
            changed = bytearray(content)
            changed[at] ^= 1
            yield bench.judged_by_success("A03", medium, f"bit 0 of a byte in {name} inverted", bytes(changed),
                                          "flip bit", (at, 1))


def _swap(bench: _Bench) -> Iterator[Row]:
    for medium, content in bench.base.after.items():
        piece = _piece(bench, medium)
        at = list(dict.fromkeys(at // piece * piece for _, at in _targets(bench, medium)))
        at += [each for each in reversed(bench.base.read.get(medium, [])) if each not in at]
        pair = next(((a, b) for a in at for b in at if content[a:a + piece] != content[b:b + piece]), None)
        if pair is None:
            yield Row("A05", medium, Verdict.NOT_JUDGED, "the device reads no two pieces that differ")
            continue
        changed = bytearray(content)
        changed[pair[0]:pair[0] + piece] = content[pair[1]:pair[1] + piece]
        changed[pair[1]:pair[1] + piece] = content[pair[0]:pair[0] + piece]
        yield bench.judged_by_success("A05", medium, f"the pieces at 0x{pair[0]:X} and 0x{pair[1]:X} exchanged",
                                      bytes(changed), "swap", (pair[0], piece))


def _transplant(bench: _Bench) -> Iterator[Row]:
    """Into a chip that differs in what silicon differs in: its unique id and its noise."""
    for medium in bench.base.after:
        with alive(bench.scenario, bench.engine, seed=2, media=bench.base.after) as life:
            before = life.engine.read_memory(chip_map.UID.start, chip_map.UID.size)
            other = bytes(byte ^ 0x5A for byte in before)
            life.engine.program(chip_map.UID.start, other)
            life.start()
            works, now_ns = life.works(), life.engine.now_ns
        evidence = (Evidence("A06", "transplant", f"{medium} into the chip {other.hex()}", now_ns, before=before,
                             after=other),)
        if not bench.base.needs[medium]:
            yield Row("A06", medium, Verdict.NOT_JUDGED, "the success line comes without the medium, too", evidence)
        elif works:
            yield Row("A06", medium, Verdict.BROKEN, "another chip took the medium for its own", evidence)
        else:
            yield Row("A06", medium, Verdict.HELD, "in another chip the success line did not come", evidence)


def _roll_back(bench: _Bench) -> Iterator[Row]:
    for medium, content in bench.base.before.items():
        later = bench.base.after[medium]
        if content == later:
            yield Row("A07", medium, Verdict.NOT_JUDGED, "the device wrote nothing there: no older image is to be had")
            continue
        at = next(index for index, (old, new) in enumerate(zip(content, later, strict=True)) if old != new)
        # the chip has gone on meanwhile: the same device, the older medium
        with alive(bench.scenario, bench.engine) as life:
            life.start()
            life.works()
            life.engine.power_off()
            life.engine.medium(medium).write(0, content)
            life.start()
            works, now_ns = life.works(), life.engine.now_ns
        evidence = (Evidence("A07", "restore", f"{medium} 0x{at:X}", now_ns, before=later[at:at + 64],
                             after=content[at:at + 64]),)
        verdict = Verdict.NOT_JUDGED if not bench.base.needs[medium] else Verdict.BROKEN if works else Verdict.HELD
        yield Row("A07", medium, verdict, "the medium as it was before the first start; the success line "
                  + ("came" if works else "did not come"), evidence)


def _pull(bench: _Bench) -> Iterator[Row]:
    for medium in bench.base.after:
        with alive(bench.scenario, bench.engine) as life:
            life.start()
            life.run(bench.base.seconds / 2)
            life.engine.medium(medium).present = False
            pulled_ns = life.engine.now_ns
            life.run(_PULLED_S)
            life.engine.medium(medium).present = True
            life.start()
            works = life.works()
        evidence = (Evidence("A09", "pull", medium, pulled_ns, before=b"\1", after=b"\0"),)
        yield Row("A09", medium, Verdict.HELD if works else Verdict.BROKEN,
                  f"away for {_PULLED_S:g} s while the device worked; after the next start it "
                  + ("works" if works else "does not work any more"), evidence)


def _cut(bench: _Bench) -> Iterator[Row]:
    written = {event: count for event, count in bench.base.writes.items() if count}
    if not written:
        yield Row("A11", "supply", Verdict.NOT_JUDGED, "the device writes nothing before its success line")
    for event, count in written.items():
        yield _cuts_of(bench, event, count)


def _cuts_of(bench: _Bench, event: StorageEvent, count: int) -> Row:
    evidence: list[Evidence] = []
    dead = []
    for nth in sorted({1 + (count - 1) * step // max(1, _MOST_CUTS - 1) for step in range(_MOST_CUTS)}):
        with alive(bench.scenario, bench.engine) as life:
            life.engine.fault_injector().cut_power(event, nth)
            life.start()
            life.works()
            fired = life.engine.fault_injector().fired()
            evidence += Evidence.of_tap("A11", fired)
            life.engine.fault_injector().clear()
            life.start()
            if fired and not life.works():
                dead.append(nth)
    if not evidence:
        return Row("A11", str(event), Verdict.NOT_JUDGED, "no cut met its step of writing")
    if dead:
        return Row("A11", str(event), Verdict.BROKEN, f"after a cut in write {', '.join(map(str, dead))} of {count} "
                   "the device does not work any more", tuple(evidence))
    return Row("A11", str(event), Verdict.HELD, f"{len(evidence)} cuts in {count} writes; the device works after each",
               tuple(evidence))


def _debug(bench: _Bench) -> Iterator[Row]:
    with alive(bench.scenario, bench.engine) as life:
        life.start()
        life.works()
        port, now_ns = life.engine.debug_port(), life.engine.now_ns
        for name, region in (("flash", chip_map.FLASH), ("sram", chip_map.SRAM), ("ccm", chip_map.CCM)):
            request = region.start.to_bytes(4, "little") + region.size.to_bytes(4, "little")
            try:
                content = port.read(region.start, region.size)
            except DebugAccessRefused as refusal:
                yield Row("A13", name, Verdict.HELD, f"refused: {refusal}",
                          (Evidence("A13", "dump", name, now_ns, sent=request, detail="refused"),))
                continue
            found = list(bench.leaks("A13", name, content, now_ns, "dump"))
            yield bench.judged_by_content("A13", name, found, content, now_ns)


def _console(bench: _Bench) -> Iterator[Row]:
    with alive(bench.scenario, bench.engine) as life:
        life.start()
        life.works()
        for text in _CURIOUS:
            life.engine.feed_uart(bench.scenario.uart, text.encode())
            life.run(0.1)
        said, now_ns = {name: bytes(data) for name, data in life.said.items()}, life.engine.now_ns
    for uart, data in said.items():
        yield bench.judged_by_content("A22", uart, list(bench.leaks("A22", uart, data, now_ns, "listen")), data, now_ns)


def _rogue(bench: _Bench) -> Iterator[Row]:
    yield Row("A17", "network", Verdict.NOT_JUDGED,
              "a scenario has no network yet: nothing the device connects to can be answered in another's name")


_ACTS: dict[str, Callable[[_Bench], Iterator[Row]]] = {
    "A01": _read, "A02": _sniff, "A03": _flip, "A05": _swap, "A06": _transplant, "A07": _roll_back, "A09": _pull,
    "A11": _cut, "A13": _debug, "A17": _rogue, "A22": _console}

#: attacks a scenario may leave out
FIRED = frozenset(_ACTS)
