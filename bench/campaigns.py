# SPDX-License-Identifier: Apache-2.0
"""Injections a second, beside bare Unicorn going back to the same place; and whether going back changes anything."""

from __future__ import annotations

import random
import time

from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc
from unicorn.arm_const import UC_ARM_REG_PC, UC_CPU_ARM_CORTEX_M4

from offchip.campaign.injections import Fault, Kind, Stretch, arrive
from offchip.engines.embedded.engine import EmbeddedEngine
from offchip.paths import BOARD

FLASH, SRAM = 0x08000000, 0x20000000
START, END = FLASH + 0x08, FLASH + 0x12
#: ldr r1, =n; movs r0, #0; loop: adds r0, #1; subs r1, #1; bne loop; b . -- 2 + 3 n instructions to the last one
CODE = bytes.fromhex("02490020013001 39fcd1fee7".replace(" ", ""))
WANTED = {500: 20_000, 50_000: 1_000}


def image(instructions: int) -> bytes:
    head = (SRAM + 0x20000).to_bytes(4, "little") + (START | 1).to_bytes(4, "little")
    return head + CODE + (instructions // 3).to_bytes(4, "little")


def ready(instructions: int) -> EmbeddedEngine:
    """A board that stands at the first instruction."""
    engine = EmbeddedEngine(BOARD)
    engine.program(FLASH, image(instructions))

    def perform() -> None:
        engine.power_on()
        engine.run(1_000_000)

    arrive(engine, START, perform)
    return engine


def injections(kind: Kind, instructions: int, seconds: float) -> tuple[float, float]:
    """(injections a second, instructions of each), of one core, in CPU time."""
    stretch = Stretch(ready(instructions), END)
    chance = random.Random(1)
    done, executed, start = 0, 0, time.process_time()
    while (gone := time.process_time() - start) < seconds:
        places = sorted(chance.randrange(stretch.length // 50) for _ in range(200))  # early: all of it is still to come
        for result in stretch.results(Fault(index, kind, "r0", 1 << chance.randrange(32)) for index in places):
            done += 1
            executed += result.instructions
        stretch.rewind()
    return done / gone, executed / done


def bare(instructions: int, seconds: float) -> float:
    """Unicorn alone: context back, run to the end."""
    uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
    uc.mem_map(FLASH, 0x10000)
    uc.mem_write(FLASH, image(instructions))
    uc.reg_write(UC_ARM_REG_PC, START | 1)
    context = uc.context_save()
    done, start = 0, time.process_time()
    while (gone := time.process_time() - start) < seconds:
        uc.context_restore(context)
        uc.emu_start(START | 1, END, count=2 * instructions)
        done += 1
    return done / gone


def differences(points: int, instructions: int = 500) -> int:
    """Random flips, restored and straight: how many of them end differently."""
    stretch, straight = Stretch(ready(instructions), END), ready(instructions)
    chance = random.Random(2)
    faults = sorted((Fault(chance.randrange(stretch.length), Kind.FLIP, chance.choice(("r0", "r1", "nzcv")),
                           1 << chance.randrange(28, 31)) for _ in range(points)), key=lambda each: each.index)
    machine = straight.machine
    injector, differ = machine.injector, 0
    limit = round(2 * stretch.length)
    machine.core.end_at(END)
    for result in stretch.results(faults):
        fault = result.fault
        injector.arrived = None
        machine.request_reset("pin")
        before, cycle = straight.instructions, machine.clock.cycles
        injector.flip_register(fault.register, fault.mask, before + fault.index)
        machine.run_until_cycle(cycle + fault.index + max(1000, limit))
        value = machine.core.get("r0")[0] if injector.arrived is not None else 0
        taken = straight.instructions - before - fault.index
        differ += (value, taken) != (result.value, result.instructions)
    return differ


def report(seconds: float = 2.0, points: int = 10_000) -> None:
    print("\ninjections, restored in the process, CPU time of one core")
    print("  kind   instructions   injections/s   bare Unicorn, nothing injected   ratio")
    for length, wanted in WANTED.items():
        plain = bare(length, seconds)
        for kind in Kind:
            rate, executed = injections(kind, length, seconds)
            print(f"  {kind:5}  {executed:12,.0f}   {rate:12,.0f}   {plain:30,.0f}   {rate / plain:5.0%}"
                  f"   (wanted: {wanted:,} at {length:,})")
    print(f"  {differences(points)} differences between restored and straight runs in {points:,} random points "
          "(wanted: 0)")


if __name__ == "__main__":
    report()
