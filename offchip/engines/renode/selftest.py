"""What this lab relies on in a Renode, tried on the one at hand: exact time, freezing, reset, and a tap's byte.

Runs in a worker process, on a fresh board.
"""

from __future__ import annotations

from offchip.engines.renode.host import FLASH, Host

# A program for sector 0, assembled by hand from:
#   .word 0x20001000, start+1
#   start: USART1 CR1 = UE TE RE; PA4 high, then low (selects the card); SPI1 CR1 = SSM SSI SPE MSTR; USART1 DR = 'B'
#   again: SPI1 DR = 0xFF; USART1 DR = SPI1 DR; 250 turns of an empty loop; b again
_PROGRAM = bytes.fromhex(
    "00100020090000080b4842f20c01c1600a4a1021916109049161094b4ff4"
    "5171196042214160ff21d960d9684160fa24013cfdd1f7e7000000100140"
    "0000024000300140")
_BANNER = ord("B")
_MISO = 0x5A
_MILLISECOND = 1_000_000

Outcome = tuple[str, bool, str]


def run_selftest(host: Host) -> list[Outcome]:
    """(what, whether it holds, what was seen) of each check."""
    host.program(FLASH, _PROGRAM)
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
    good = table == FLASH and sent[:1] == [_BANNER]
    return "A reset starts the firmware again", good, f"VTOR 0x{table:08X}, first bytes {bytes(sent[:4])!r}"


def _tap(host: Host) -> Outcome:
    sent = {byte.value for byte in host.run(_MILLISECOND).uart}
    evidence = host.get("sysbus.spi1.tap", "Fired")
    good = sent == {_MISO} and evidence.count("stuck_miso") == 1
    return "The SPI tap changes a byte and leaves evidence", good, f"bytes {sorted(sent)}, {evidence.strip()!r}"
