# SPDX-License-Identifier: Apache-2.0
"""What will not work with a scenario, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from offchip.engines.image import check_apart, read_image
from offchip.engines.protocol import Diagnostic
from offchip.scenario.bench import Life, alive, initial_media
from offchip.scenario.fire import FIRED
from offchip.scenario.model import Scenario


def problems(scenario: Scenario, engine: str = "embedded") -> Iterator[str]:
    """One sentence each, with the field to change; none: `offchip run` will judge.

    Raises:
        OffchipError: firmware, board or media are not usable at all.
    """
    yield from _said_wrong(scenario)
    with alive(scenario, engine) as life:
        if scenario.chip is not None:
            life.engine.i2c_tap().record()
        life.start()
        works = life.works()
        if not works:
            yield _why_not(scenario, life)
        yield from _unexpected(life.engine.diagnostics())
        silent = [name for name in scenario.media if not _used(life, name)]
    for name in silent:
        yield (f"[media.{'sd' if name == 'sdcard' else 'eeprom'}] the device did not read it before "
               f"{'its success line' if works else 'the time was up'}: check bus and "
               f"{'select' if name == 'sdcard' else 'address'}")
    if works:
        for name in scenario.media:
            with alive(scenario, engine) as life:
                life.engine.medium(name).present = False
                life.start()
                if life.works():
                    yield (f"[console] success: the line comes without {name}, too, so attacks on it are not judged; "
                           "name a line that needs its content")


def _said_wrong(scenario: Scenario) -> Iterator[str]:
    """What the file alone tells."""
    for each in sorted(scenario.skip - FIRED):
        yield f"[attacks] skip: {each} is not fired at scenarios anyway; those are {', '.join(sorted(FIRED))}"
    images = [read_image(each) for each in scenario.images]
    check_apart(images)
    everywhere = [*initial_media(scenario).values(), *(data for image in images for _, data in image.segments)]
    for secret in scenario.secrets:
        if not any(secret.content in content for content in everywhere):
            yield (f"[credentials] {secret.name}: it lies in clear neither in firmware nor on a medium; well if it is "
                   "encrypted there, else give the medium's image")
    if not scenario.secrets:
        yield "[credentials]: nothing is named, so reading, sniffing, dumping and the console are not judged"


def _why_not(scenario: Scenario, life: Life) -> str:
    said = life.lines(scenario.uart)
    others = [name for name in life.said if name != scenario.uart]
    if said:
        return f"[console] success: no line matches; the last of {scenario.uart} is '{said[-1][:80]}'"
    if others:
        return f"[console] uart: {scenario.uart} says nothing, {', '.join(others)} does; name that one"
    return (f"[console] within: no UART said anything in {scenario.within_s:g} s; allow more time, or see what "
            "`offchip boot` says")


def _used(life: Life, name: str) -> bool:
    chip = life.scenario.chip
    if name == "sdcard" or chip is None:
        return life.engine.medium(name).counter("BlocksRead") > 0
    called = f"{chip.address << 1 | 1:02X}+"
    return any(called in transfer.text for transfer in life.engine.i2c_tap().drain())


def _unexpected(diagnostics: list[Diagnostic]) -> Iterator[str]:
    seen: set[tuple[str, str, str]] = set()
    for each in diagnostics:
        if each.sort in seen or len(seen) >= 10:
            continue
        seen.add(each.sort)
        fix = {"unmodelled": "the device sees 0 there; harmless unless it waits for it",
               "violation": "silicon would not do it either; mend the driver",
               "stand-in": "harmless unless it waits for it",
               "fault": "see the place in the program", "lockup": "see `vectors` in [firmware]"}.get(each.kind, "")
        yield f"[firmware] {each.kind} at PC 0x{each.pc:08X}: {each.message}; {fix}"
