# SPDX-License-Identifier: Apache-2.0
"""The ways to keep credentials, by name: the host's twin of the firmware's table of schemes.

A new scheme is a module with a subclass of :class:`Scheme` in this folder, named in ``offchip.vault.SCHEMES``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from offchip.vault import fat
from offchip.vault.chunk import CREDENTIAL_TAGS, Chunk
from offchip.vault.credentials import Credentials
from offchip.vault.fat import Storage
from offchip.vault.medium import MediumKind
from offchip.vault.records import Entries, Tag


@dataclass(frozen=True, slots=True)
class Chip:
    """What a scheme needs to know of a chip to make its records outside of it: device secret and unique id."""

    secret: bytes = field(repr=False)
    identity: bytes = b""


@dataclass(frozen=True, slots=True)
class Place:
    """``length`` bytes from ``offset`` on, of a file or of an area; 0: the whole file, or all that is not blank."""

    path: str = ""
    offset: int = 0
    length: int = 0

    def __str__(self) -> str:
        return self.path or str(self.offset)

    def read(self, storage: Storage) -> bytes:
        """What is there now. Raises MediumError when there is no such file."""
        if self.path:
            return fat.read_file(storage, self.path)[self.offset:][:self.length or None]
        if self.length:
            return storage.read(self.offset, self.length)
        return storage.read(self.offset, storage.size - self.offset).rstrip(b"\xFF")


class Scheme(ABC):
    """One way to keep credentials.

    Attributes:
        name: the firmware's word for it.
        code: its number in the configuration page (SPEC.md section 1).
        shows: what one learns from it, for lists and reports.
        media: where it can keep something; ``none`` alone: nowhere but in the chip.
        on_chip: the chunks of the credentials that stand in the configuration page.
        clear: the chunks that lie on the medium for everybody to read.
        fleet_secret: the device secret the factory gives every device; None: each has its own.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    shows: ClassVar[str]
    media: ClassVar[tuple[MediumKind, ...]]
    on_chip: ClassVar[frozenset[Chunk]]
    clear: ClassVar[frozenset[Chunk]] = frozenset()
    fleet_secret: ClassVar[bytes | None] = None

    def __repr__(self) -> str:
        return self.name

    def goes_with(self, medium: MediumKind) -> bool:
        """The scheme can be used with this medium."""
        return medium in self.media

    def page_entries(self, credentials: Credentials) -> Entries:
        """What of the credentials stands in the configuration page."""
        tags = {CREDENTIAL_TAGS[chunk] for chunk in self.on_chip}
        return [entry for entry in credentials.entries() if entry[0] in tags]

    def flash(self, credentials: Credentials, chip: Chip | None) -> bytes:
        """What the factory writes to the two vault sectors; empty: nothing.

        ``chip``: its secret is injected; None: the device makes its own at the first boot.
        """
        return b""

    @abstractmethod
    def image(self, medium: MediumKind, size: int, credentials: Credentials, chip: Chip | None = None) -> bytes:
        """A fresh medium of ``size`` bytes with its part of the credentials (``chip`` as in :meth:`flash`).

        Raises:
            VaultError: it does not fit; or the scheme uses no medium.
        """

    @abstractmethod
    def read(self, medium: MediumKind, storage: Storage) -> Entries:
        """The entries (tags 9, 10, 11) that whoever holds the medium can read from it.

        Raises:
            MediumError: there is nothing the scheme would have written.
        """

    @abstractmethod
    def place(self, medium: MediumKind, tag: Tag) -> Place:
        """Where the values of a tag lie. Raises MediumError when the scheme does not keep them on this medium."""

    @abstractmethod
    def write(self, medium: MediumKind, storage: Storage, entries: Entries) -> None:
        """Put entries in place of those on the medium, as whoever holds it can. Raises MediumError."""
