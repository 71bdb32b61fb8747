# SPDX-License-Identifier: Apache-2.0
"""The schemes that keep chunks as records in the vault area of a medium (SPEC.md sections 8 and 9)."""

from __future__ import annotations

from typing import ClassVar

from offchip.errors import MediumError, VaultError
from offchip.vault.chunk import AREA_SIZE, CREDENTIAL_CHUNKS, CREDENTIAL_TAGS, SLOTS, VAULT_FILE, Chunk, content
from offchip.vault.counters import Counters, pending
from offchip.vault.credentials import Credentials
from offchip.vault.fat import Storage, read_file
from offchip.vault.medium import EEPROM, SD, MediumKind
from offchip.vault.records import Entries, Tag
from offchip.vault.scheme import Chip, Place, Scheme
from offchip.vault.sealed import Format, Sealer

#: the one secret of a careless maker's whole fleet
FLEET_SECRET = bytes(range(32))


class Vaulted(Scheme):
    """What these schemes have in common; they differ in their format."""

    media = (SD, EEPROM)
    on_chip = frozenset[Chunk]()
    format: ClassVar[Format]

    def sealer(self, chip: Chip) -> Sealer:
        """Makes and opens this device's records."""
        return Sealer(self.format, self.name, self.code, chip.secret, chip.identity)

    @property
    def kept(self) -> tuple[Chunk, ...]:
        """The chunks in the area, in the order of their numbers."""
        return tuple(sorted(CREDENTIAL_CHUNKS - self.on_chip, key=lambda chunk: chunk.number))

    def flash(self, credentials: Credentials, chip: Chip | None) -> bytes:
        if chip is None:
            tags = {CREDENTIAL_TAGS[chunk] for chunk in self.kept}
            clear = [entry for entry in credentials.entries() if entry[0] in tags]
            return pending(clear) if clear else b""
        kept = self.kept if credentials.entries() else ()
        return Counters(chip.secret, len(kept), {chunk: 1 for chunk in kept}).image()

    def image(self, medium: MediumKind, size: int, credentials: Credentials, chip: Chip | None = None) -> bytes:
        area = bytearray(b"\xFF" * AREA_SIZE)
        if chip is not None and credentials.entries():
            for seal, chunk in enumerate(self.kept, 1):
                record = self.sealer(chip).seal(chunk, 1, seal, 0, content(chunk, credentials.entries()))
                area[chunk.offset:chunk.offset + len(record)] = record
        return medium.image(size, {VAULT_FILE: bytes(area)}, bytes(area))

    def read(self, medium: MediumKind, storage: Storage) -> Entries:
        raise MediumError(f"scheme '{self.name}': nothing on the medium can be read without the device secret")

    def write(self, medium: MediumKind, storage: Storage, entries: Entries) -> None:
        raise MediumError(f"scheme '{self.name}': nothing the device would take can be written without its secret")

    def place(self, medium: MediumKind, tag: Tag) -> Place:
        for chunk in self.kept:
            if CREDENTIAL_TAGS[chunk] is tag:
                return Place(VAULT_FILE if medium.has_files else "", chunk.offset, SLOTS * chunk.slot_size)
        raise MediumError(f"scheme '{self.name}' keeps no field {tag} on a medium")

    def open_chunk(self, medium: MediumKind, storage: Storage, chip: Chip, chunk: Chunk,
                   committed: int | None = None) -> tuple[int, bytes]:
        """Version and content of the newest record of a chunk, for whoever has the secret. Raises VaultError.

        ``committed``: the chip's word for it; what claims to be newer is what a cut update has left, and counts only
        where the medium is believed and there is nothing else (SPEC 9, reading).
        """
        area = read_file(storage, VAULT_FILE) if medium.has_files else storage.read(0, AREA_SIZE)
        found, reasons = [], []
        for slot in range(SLOTS):
            at = chunk.offset + slot * chunk.slot_size
            try:
                found.append(self.sealer(chip).open(chunk, slot, area[at:at + chunk.slot_size]))
            except VaultError as error:
                reasons.append(str(error))
        counted = [each for each in found if committed is None or each[0] <= committed]
        found = counted if counted or self.format.fresh else found
        if not found:
            raise VaultError("; ".join(reasons) or f"no update of {chunk.value} was ever completed")
        return max(found)


class Encrypted(Vaulted):
    """AES-XTS by sector, as key stores of popular chips do."""

    name, code, shows = "encrypted", 3, "AES-XTS without authentication: secrecy, but nothing is noticed"
    format = Format()


class Sealed(Vaulted):
    """AES-GCM, one key for everything."""

    name, code, shows = "sealed", 4, "AES-GCM: forging stops, swapping does not"
    format = Format(authenticated=True)


class Labelled(Vaulted):
    """AES-GCM bound to chunk and device."""

    name, code, shows = "labelled", 5, "sealed for chunk and device: swapping stops, rollback does not"
    format = Format(authenticated=True, labelled=True)


class Fresh(Vaulted):
    """Labelled, with the version that counts on the chip."""

    name, code, shows = "fresh", 6, "labelled, and its version kept on the chip: the full answer"
    format = Format(authenticated=True, labelled=True, fresh=True)


class Split(Fresh):
    """Fresh for what is public, the key in the chip."""

    name, code, shows = "split", 7, "key in flash, the rest as in fresh: the answer for a full flash"
    on_chip = frozenset({Chunk.DEVICE_KEY})


class FleetKey(Fresh):
    """Fresh, with one secret for all devices."""

    name, code, shows = "fleet-key", 8, "fresh, but one secret for all devices: one dissected unit breaks all"
    format = Format(authenticated=True, labelled=True, fresh=True, shared=True)
    fleet_secret = FLEET_SECRET
