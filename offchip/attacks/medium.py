# SPDX-License-Identifier: Apache-2.0
"""Attacks with the SD card or the EEPROM in the attacker's own reader."""

from __future__ import annotations

import random

from offchip.attacks.carving import carve
from offchip.attacks.evidence import AttackFailed, Evidence, Loot
from offchip.board.media import Eeprom, RemovableMedium, SdCard
from offchip.errors import MediumError
from offchip.vault import PLAIN, Scheme
from offchip.vault.records import Tag


def steal_credentials(medium: RemovableMedium, time_ns: int) -> Loot:
    """Read the whole medium and carve it; on a card with a file system also file by file (a file may be fragmented)."""
    loot = Loot()
    if isinstance(medium, SdCard):
        try:
            for path in medium.files():
                _carve_into(loot, medium.read_file(path), f"{medium.name}:{path}", time_ns)
        except MediumError as error:
            loot.evidence.append(Evidence("read files", medium.name, time_ns, str(error)))
    _carve_into(loot, medium.image, medium.name, time_ns)
    return loot


def replace_trust_anchor(medium: SdCard | Eeprom, rogue_der: bytes, time_ns: int, keep: bool = False,
                         scheme: Scheme = PLAIN) -> Evidence:
    """Put the attacker's CA certificate (DER) in place of, or with ``keep`` beside, those on the medium.

    What can be put right without a secret (a CRC) is. Raises AttackFailed when there is nothing to change.
    """
    try:
        entries = scheme.read(medium.kind, medium)
        place = scheme.place(medium.kind, Tag.TRUST_ANCHOR)
        before = place.read(medium)
        kept = [entry for entry in entries if keep or entry[0] != Tag.TRUST_ANCHOR]
        scheme.write(medium.kind, medium, [(Tag.TRUST_ANCHOR, rogue_der), *kept])
        after = place.read(medium)
    except MediumError as error:
        raise AttackFailed(f"{medium.name}: the trust anchor cannot be replaced: {error}") from error
    return Evidence("replace trust anchor", f"{medium.name}:{place}", time_ns,
                    f"{'added' if keep else 'replaced by'} a CA certificate of {len(rogue_der)} bytes", before, after)


def flip_bit(medium: RemovableMedium, offset: int, bit: int, time_ns: int) -> Evidence:
    """Invert bit 0..7 of one byte. Raises AttackFailed."""
    if not 0 <= bit < 8:
        raise AttackFailed(f"{medium.name}: a byte has bits 0 to 7, not {bit}")
    before = medium.read(offset, 1)
    after = bytes([before[0] ^ 1 << bit])
    medium.write(offset, after)
    return Evidence("flip bit", f"{medium.name}:{offset}", time_ns, f"bit {bit} of byte {offset} inverted", before,
                    after)


def overwrite(medium: RemovableMedium, offset: int, data: bytes, time_ns: int) -> Evidence:
    """Write over a range. Raises MediumError beyond the end."""
    before = medium.read(offset, min(len(data), 64))
    medium.write(offset, data)
    return Evidence("overwrite", f"{medium.name}:{offset}", time_ns, f"{len(data)} bytes overwritten", before,
                    data[:64])


def noise(size: int) -> bytes:
    """``size`` bytes without any structure, the same every time."""
    return random.Random(size).randbytes(size)


def delete_device_key(medium: SdCard, time_ns: int) -> Evidence:
    """Delete the key file. Raises AttackFailed."""
    path = PLAIN.place(medium.kind, Tag.DEVICE_PRIVATE_KEY).path
    try:
        before = medium.read_file(path)
        medium.delete_file(path)
    except MediumError as error:
        raise AttackFailed(f"{medium.name}: {path} cannot be deleted: {error}") from error
    return Evidence("delete file", f"{medium.name}:{path}", time_ns, f"{len(before)} bytes gone", before[:27])


def spoil_certificate(medium: SdCard, time_ns: int) -> Evidence:
    """Cut the device certificate's PEM in the middle. Raises AttackFailed."""
    path = PLAIN.place(medium.kind, Tag.DEVICE_CERTIFICATE).path
    try:
        before = medium.read_file(path)
        after = before[:len(before) // 2]
        medium.write_file(path, after)
    except MediumError as error:
        raise AttackFailed(f"{medium.name}: {path} cannot be changed: {error}") from error
    return Evidence("truncate file", f"{medium.name}:{path}", time_ns,
                    f"{len(before)} bytes became {len(after)}", before[:64], after[:64])


def wipe(medium: RemovableMedium, time_ns: int) -> Evidence:
    """Erase everything."""
    medium.wipe()
    return Evidence("wipe", medium.name, time_ns, f"{medium.size} bytes erased")


def swap(first: RemovableMedium, second: RemovableMedium, time_ns: int) -> Evidence:
    """Exchange the media of two devices. Raises MediumError when their sizes differ."""
    image = first.image
    first.replace(second.image)
    second.replace(image)
    return Evidence("swap", first.name, time_ns, f"{len(image)} bytes exchanged between two devices")


def _carve_into(loot: Loot, data: bytes, where: str, time_ns: int) -> None:
    keys, certificates = carve(data, where)
    known = {key.key.private_numbers().private_value for key in loot.keys}
    loot.keys += [key for key in keys if key.key.private_numbers().private_value not in known]
    held = {each.certificate for each in loot.certificates}
    loot.certificates += [each for each in certificates if each.certificate not in held]
    loot.evidence.append(Evidence("read", where, time_ns, f"{len(data)} bytes read, {len(keys)} private keys and "
                                                          f"{len(certificates)} certificates in them"))
