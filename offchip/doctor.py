# SPDX-License-Identifier: Apache-2.0
"""What this machine has and lacks, each with the one line that fixes it. Prints nothing."""

from __future__ import annotations

import shlex
import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from offchip.errors import OffchipError
from offchip.paths import BOARD, CACHE, FIRMWARE

if TYPE_CHECKING:
    from offchip.engines.renode.locate import Renode

MBEDTLS = CACHE / "mbedtls-3.6.6"
_SELFTEST_S = 120.0
_SETUP = "run scripts/setup"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: whether it is as needed.
        found: what was seen.
        fix: what to do, one line; empty when ok.
        optional: the lab's default engine works without it.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    optional: bool = False


def doctor() -> list[Check]:
    """All checks, in the order in which to fix things. Takes seconds; with Renode some ten more."""
    return [_python(), _repeatability(), _unicorn(), _compiler(), _toolchain(), _mbedtls(), _firmware(), *_renode()]


def _python() -> Check:
    found = f"{sys.version.split()[0]} ({sys.executable})"
    good = sys.version_info >= (3, 11)
    return Check("python", good, found, "" if good else "install Python 3.11 or newer and run scripts/setup")


def _repeatability() -> Check:
    """Whether TLS of the broker follows from the seed, as everything else does."""
    from offchip.broker.entropy import seeding_fault

    fault = seeding_fault()
    return Check("same seed, same bytes", not fault, fault or ssl.OPENSSL_VERSION,
                 "use a Python whose ssl module is linked to a shared OpenSSL 1.1.1 to 3.5" if fault else "",
                 optional=True)


def _compiler() -> Check:
    """Whether what is known ahead of registers is answered without Python."""
    from offchip.engines.embedded.native import library

    built = library() is not None
    return Check("C compiler", built, "the quick path of the engine is built" if built else "none that works: slower",
                 "" if built else "install gcc and libc6-dev", optional=True)


def _unicorn() -> Check:
    """Unicorn loads and executes: movs r0, #42; adds r0, #1."""
    try:
        from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc  # type: ignore[attr-defined]
        from unicorn.arm_const import UC_ARM_REG_R0

        core = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        core.mem_map(0x1000, 0x1000)
        core.mem_write(0x1000, bytes.fromhex("2a200130"))
        core.emu_start(0x1001, 0x1004)
        result = core.reg_read(UC_ARM_REG_R0)
    except Exception as error:
        return Check("unicorn", False, f"does not run: {error}", "run: pip install -r requirements.txt")
    good = result == 43
    found = version("unicorn") + ("" if good else f", but 42 + 1 gave {result}")
    return Check("unicorn", good, found, "" if good else "run: pip install --force-reinstall unicorn==2.1.4")


def _toolchain() -> Check:
    fix = "run: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi make"
    if shutil.which("arm-none-eabi-gcc") is None:
        return Check("toolchain", False, "no arm-none-eabi-gcc on the PATH", fix)
    gcc = _first_line("arm-none-eabi-gcc", "--version")
    library = _first_line("arm-none-eabi-gcc", "-print-file-name=libc_nano.a")
    if not Path(library).is_absolute():
        return Check("toolchain", False, f"{gcc}, without newlib-nano", fix)
    if shutil.which("make") is None:
        return Check("toolchain", False, f"{gcc}, without make", fix)
    return Check("toolchain", True, gcc)


def _mbedtls() -> Check:
    good = (MBEDTLS / "include/mbedtls/ssl.h").is_file()
    return Check("Mbed TLS source", good, str(MBEDTLS) if good else f"nothing at {MBEDTLS}",
                 "" if good else "run scripts/fetch-mbedtls")


def _firmware() -> Check:
    from offchip.engines.elf import read_elf

    try:
        firmware = read_elf(FIRMWARE)
    except OffchipError as error:
        return Check("firmware", False, str(error), _SETUP)
    return Check("firmware", True, f"{FIRMWARE} (SHA-256 {firmware.sha256[:16]})")


def _renode() -> list[Check]:
    from offchip.engines.renode import locate

    packages = [_package("pythonnet"), _package("pyrenode3")]
    try:
        renode = locate.find_renode()
    except OffchipError as error:
        return [Check("Renode", False, str(error), locate.FIX_RENODE, optional=True), *packages]
    if renode is None:
        return [Check("Renode", False, "none", locate.FIX_RENODE, optional=True), *packages]
    found = [Check("Renode", True, f"{renode.path} ({renode.how})", optional=True), _monitor(renode), *packages]
    if not all(check.ok for check in packages):
        return found
    return [*found, *_renode_selftest()]


def _monitor(renode: Renode) -> Check:
    from offchip.engines.renode.locate import start_command

    try:
        return Check("Renode's monitor", True, shlex.join(start_command(renode)), optional=True)
    except OffchipError as error:
        what, _, fix = str(error).partition("; ")
        return Check("Renode's monitor", False, what, fix, optional=True)


def _package(name: str) -> Check:
    from offchip.engines.renode.locate import FIX_PYTHON, missing_packages

    if name in missing_packages():
        return Check(name, False, "not installed", FIX_PYTHON, optional=True)
    try:
        return Check(name, True, version(name), optional=True)
    except PackageNotFoundError:  # importable from a folder on the path, without metadata
        return Check(name, True, "present", optional=True)


def _renode_selftest() -> list[Check]:
    """Start Renode in a worker and try what the engine relies on."""
    from offchip.engines.renode.engine import RenodeEngine

    fix = "use Renode 1.16.1 (scripts/get-renode), for which this lab was measured"
    try:
        engine = RenodeEngine(BOARD)
    except OffchipError as error:
        return [Check("Renode starts", False, str(error), fix, optional=True)]
    checks = [Check("Renode starts", True, engine.capabilities.version, optional=True)]
    try:
        for name, good, seen in engine.selftest(_SELFTEST_S):
            checks.append(Check(name, good, seen, "" if good else fix, optional=True))
        return checks
    except OffchipError as error:
        return [*checks, Check("Renode self-test", False, str(error), fix, optional=True)]
    finally:
        engine.close()


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    return done.stdout.partition("\n")[0].strip()
