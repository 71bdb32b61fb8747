# SPDX-License-Identifier: Apache-2.0
"""A scenario file for a stranger's firmware, from what was seen of it; every line says what it is for."""

from __future__ import annotations

import json
import re
from pathlib import Path

from offchip.scenario.sight import Sight

#: pins of the serial buses themselves, which are no chip select
_WIRES = {"PA5", "PA6", "PA7", "PB3", "PB4", "PB5", "PB6", "PB7", "PB8", "PB9", "PB10", "PB11", "PB13", "PB14", "PB15",
          "PC10", "PC11", "PC12"}

_FAILURE = re.compile(r"error|fail|panic|fault|abort|halt|not found|timeout|\bno\b", re.IGNORECASE)


def propose(images: list[Path], vectors: int, sight: Sight, folder: Path) -> str:
    """The text of the file, which is to lie in ``folder``."""
    lines = ["# A device for the lab: what it is, what hangs on it, and how one sees that it works.",
             "# `offchip check FILE` says what will not work; `offchip run FILE` fires the attacks.", "",
             "[firmware]",
             f"images = {json.dumps([_relative(each, folder) for each in images])}"
             "  # ELF, Intel HEX or name.bin@0x08000000; several lie side by side",
             f"vectors = 0x{vectors:X}  # 0: start as the chip does; else the vector table behind a bootloader", "",
             *_console(sight), *_media(sight), *_credentials(sight),
             "[attacks]", "skip = []  # ids of attacks that are not to be fired, like \"A09\""]
    return "\n".join(lines) + "\n"


def _relative(path: Path, folder: Path) -> str:
    try:
        return str(path.resolve().relative_to(folder.resolve()))
    except ValueError:
        return str(path.resolve())


def _console(sight: Sight) -> list[str]:
    lines = ["[console]"]
    others = [name for name in sight.said if name != sight.console]
    heard = (f"spoke in the first second; also heard: {', '.join(others)}" if others else "the only one that spoke") \
        if sight.console else "none spoke in the first second: name the one that will"
    lines.append(f'uart = "{sight.console or "usart1"}"  # {heard}')
    if sight.last_line:
        lines += ["# what a line looks like that only a working device says; this was the last one in the first second"]
        if _FAILURE.search(sight.last_line):
            lines.append("# (it sounds like a failure: with its medium there the device will say something else)")
        lines += [f"success = {json.dumps(re.escape(sight.last_line[:60]))}"]
    else:
        lines += ["# what a line looks like that only a working device says (regular expression); nothing was heard",
                  'success = "ready"']
    return [*lines, "within = 5.0  # seconds of virtual time in which it comes",
            'type = []  # what is typed, as [seconds, "text"], for instance [0.5, "mount\\r"]', ""]


def _media(sight: Sight) -> list[str]:
    lines: list[str] = []
    if sight.frames:
        bus = max(sight.frames, key=lambda name: sight.frames[name])
        selects = [pin for pin, _ in sight.selected.most_common() if pin not in _WIRES]
        lines += [f"[media.sd]  # {sight.frames[bus]} frames went over {bus}; take the table out if that is no card",
                  f'bus = "{bus}"',
                  f'select = "{selects[0] if selects else "PA4"}"  # chip select: '
                  + (f"{sight.selected[selects[0]]} times low while something went over the bus" if selects
                     else "no pin was low meanwhile, this is a guess"),
                  "# high_capacity = true  # SDHC: some drivers take every card of version 2 for one",
                  'image = ""  # content of the card; none: a blank one',
                  f"size = {16 << 20}  # bytes, where there is no image", ""]
    called = [(place, count) for place, count in sight.addresses.most_common() if 0x50 <= place[1] <= 0x57]
    if called:
        (bus, address), count = called[0]
        lines += [f"[media.eeprom]  # 0x{address:02X} was called {count} times on {bus}", f'bus = "{bus}"',
                  f"address = 0x{address:02X}",
                  'image = ""  # content of the chip; none: a blank one',
                  f"size = {32 << 10}  # bytes: 32768 is a 24C256",
                  "page = 64  # bytes that one write cycle takes", ""]
    if not lines:
        lines = ["# Neither SPI nor an EEPROM was used in the first second. When a medium is there all the same:",
                 "# [media.sd]", '# bus = "spi1"', '# select = "PA4"', '# image = "card.img"', "# [media.eeprom]",
                 '# bus = "i2c1"', "# address = 0x50", '# image = "eeprom.img"', ""]
    return lines


def _credentials(sight: Sight) -> list[str]:
    lines = ["[credentials]  # what nobody else may learn; reports name them by number, never by content"]
    for what, address in sight.secrets[:8]:
        lines.append(f"# in the image: {what} at 0x{address:08X}")
    return [*lines, 'texts = []  # like "correct horse battery staple"', "hex = []  # bytes, as hexadecimal digits",
            "files = []  # files whose whole content is a secret, relative to this one", ""]
