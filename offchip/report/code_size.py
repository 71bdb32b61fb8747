# SPDX-License-Identifier: Apache-2.0
"""How much flash the firmware's vault takes, per way of storing: from the linker's map beside the ELF."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

#: an input section that was kept: name, address, size, object; the linker breaks the line behind a long name
_SECTION = re.compile(r"^ \.(?:text|rodata)\S*\s+0x([0-9a-f]{8,16})\s+0x([0-9a-f]+)\s+\S*\bvault/(\w+)\.o$",
                      re.MULTILINE)
_FLASH = range(0x08000000, 0x08100000)
_COMMON = {"config", "credentials", "scheme"}
_ONLY = {"internal": {"internal"}, "plain": {"plain"}}
_MEDIA = {"medium_sd": "sd", "medium_eeprom": "eeprom"}


def vault_objects(elf: Path) -> dict[str, int]:
    """Object of ``firmware/src/vault`` -> bytes of code and constants in flash; empty without a map beside ``elf``."""
    try:
        text = elf.with_suffix(".map").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    sizes: Counter[str] = Counter()
    for address, size, name in _SECTION.findall(text):
        if int(address, 16) in _FLASH:
            sizes[name] += int(size, 16)
    return dict(sorted(sizes.items()))


def code_bytes(objects: dict[str, int], scheme: str, medium: str) -> int | None:
    """What of the vault a device needs that knows this scheme on this medium alone, without drivers and Mbed TLS."""
    if not objects:
        return None
    needed = _ONLY.get(scheme.removeprefix("split-"))
    return sum(size for name, size in objects.items() if _needs(name, needed, medium))


def _needs(name: str, needed: set[str] | None, medium: str) -> bool:
    if name in _MEDIA or name == "medium":
        return medium == _MEDIA.get(name, medium) and medium != "none"
    if name in _COMMON or needed is not None:
        return name in _COMMON or name in (needed or ())
    return not any(name in names for names in _ONLY.values())
