# SPDX-License-Identifier: Apache-2.0
"""The ways to keep credentials, by name: the host's twin of the firmware's table of schemes.

A new scheme is a module with a subclass of :class:`Scheme` in this folder, named in ``offchip.vault.SCHEMES``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from offchip.vault import fat
from offchip.vault.credentials import Credentials
from offchip.vault.fat import Storage
from offchip.vault.medium import MediumKind
from offchip.vault.records import Entries, Tag


class Chunk(Enum):
    """What is kept, piece by piece; the value is its word on the console and in reports."""

    DEVICE_KEY = "device-key"
    DEVICE_CERTIFICATE = "device-certificate"
    BROKER_CA = "broker-ca"


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a volume, or ``length`` bytes of an area from ``offset`` on (0: all that is not blank)."""

    path: str = ""
    offset: int = 0
    length: int = 0

    def __str__(self) -> str:
        return self.path or str(self.offset)

    def read(self, storage: Storage) -> bytes:
        """What is there now. Raises MediumError when there is no such file."""
        if self.path:
            return fat.read_file(storage, self.path)
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
        clear: the chunks that lie on the medium for everybody to read.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    shows: ClassVar[str]
    media: ClassVar[tuple[MediumKind, ...]]
    clear: ClassVar[frozenset[Chunk]] = frozenset()

    def __repr__(self) -> str:
        return self.name

    def goes_with(self, medium: MediumKind) -> bool:
        """The scheme can be used with this medium."""
        return medium in self.media

    @abstractmethod
    def page_entries(self, credentials: Credentials) -> Entries:
        """What of the credentials stands in the configuration page."""

    @abstractmethod
    def image(self, medium: MediumKind, size: int, credentials: Credentials) -> bytes:
        """A fresh medium of ``size`` bytes with its part of the credentials.

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
