# SPDX-License-Identifier: Apache-2.0
"""Blocks of the STM32F405/407 that no ``.repl`` need name: this engine has them where the platform leaves a gap.

Renode's classes of them are absent, mislead or end its process (FIDELITY.md); so no file both engines read names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from offchip.engines.embedded.builder import Platform, Registration
from offchip.engines.embedded.nvic import TRCENA, Nvic
from offchip.engines.embedded.peripheral import Machine, Peripheral
from offchip.engines.embedded.peripherals.adc import Adc
from offchip.engines.embedded.peripherals.can import BxCan
from offchip.engines.embedded.peripherals.dac import Dac
from offchip.engines.embedded.peripherals.itm import Itm, TracePort
from offchip.engines.embedded.peripherals.rcc import Rcc
from offchip.engines.embedded.peripherals.sdio import EmptySdio
from offchip.engines.embedded.peripherals.timer import Timer
from offchip.engines.embedded.peripherals.usb_otg import UsbOtg
from offchip.engines.embedded.peripherals.wwdg import WindowWatchdog
from offchip.platform.model import Location

#: name, what makes it, address, interrupt by output (None: the unnamed one)
_STAND_INS: tuple[tuple[str, Callable[..., Peripheral], int, dict[int | None, int]], ...] = (
    ("wwdg", WindowWatchdog, 0x40002C00, {None: 0}),
    ("can1", BxCan, 0x40006400, {0: 19, 1: 20, 2: 21, 3: 22}),
    ("can2", BxCan, 0x40006800, {0: 63, 1: 64, 2: 65, 3: 66}),
    ("dac", Dac, 0x40007400, {}),
    ("adc", Adc, 0x40012000, {None: 18}),
    ("sdio", EmptySdio, 0x40012C00, {None: 49}),
    ("otg_hs", lambda machine: UsbOtg(machine, high_speed=True), 0x40040000, {None: 77}),
    ("otg_fs", UsbOtg, 0x50000000, {None: 67}),
    ("itm", Itm, 0xE0000000, {}),
    ("tpiu", TracePort, 0xE0040000, {}),
    ("etm", TracePort, 0xE0041000, {}),
)


def add_stand_ins(platform: Platform, machine: Machine, at: Location) -> None:
    """Put each of them where the platform of an STM32F4 has nothing under its name or at its address."""
    found = platform.peripherals
    nvic = next((each for each in found.values() if isinstance(each, Nvic)), None)
    if nvic is None or not any(isinstance(each, Rcc) for each in found.values()):
        return
    added: dict[str, Peripheral] = {}
    for name, make, address, interrupts in _STAND_INS:
        block = make(machine) if name != "can2" else BxCan(machine, _master(found, added))
        if name in found or _occupied(platform, address, block.size):
            continue
        block.name, block.path = name, f"sysbus.{name}"
        for output, interrupt in interrupts.items():
            (block.irq if output is None else block.line(output)).connect(nvic.on_gpio, interrupt)
        added[name] = block
        platform.registrations.append(Registration(address, block.size, block, None, at))
        platform.by_path[block.path] = block
    found.update(added)
    _wire(found, added, nvic)


def _master(found: Mapping[str, Peripheral], added: Mapping[str, Peripheral]) -> BxCan | None:
    master = found.get("can1", added.get("can1"))
    return master if isinstance(master, BxCan) else None


def _occupied(platform: Platform, start: int, size: int) -> bool:
    end = start + size
    return (any(each.start < end and start < each.start + each.size for each in platform.registrations)
            or any(tag.start < end and start <= tag.end for tag in platform.tags))


def _wire(found: Mapping[str, Peripheral], added: Mapping[str, Peripheral], nvic: Nvic) -> None:
    for each in added.values():
        if isinstance(each, Itm):
            each.enabled = lambda: bool(nvic.demcr & TRCENA)
        if isinstance(each, Adc | Dac):
            for timer in found.values():
                if isinstance(timer, Timer):
                    timer.on_trigger.append(each.triggered)
