# SPDX-License-Identifier: Apache-2.0
"""Worlds in which something is wrong, for keywords that must notice."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from offchip.attacks.base import Attack
from offchip.attacks.loot import Loot
from offchip.board.board import Board
from offchip.evidence import Evidence
from offchip.paths import FIRMWARE
from offchip.pki import Identity
from offchip.scene import Scene
from offchip.scene.defence import Defence
from offchip.scene.scene import OTHER_THING, THING
from OffchipLibrary.bench import BenchKeywords
from OffchipLibrary.cost_oracle import CostOracleKeywords
from OffchipLibrary.device_oracle import DeviceOracleKeywords
from OffchipLibrary.identity_oracle import IdentityOracleKeywords
from OffchipLibrary.lab import Lab
from OffchipLibrary.loot_oracle import LootOracleKeywords
from OffchipLibrary.nonce_oracle import NonceOracleKeywords
from OffchipLibrary.owner import OwnerKeywords
from OffchipLibrary.secret_oracle import SecretOracleKeywords
from OffchipLibrary.server_oracle import ServerOracleKeywords
from OffchipLibrary.store_oracle import StoreOracleKeywords
from OffchipLibrary.verdict import VerdictKeywords

#: keyword in lower case -> the tests that let it fail
COVERED: dict[str, list[str]] = {}
_ORACLES = (DeviceOracleKeywords, ServerOracleKeywords, LootOracleKeywords, SecretOracleKeywords, StoreOracleKeywords,
            IdentityOracleKeywords, CostOracleKeywords, NonceOracleKeywords, VerdictKeywords)

_Test = Callable[..., None]


def fails(*keywords: str) -> Callable[[_Test], _Test]:
    """Marks a test in which each of these keywords meets a known-bad world and fails.

    It is not believed: the test itself fails when one of them was never called or always agreed. Of a parametrized test
    each case lets one of them fail at least.
    """
    names = {name.lower() for name in keywords}

    def mark(test: _Test) -> _Test:
        for name in names:
            COVERED.setdefault(name, []).append(test.__name__)

        @functools.wraps(test)
        def watched(*arguments: Any, **options: Any) -> None:
            with _failures() as failed:
                test(*arguments, **options)
            has_cases = any(each.name == "parametrize" for each in getattr(watched, "pytestmark", []))
            enough = names & failed if has_cases else names <= failed
            assert enough, f"these agreed with everything in a world that is bad: {sorted(names - failed)}"

        return watched
    return mark


@contextmanager
def _failures() -> Iterator[set[str]]:
    """Names of the keywords that fail meanwhile, in lower case."""
    failed: set[str] = set()

    def noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def spy(*arguments: Any, **options: Any) -> Any:
            try:
                return method(*arguments, **options)
            except BaseException:
                failed.add(name.replace("_", " ").lower())
                raise
        return spy

    def fire(lab: Lab, attack: Attack) -> list[Evidence]:
        return noted(attack.keyword, lambda: original(lab, attack))()  # type: ignore[no-any-return]

    original = Lab.fire
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lab, "fire", fire)
        for each in _ORACLES:
            for name, method in inspect.getmembers(each, inspect.isfunction):
                if hasattr(method, "robot_tags"):
                    patch.setattr(each, name, noted(name, method))
        yield failed


class World:
    """One test's lab without Robot around it."""

    def __init__(self, *tags: str, elf: Path = FIRMWARE) -> None:
        self.lab = Lab("embedded", elf)
        self.lab.start("known bad", "world", list(tags))
        self.bench, self.owner, self.device = BenchKeywords(self.lab), OwnerKeywords(self.lab), \
            DeviceOracleKeywords(self.lab)
        self.server, self.loot = ServerOracleKeywords(self.lab), LootOracleKeywords(self.lab)
        self.secret, self.verdict = SecretOracleKeywords(self.lab), VerdictKeywords(self.lab)
        self.nonce = NonceOracleKeywords(self.lab)
        self.store, self.identity = StoreOracleKeywords(self.lab), IdentityOracleKeywords(self.lab)

    def given(self, **options: Any) -> World:
        """A device, not powered."""
        self.bench.given_a_device(**options)
        return self

    def given_two(self, defence: Defence) -> World:
        """A device and one of the same make that the attacker owns, neither powered."""
        scene = Scene(self.lab.seed, things=(THING, OTHER_THING))
        device, other = (scene.build(thing, defence, engine=self.lab.engine, elf=self.lab.elf)
                         for thing in (THING, OTHER_THING))
        self.lab.install(scene, device, (other,))
        return self

    def say(self, *lines: str, at_ms: int = 0, board: Board | None = None) -> None:
        """Forge the console, the device's or another board's."""
        for line in lines:
            for value in line.encode() + b"\r\n":
                (board or self.lab.board).console.feed(value, at_ms * 1_000_000)

    def at_ms(self, milliseconds: int) -> None:
        """Let the server's clock show another time."""
        self.lab.scene.advance(milliseconds * 1_000_000)

    def hand_over(self, identity: Identity, place: str, content: bytes, attack: str = "A01") -> None:
        """An attacker who was given what he should have found, and says where he found it."""
        found = Loot()
        found.search(identity.key_pem + identity.certificate_pem, place)
        self.lab.reach.loot.keys += found.keys
        self.lab.reach.loot.certificates += found.certificates
        self.lab.record.add_evidence([Evidence(attack, "read", place, 0, received=content)])

    def fire(self, attack: Attack) -> list[Evidence]:
        return self.lab.fire(attack)


def patched(folder: Path, function: str, code: bytes) -> Path:
    """The firmware with the first instructions of one function replaced."""
    raw = bytearray(FIRMWARE.read_bytes())
    with FIRMWARE.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = elf.get_section_by_name(".symtab")
        assert isinstance(symbols, SymbolTableSection)
        symbol, = symbols.get_symbol_by_name(function) or []
        (offset,) = elf.address_offsets(symbol["st_value"] & ~1)
    raw[offset:offset + len(code)] = code
    bad = folder / "bad.elf"
    bad.write_bytes(raw)
    return bad


def dead(folder: Path) -> Path:
    """Firmware that sleeps from its first instruction on: ``wfi; b .-2``."""
    return patched(folder, "Reset_Handler", b"\x30\xbf\xfd\xe7")
