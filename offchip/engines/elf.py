# SPDX-License-Identifier: Apache-2.0
"""Reading firmware: an ELF for a Cortex-M4, as segments to program."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

from offchip.chip_map import Region
from offchip.errors import FirmwareError

# Tag_CPU_arch values a Cortex-M4 can run (ARM ABI addenda 3.3.5): v6-M, v6S-M, v7 (M profile), v7E-M
_CORES = {10: "v7", 11: "v6-M", 12: "v6S-M", 13: "v7E-M"}


@dataclass(frozen=True, slots=True)
class Firmware:
    """What an ELF holds.

    Attributes:
        segments: (load address, bytes) of every loadable segment with file content.
        sha256: of the file, hex.
    """

    path: Path
    segments: tuple[tuple[int, bytes], ...]
    sha256: str

    def check_fits(self, memories: Iterable[Region]) -> Firmware:
        """Itself. Raises FirmwareError when a segment lies outside the memories."""
        for address, data in self.segments:
            if not any(memory.start <= address and address + len(data) <= memory.end for memory in memories):
                raise FirmwareError(
                    f"{self.path}: the segment at 0x{address:08X} ({len(data)} bytes) lies outside the memories of "
                    "this platform; link it for the STM32F405 (flash 0x08000000, 1 MB).")
        return self


def read_elf(path: Path) -> Firmware:
    """Read and check an ELF.

    Raises:
        FirmwareError: missing, damaged, or not for a Cortex-M4.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FirmwareError(f"{path}: cannot read the firmware ({error.strerror}); build it or name another.") from None
    try:
        with path.open("rb") as stream:
            return _parse(path, ELFFile(stream), raw)
    except FirmwareError:
        raise
    except (ELFError, ValueError, IndexError, KeyError, OverflowError, UnicodeError, EOFError, AttributeError,
            TypeError, AssertionError) as error:
        raise FirmwareError(f"{path}: not a usable ELF ({error or type(error).__name__}); build it again.") from None


def _parse(path: Path, elf: ELFFile, raw: bytes) -> Firmware:
    machine = elf["e_machine"]
    if machine != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian:
        raise FirmwareError(f"{path}: made for {machine} ({elf.elfclass} bit), not for a little-endian Arm Cortex-M4.")
    if elf["e_type"] != "ET_EXEC":
        raise FirmwareError(f"{path}: {elf['e_type']} is not a linked program; give the linked ELF.")
    for section in elf.iter_sections():
        if isinstance(section, ARMAttributesSection):
            _check_attributes(path, section)
    segments = []
    for segment in elf.iter_segments("PT_LOAD"):
        if segment["p_filesz"]:
            data = segment.data()
            if len(data) != segment["p_filesz"]:
                raise FirmwareError(f"{path}: truncated: the segment at 0x{segment['p_paddr']:08X} lacks "
                                    f"{segment['p_filesz'] - len(data)} bytes; build the firmware again.")
            segments.append((segment["p_paddr"], data))
    if not segments:
        raise FirmwareError(f"{path}: holds nothing to load; give the linked ELF.")
    return Firmware(path, tuple(segments), hashlib.sha256(raw).hexdigest())


def _check_attributes(path: Path, section: ARMAttributesSection) -> None:
    for subsection in section.iter_subsections():
        for part in subsection.iter_subsubsections():
            tags = {a.tag: a.value for a in part.iter_attributes()}
            arch, profile = tags.get("TAG_CPU_ARCH"), tags.get("TAG_CPU_ARCH_PROFILE")
            if arch is not None and (arch not in _CORES or (profile not in (None, 0, ord("M"), "M") and arch == 10)):
                name = tags.get("TAG_CPU_NAME") or f"architecture {arch}"
                raise FirmwareError(f"{path}: built for another core ({name}); build it with -mcpu=cortex-m4.")
