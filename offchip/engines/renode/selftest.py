# SPDX-License-Identifier: Apache-2.0
"""What this lab relies on in a Renode, tried on the one at hand: exact time, freezing, reset, and a tap's byte.

Runs in a worker process, on a fresh board.
"""

from __future__ import annotations

from offchip.engines.renode.host import FLASH, Host

# A program for sector 0, assembled from:
#   .word 0x20001000, start+1
#   start: RCC: clocks of GPIOA, USART1, SPI1; PA4 output, high, then low (selects the card);
#          SPI1 CR1 = SSM SSI SPE MSTR; USART1 BRR = 139, CR1 = UE TE RE; r1 = 'B'
#   send:  wait for TXE; USART1 DR = r1; SPI1 DR = 0xFF; wait for RXNE; r1 = SPI1 DR; 250 turns of an empty loop; b send
PROGRAM = bytes.fromhex(
    "001000200900000812480121016341f210014164104a1149116010219161"
    "090491610f4b40f2443119600e488b21816042f20c01c160422104682406"
    "fcd54160ff21d9609c68e407fcd0d968fa24013cfdd1f1e7003802400000"
    "0240000100a80030014000100140")
BANNER = ord("B")
_MISO = 0x5A
_MILLISECOND = 1_000_000

Outcome = tuple[str, bool, str]


def run_selftest(host: Host) -> list[Outcome]:
    """(what, whether it holds, what was seen) of each check."""
    host.program(FLASH, PROGRAM)
    host.call("sysbus.spi1.tap", "Forget")
    host.put("sysbus.spi1.tap", "StuckMiso", _MISO)
    host.power_on()
    host.run(_MILLISECOND)
    outcomes = [_exact_instructions(host), _freeze_in_callback(host), _reset(host), _tap(host)]
    host.power_off()
    return outcomes


def _exact_instructions(host: Host) -> Outcome:
    wanted, seen = [], []
    for duration_ns in (_MILLISECOND, 10_000, 10_000, 5 * _MILLISECOND):
        before = host.instructions
        host.run(duration_ns)
        seen.append(host.instructions - before)
        wanted.append(duration_ns * host.mips // 1000)
    return "RunFor executes exactly the instructions of its time", seen == wanted, f"{seen}, expected {wanted}"


def _freeze_in_callback(host: Host) -> Outcome:
    uart = host["sysbus.usart1"]

    def freeze(_value: int) -> None:
        host.cpu.IsHalted = True

    callback = host.guard(freeze)
    uart.CharReceived += callback
    before = host.instructions
    host.run(_MILLISECOND)
    frozen = host.instructions - before
    halted = bool(host.cpu.IsHalted)
    uart.CharReceived -= callback
    host.cpu.IsHalted = False
    before = host.instructions
    host.run(_MILLISECOND)
    thawed = host.instructions - before
    full = _MILLISECOND * host.mips // 1000
    good = halted and 0 < frozen < full // 2 < thawed <= full
    return "A callback freezes the core inside RunFor", good, f"{frozen} instructions to the freeze, {thawed} after it"


def _reset(host: Host) -> Outcome:
    host.reset()
    table = int(host.cpu.VectorTableOffset)
    sent = [byte.value for byte in host.run(_MILLISECOND).uart]
    good = table == FLASH and sent[:1] == [BANNER]
    return "A reset starts the firmware again", good, f"VTOR 0x{table:08X}, first bytes {bytes(sent[:4])!r}"


def _tap(host: Host) -> Outcome:
    sent = {byte.value for byte in host.run(_MILLISECOND).uart}
    evidence = host.get("sysbus.spi1.tap", "Fired")
    good = sent == {_MISO} and evidence.count("stuck_miso") == 1
    return "The SPI tap changes a byte and leaves evidence", good, f"bytes {sorted(sent)}, {evidence.strip()!r}"
