# SPDX-License-Identifier: Apache-2.0
"""Exceptions, faults and sleep of a Cortex-M4F on top of :class:`UnicornCore` (ARMv7-M ARM B1.5)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from unicorn.unicorn_py3.unicorn import UcError

from offchip.engines.embedded.busy_wait import BusyWait
from offchip.engines.embedded.nvic import (
    BUS_FAULT,
    HARD_FAULT,
    IDLE,
    MEM_MANAGE,
    NMI,
    SVCALL,
    USAGE_FAULT,
    Nvic,
)
from offchip.engines.embedded.peripheral import Machine, Peripheral, model
from offchip.engines.embedded.unicorn_core import End, UnicornCore

# CFSR bits, ARMv7-M ARM B3.2.15
IACCVIOL, IBUSERR, PRECISERR, UNSTKERR, STKERR, BFARVALID = 1, 1 << 8, 1 << 9, 1 << 11, 1 << 12, 1 << 15
DACCVIOL, MMARVALID = 1 << 1, 1 << 7
UNDEFINSTR, INVSTATE, INVPC, NOCP = 1 << 16, 1 << 17, 1 << 18, 1 << 19
HFSR_VECTTBL, HFSR_FORCED, HFSR_DEBUGEVT = 2, 1 << 30, 1 << 31
DFSR_BKPT = 2
SCR_SLEEPONEXIT, SCR_SLEEPDEEP, CCR_STKALIGN = 2, 4, 1 << 9
CCR_BFHFNMIGN = 1 << 8
CCR_UNALIGN_TRP, CCR_DIV_0_TRP = 1 << 3, 1 << 4
UNALIGNED, DIVBYZERO = 1 << 24, 1 << 25
CONTROL_NPRIV, CONTROL_SPSEL, CONTROL_FPCA = 1, 2, 4
#: Unicorn's core has the security extension of ARMv8-M inside: without its SFPA bit the next FP instruction would start
#: a new context and lose FPSCR
CONTROL_FP_ACTIVE = CONTROL_FPCA | 8

#: with an exception pending behind a mask, look again after so many instructions even if no unmasking was seen
MASKED_SLICE = 64

_FRAME = struct.Struct("<8I")
_FP_FRAME = struct.Struct("<18I")
_ENTRY_STATE = ("r0", "r1", "r2", "r3", "r12", "lr", "pc", "sp", "cpsr", "control", "ipsr")
_RETURN_STATE = ("msp", "psp", "control", "ipsr", "faultmask")
_TO_HANDLER = ("sp", "ipsr", "control", "lr", "iepsr", "pc", "nzcv")
_TO_HANDLER_FROM_PSP = ("sp", "ipsr", "control", "ipsr", "control", "ipsr", "control", "lr", "iepsr", "pc", "nzcv")
_FROM_MSP = ("msp", "control", "r0", "r1", "r2", "r3", "r12", "lr", "apsr", "iepsr", "control", "pc", "nzcv")
_FROM_PSP = ("psp", *_FROM_MSP[1:])
_CORE_REGISTERS = (*(f"r{n}" for n in range(13)), "sp", "lr")
_S = tuple(f"s{n}" for n in range(16))
_NAMES = {HARD_FAULT: "HardFault", MEM_MANAGE: "MemManage", BUS_FAULT: "BusFault", USAGE_FAULT: "UsageFault"}


@model("CPU.CortexM")
class CortexM(Peripheral):
    """The processor.

    Args:
        cpu_type: must be ``cortex-m4f`` or ``cortex-m4``.
        nvic: its interrupt controller.
        performance_in_mips: instructions per microsecond of virtual time.
    """

    def __init__(self, machine: Machine, cpu_type: str, nvic: Nvic, performance_in_mips: int = 100) -> None:
        super().__init__(machine)
        if cpu_type not in ("cortex-m4f", "cortex-m4"):
            raise ValueError(f'cpuType "{cpu_type}" is not supported; use "cortex-m4f"')
        if not 1 <= performance_in_mips <= 10_000:
            raise ValueError("PerformanceInMips must be between 1 and 10000")
        self.nvic = nvic
        self.performance_in_mips = performance_in_mips
        machine.clock.frequency = performance_in_mips * 1_000_000
        self.core = UnicornCore(machine.ahead)
        self.core.on_enable = self._could_preempt
        self.core.on_unmask = self._special_register_written
        nvic.masks = self._masks
        nvic.on_traps = self._set_traps
        nvic.on_mpu = self._mpu_changed
        nvic.on_fp_access = self._fp_access_changed
        nvic.on_pending_event = self.send_event
        nvic.fp = self.core.fp
        machine.clock.slice_position = self.core.position
        machine.clock.on_earlier = self._event_scheduled
        nvic.on_change = self._look_at_exceptions
        self.executed_instructions = 0
        self.is_halted = False
        self.locked_up = False
        self.sleeping = False
        self._attention = False
        self._event = False  # the event register (B1.5.18)
        self._waits_for_event = False  # asleep by WFE
        self._in_slice_base = 0
        #: wired by the machine: WFI with SLEEPDEEP, and its end
        self.on_deep_sleep: Callable[[], None] = lambda: None
        self.on_deep_wake: Callable[[], None] = lambda: None
        self._deep = False
        self._ends = self._end_table()
        self._traps = (False, False)  # division, alignment
        self._traps_changed = False
        #: wired by the machine: where to stop for an injected fault, and that the core stands
        self.instructions_left: Callable[[int], int] = lambda distance: distance
        self.on_progress: Callable[[], None] = lambda: None
        #: ... and that it stands where somebody wanted it to
        self.on_arrival: Callable[[], None] = lambda: None
        #: wired by the machine
        self.busy_wait: BusyWait
        #: set while a debugger is attached: told each BKPT
        self.on_breakpoint: Callable[[], None] | None = None

    # for the monitor ---------------------------------------------------------------------------------------------
    @property
    def pc(self) -> int:
        return self.core.pc

    @pc.setter
    def pc(self, value: int) -> None:
        self.core.pc = value

    @property
    def sp(self) -> int:
        return self.core.get("sp")[0]

    def get_register(self, register: int) -> int:
        """R0 to R15 by number, as Renode's monitor reads them."""
        if not 0 <= register < 16:
            raise ValueError(f"there is no core register {register}; give 0 to 15")
        return self.core.pc if register == 15 else self.core.get(_CORE_REGISTERS[register])[0]

    @property
    def vector_table_offset(self) -> int:
        return self.nvic.vtor

    @vector_table_offset.setter
    def vector_table_offset(self, value: int) -> None:
        self.nvic.vtor = self.nvic.initial_vtor = value

    # wiring ------------------------------------------------------------------------------------------------------
    def on_gpio(self, number: int, level: bool) -> None:
        """The NVIC's IRQ line of the .repl; both live in one process here and talk directly."""

    def _event_scheduled(self, cycle: int) -> None:
        self.core.stop_at(cycle - self._in_slice_base)

    def _look_at_exceptions(self) -> None:
        self._attention = True
        self.core.stop_soon()

    # reset -------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Take the reset exception: SP and PC from the vector table at address 0 (B1.5.5)."""
        core = self.core
        self.locked_up = self.sleeping = self._deep = self._event = self._waits_for_event = False
        self._attention = True
        core.set("ipsr", NMI)  # privileged, whatever the thread was
        core.set("control", 0)
        core.set("ipsr", 0)
        core.set("control", 0)
        self._set_traps(self.nvic.ccr)
        for mask in ("primask", "basepri", "faultmask"):
            core.set(mask, 0)
        core.set("fpscr", 0)
        core.fp.clear_exclusive()
        try:
            sp, pc = struct.unpack("<II", core.uc.mem_read(self.nvic.vtor, 8))
        except UcError:
            self._lockup(f"no vector table at 0x{self.nvic.vtor:08X}")
            return
        core.set("msp", sp & ~3)
        core.set("lr", 0xFFFFFFFF)
        core.set("iepsr", 1 << 24)
        core.pc = pc
        core.set("nzcv", 0)
        if not pc & 1:
            self._raise(USAGE_FAULT, INVSTATE, "reset vector without the thumb bit")

    # time --------------------------------------------------------------------------------------------------------
    @property
    def at_rest(self) -> bool:
        """Whether nothing is executed before the next event."""
        return self.is_halted or self.locked_up or (self.sleeping and not self._attention)

    def step_towards(self, target: int) -> None:
        """Let time pass up to cycle ``target``, at most to the next thing of interest. Called in a loop."""
        clock = self.machine.clock
        self.take_due()
        event = clock.next_event()
        goal = target if event is None or event > target else event
        distance = goal - clock.cycles
        if distance <= 0:
            return
        if self.is_halted or self.locked_up or self.sleeping:
            clock.advance(distance)
            return
        if self._attention:  # something waits behind a mask
            distance = min(distance, MASKED_SLICE)
        distance = self.instructions_left(distance)
        if distance <= 0:  # a flip is due before the next instruction
            self.on_progress()
            return
        self._in_slice_base = clock.cycles
        if self._traps_changed:
            self._traps_changed = False
            self.core.trap(*self._traps)
        self.busy_wait.before()
        end = self.core.run(distance)
        executed = self.core.executed
        clock.advance(executed)
        self.executed_instructions += executed
        if end is End.LIMIT and self.core.impatient:
            self._wait_busily(goal)
        else:
            self.busy_wait.forget()
        self.core.impatient = False
        if end is End.SKIP:
            self.core.skip()
        elif end is End.ARRIVED:
            self.on_arrival()
        elif end is not End.LIMIT:
            self.core.told.activity += 1
            self._handle(end)
        self.on_progress()

    def _wait_busily(self, goal: int) -> None:
        clock = self.machine.clock
        event = clock.next_event()
        distance = (goal if event is None else min(goal, event)) - clock.cycles
        if distance > 0:
            goal = clock.cycles + self.instructions_left(distance)
            left_out = self.busy_wait.after(self.executed_instructions, goal)
            clock.advance(left_out)
            self.executed_instructions += left_out

    def take_due(self) -> None:
        """Enter the exception that is due, so that PC is at the next instruction to be executed."""
        if self._attention and not self.is_halted and not self.locked_up:
            self.core.told.activity += 1
            self._take_exceptions()

    def put_in_force(self) -> None:
        """What the core does by its registers, after they were put back from outside."""
        self.core.trap(*self._traps)
        if self.core.tlb.guard is not None or self.nvic.mpu.control & 1:
            self._mpu_changed()

    def _handle(self, end: End) -> None:
        self._ends[end]()

    def _end_table(self) -> dict[End, Callable[[], None]]:
        """What follows when a slice ended before its limit."""
        return {
            End.WAIT: self._sleep,
            End.HINT: lambda: None,
            End.WAIT_FOR_EVENT: self._wait_for_event,
            End.SEND_EVENT: self._send_event,
            End.UNALIGNED: lambda: self._trap(self.core.pc, UNALIGNED, "unaligned access"),
            End.SVC: lambda: self._synchronous(SVCALL),
            End.EXCEPTION_RETURN: lambda: self._exception_return(self.core.pc),
            End.BUS_ERROR: lambda: self.bus_fault(self.core.fault_address, self.core.pc),
            End.FETCH_ERROR: self._fetch_error,
            End.FORBIDDEN: self._forbidden_access,
            End.FORBIDDEN_FETCH: lambda: self._raise(
                MEM_MANAGE, IACCVIOL, f"execution from 0x{self.core.pc:08X}, which the MPU forbids"),
            End.TRAP: lambda: self._trap(self.core.trap_pc, UNALIGNED, "unaligned access"),
            End.DIVISION: self._division,
            End.UNDEFINED: lambda: self._raise(
                USAGE_FAULT, UNDEFINSTR, f"undefined instruction at 0x{self.core.pc:08X}"),
            End.NO_COPROCESSOR: lambda: self._raise(
                USAGE_FAULT, NOCP, f"coprocessor or FPU instruction at 0x{self.core.pc:08X} without access"),
            End.INVALID_STATE: lambda: self._raise(
                USAGE_FAULT, INVSTATE, f"branch to 0x{self.core.pc:08X} without the thumb bit"),
            End.BREAKPOINT: self._breakpoint,
        }

    def _wait_for_event(self) -> None:
        """WFE (B1.5.18): an event of the past is enough."""
        if self._event:
            self._event = False
        else:
            self._waits_for_event = True
            self._fall_asleep()

    def _send_event(self) -> None:
        self._event = True
        self.core.skip()
        self.executed_instructions += 1
        self.machine.clock.advance(1)

    def send_event(self) -> None:
        """An event for WFE: an edge EXTI hands on by EMR, or an exception that becomes pending under SEVONPEND."""
        if self.sleeping and self._waits_for_event:
            self._wake()
        else:
            self._event = True

    def _fetch_error(self) -> None:
        address = self.core.fault_address
        if 0x40000000 <= address < 0x60000000 or address >= 0xA0000000:
            self._raise(MEM_MANAGE, IACCVIOL, f"execution from 0x{address:08X}, which is execute-never")
        else:
            self._raise(BUS_FAULT, IBUSERR, f"instruction fetch from 0x{address:08X}, where nothing is")

    def _forbidden_access(self) -> None:
        address = self.nvic.mmfar = self.core.fault_address
        self._raise(MEM_MANAGE, DACCVIOL | MMARVALID, f"access to 0x{address:08X}, which the MPU forbids", address)

    def _trap(self, pc: int, status: int, what: str) -> None:
        self.core.pc = pc
        self._raise(USAGE_FAULT, status, f"{what} at 0x{pc:08X}")

    def _division(self) -> None:
        if self.core.divide():
            self.executed_instructions += 1
            self.machine.clock.advance(1)
        else:
            self._trap(self.core.pc, DIVBYZERO, "division by zero")

    def _breakpoint(self) -> None:
        if self.on_breakpoint is not None:
            self.on_breakpoint()
            return
        self.nvic.dfsr |= DFSR_BKPT
        self.nvic.hfsr |= HFSR_DEBUGEVT
        self._raise(HARD_FAULT, 0, f"BKPT at 0x{self.core.pc:08X} with no debugger")

    # priorities --------------------------------------------------------------------------------------------------
    def _execution_priority(self) -> tuple[int, bool]:
        """(current priority, whether a mask register decides it), B1.5.4."""
        return self._priority_under(*self.core.masks())

    def _priority_under(self, primask: int, basepri: int, faultmask: int) -> tuple[int, bool]:
        handler = self.nvic.active_priority()
        mask = IDLE
        if basepri & 0xFF:
            mask = self.nvic.group(basepri & 0xFF)
        if primask & 1:
            mask = 0
        if faultmask & 1:
            mask = -1
        return min(handler, mask), mask < handler

    def _masks(self) -> tuple[int, int]:
        return self.core.masks()[1:]

    def _special_register_written(self) -> bool:
        """MSR or CPSIE was executed: clear the bits that do not exist, and say whether an exception may come now."""
        basepri, msp, psp = self.core.get("basepri", "msp", "psp")
        if basepri & 0x0F:
            self.core.set("basepri", basepri & 0xF0)
        for name, value in (("msp", msp), ("psp", psp)):
            if value & 3:
                self.core.set(name, value & ~3)
        return self._could_preempt()

    def _mpu_changed(self) -> None:
        self.core.tlb.guard = self._guard if self.nvic.mpu.control & 1 else None
        self.core.tlb.flush()

    def _guard(self, page: int) -> int:
        """What the MPU allows of a page now."""
        control, ipsr = self.core.get("control", "ipsr")
        privileged = bool(ipsr & 0x1FF) or not control & CONTROL_NPRIV
        return self.nvic.mpu.permissions(page, privileged, self._execution_priority()[0] < 0)

    def _fp_access_changed(self) -> None:
        """CPACR or FPCCR was written (B3.2.20, B3.2.21); what is translated counts on neither changing."""
        access = self.nvic.cpacr >> 20 & 3
        self.core.fp.give(access > 1 or access == 1 and not self.unprivileged)
        self.core.stop_soon()

    def _mode_changed(self) -> None:
        """Entry and return: what handlers below priority 0 may do is another matter."""
        self.core.fp.clear_exclusive()
        if self.nvic.cpacr >> 20 & 3 == 1:
            self._fp_access_changed()
        if self.core.tlb.guard is not None:
            self.core.tlb.flush()

    def _set_traps(self, ccr: int) -> None:
        wanted = bool(ccr & CCR_DIV_0_TRP), bool(ccr & CCR_UNALIGN_TRP)
        if wanted != self._traps:
            self._traps = wanted
            self._traps_changed = True
            self.core.stop_soon()

    @property
    def unprivileged(self) -> bool:
        return bool(self.core.control & CONTROL_NPRIV) and not self.core.get("ipsr")[0] & 0x1FF

    def _could_preempt(self) -> bool:
        best = self.nvic.best_pending()
        return best is not None and self.nvic.group(self.nvic.priority[best]) < self._execution_priority()[0]

    def _take_exceptions(self) -> None:
        nvic = self.nvic
        best = nvic.best_pending()
        if best is None:
            self._attention = False
            return
        priority = nvic.group(nvic.priority[best])
        masks = self.core.masks()
        if self.sleeping and not self._waits_for_event and priority < self._priority_under(0, *masks[1:])[0]:
            self._wake()  # PRIMASK does not keep WFI asleep (B1.5.19)
        current, masked = self._priority_under(*masks)
        if priority < current:
            self._wake()
            self._enter(best)
        else:
            # blocked by a handler: its return looks again. Blocked by a mask: short slices until it is lifted.
            self._attention = masked
            if self.sleeping:
                self._attention = False

    def _sleep(self) -> None:
        self._attention = True
        if self.nvic.best_pending() is None:
            self._fall_asleep()
        else:
            self.sleeping = True

    def _fall_asleep(self) -> None:
        self.sleeping = True
        if self.nvic.scr & SCR_SLEEPDEEP:
            self._deep = True
            self.on_deep_sleep()

    def _wake(self) -> None:
        self.sleeping = self._waits_for_event = False
        if self._deep:
            self._deep = False
            self.on_deep_wake()

    # entry and return (B1.5.6, B1.5.8) -----------------------------------------------------------------------------
    def _enter(self, exception: int) -> None:
        core, nvic = self.core, self.nvic
        r0, r1, r2, r3, r12, lr, pc, sp, cpsr, control, ipsr = core.get(*_ENTRY_STATE)
        ipsr &= 0x1FF
        extended = bool(control & CONTROL_FPCA)
        on_psp = not ipsr and bool(control & CONTROL_SPSEL)
        padding = sp & 4 if extended or nvic.ccr & CCR_STKALIGN else 0
        sp = (sp - (0x68 if extended else 0x20) - padding) & 0xFFFFFFFF
        xpsr = (cpsr & 0xFE0FFC00) & ~(1 << 24) | (cpsr & 0x20) << 19 | (1 << 9 if padding else 0) | ipsr
        frame = _FRAME.pack(r0, r1, r2, r3, r12, lr, pc & ~1, xpsr)
        if extended and not core.fp.reserve(sp):
            frame += _FP_FRAME.pack(*core.get(*_S), core.get("fpscr")[0], 0)
        if not core.store(sp, frame):
            self.machine.report("fault", self.path, f"stacking at 0x{sp:08X} failed")
            nvic.cfsr |= STKERR
            if exception == HARD_FAULT or nvic.active_priority() < 0:
                self._lockup("stack unusable while entering HardFault")
                return
            exception = self._derived(exception)
        exc_return = 0xFFFFFFE1 if extended else 0xFFFFFFF1
        if not ipsr:
            exc_return |= 8 | (4 if on_psp else 0)
        nvic.enter(exception)
        self._event = True
        self._mode_changed()
        entry = core.load(nvic.vtor + 4 * exception, 4)
        if entry is None:
            nvic.hfsr |= HFSR_VECTTBL
            if exception == HARD_FAULT:
                self._lockup("no vector table")
                return
            self._synchronous(HARD_FAULT)
            return
        vector = int.from_bytes(entry, "little")
        # handler mode on MSP, where CONTROL.SPSEL and FPCA read 0. The stack in use is written as "sp", because an
        # unprivileged thread may not name it; only privileged thread mode can clear SPSEL, hence the detour.
        npriv = control & CONTROL_NPRIV
        epsr, flags = 1 << 24 | exception, cpsr & 0xF0000000
        if on_psp:
            core.put(_TO_HANDLER_FROM_PSP, sp, exception, 0, 0, 0, exception, npriv, exc_return, epsr, vector | 1,
                     flags)
        else:
            core.put(_TO_HANDLER, sp, exception, npriv, exc_return, epsr, vector | 1, flags)
        self._attention = True
        if not vector & 1:
            self._raise(USAGE_FAULT, INVSTATE, f"vector {exception} (0x{vector:08X}) without the thumb bit")
        elif vector >= 0xE0000000:  # only a branch in handler mode makes an exception return of it (B1.5.8)
            self._raise(MEM_MANAGE, IACCVIOL, f"vector {exception} (0x{vector:08X}) is execute-never")

    def _derived(self, original: int) -> int:
        """The exception that takes the place of ``original``, whose stacking failed; nothing is stacked again."""
        nvic = self.nvic
        nvic.pending.add(original)
        if nvic.enabled[BUS_FAULT] and original != BUS_FAULT and (
                nvic.group(nvic.priority[BUS_FAULT]) < nvic.group(nvic.priority[original])):
            return BUS_FAULT
        nvic.hfsr |= HFSR_FORCED
        return HARD_FAULT

    def _exception_return(self, value: int) -> None:
        core, nvic = self.core, self.nvic
        msp, psp, control, ipsr, faultmask = core.get(*_RETURN_STATE)
        exception = ipsr & 0x1FF
        to_thread, on_psp, extended = bool(value & 8), bool(value & 4), not value & 0x10
        if not exception:  # in thread mode the value is an address like others, and never executed (B1.5.8)
            self._raise(MEM_MANAGE, IACCVIOL, f"execution from 0x{value:08X}, which is execute-never")
            return
        if exception not in nvic.active or (on_psp and not to_thread):
            self._raise(USAGE_FAULT, INVPC, f"illegal exception return 0x{value | 1:08X}")
            return
        nvic.leave(exception)
        self._event = True
        self._mode_changed()
        sp = psp if on_psp else msp
        frame = core.load(sp, 0x68 if extended else 0x20)
        if self._forged_mode(core.load(sp + 28, 4) if frame is None else frame[28:32], to_thread):
            self._raise(USAGE_FAULT, INVPC, f"exception return 0x{value | 1:08X} to a frame of another mode")
            return
        if faultmask & 1 and exception != NMI:
            core.set("faultmask", 0)
        if frame is None:
            self._raise(BUS_FAULT, UNSTKERR, f"unstacking from 0x{sp:08X} failed")
            return
        r0, r1, r2, r3, r12, lr, pc, xpsr = _FRAME.unpack_from(frame)
        if extended and not core.fp.still_there():
            *singles, fpscr, _ = _FP_FRAME.unpack_from(frame, 0x20)
            for name, word in zip(_S, singles, strict=True):
                core.set(name, word)
            core.set("fpscr", fpscr)
        sp += (0x68 if extended else 0x20) + (4 if xpsr & 1 << 9 else 0)
        back = 0 if to_thread else xpsr & 0x1FF
        fpca = CONTROL_FP_ACTIVE if extended else 0
        # FP state while still privileged in handler mode, SPSEL once in thread mode
        select = control & CONTROL_NPRIV | fpca | (CONTROL_SPSEL if on_psp and to_thread else 0)
        core.put(_FROM_PSP if on_psp else _FROM_MSP, sp & 0xFFFFFFFF, fpca, r0, r1, r2, r3, r12, lr, xpsr & 0xF80F0000,
                 xpsr & ~0x1FF | back, select, pc | 1, xpsr & 0xF0000000)
        self._attention = True
        if to_thread and nvic.scr & SCR_SLEEPONEXIT:
            self._sleep()

    @staticmethod
    def _forged_mode(xpsr: bytes | None, to_thread: bool) -> bool:
        """Whether the IPSR in the frame contradicts the mode EXC_RETURN names (B1.5.8)."""
        if xpsr is None:
            return False  # unstacking itself fails
        return bool(int.from_bytes(xpsr, "little") & 0x1FF) == to_thread

    # faults (B1.5.11, B1.5.14) -------------------------------------------------------------------------------------
    def bus_fault(self, address: int, pc: int) -> None:
        """A load or store at ``address`` by the instruction at ``pc`` met nothing that answers."""
        self.nvic.bfar = address
        if self.nvic.ccr & CCR_BFHFNMIGN and self._execution_priority()[0] < 0:  # probing, B1.5.14
            self.nvic.cfsr |= PRECISERR | BFARVALID
            if self.core.pc == pc:
                self.core.skip()
            return
        self.core.pc = pc
        self._raise(BUS_FAULT, PRECISERR | BFARVALID, f"access to 0x{address:08X}, where nothing is", address)

    def _raise(self, exception: int, status: int, message: str, address: int = 0) -> None:
        self.nvic.cfsr |= status
        self.machine.report("fault", self.path, f"{_NAMES[exception]}: {message}", address)
        self._synchronous(exception)

    def _synchronous(self, exception: int) -> None:
        """An exception the present instruction causes: taken now, escalated, or lockup."""
        nvic = self.nvic
        current, _ = self._execution_priority()
        if exception != HARD_FAULT and not (
                nvic.enabled[exception] and nvic.group(nvic.priority[exception]) < current):
            exception = HARD_FAULT
            nvic.hfsr |= HFSR_FORCED
        if exception == HARD_FAULT and current <= -1:
            self._lockup("fault inside HardFault or NMI")
            return
        nvic.pending.discard(exception)
        self._enter(exception)

    def _lockup(self, why: str) -> None:
        self.locked_up = True
        self.machine.report("lockup", self.path, f"the core is locked up: {why}")
