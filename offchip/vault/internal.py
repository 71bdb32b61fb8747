# SPDX-License-Identifier: Apache-2.0
"""``internal``: everything in the configuration page (SPEC.md section 2)."""

from __future__ import annotations

from offchip.errors import MediumError, VaultError
from offchip.vault.chunk import CREDENTIAL_CHUNKS
from offchip.vault.credentials import Credentials
from offchip.vault.fat import Storage
from offchip.vault.medium import NONE, MediumKind
from offchip.vault.records import Entries, Tag
from offchip.vault.scheme import Chip, Place, Scheme


class Internal(Scheme):
    """Everything in internal flash."""

    name, code, shows = "internal", 0, "the baseline: everything in internal flash"
    media = (NONE,)
    on_chip = CREDENTIAL_CHUNKS

    def image(self, medium: MediumKind, size: int, credentials: Credentials, chip: Chip | None = None) -> bytes:
        raise VaultError("scheme 'internal' keeps nothing on a medium")

    def read(self, medium: MediumKind, storage: Storage) -> Entries:
        raise MediumError("scheme 'internal' keeps nothing on a medium")

    def place(self, medium: MediumKind, tag: Tag) -> Place:
        raise MediumError("scheme 'internal' keeps nothing on a medium")

    def write(self, medium: MediumKind, storage: Storage, entries: Entries) -> None:
        raise MediumError("scheme 'internal' keeps nothing on a medium")
