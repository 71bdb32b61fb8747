# SPDX-License-Identifier: Apache-2.0
"""Choosing the engine by name; nothing of an engine is imported before it is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from offchip.engines.protocol import Engine
from offchip.errors import EngineError

NAMES = ("embedded", "renode", "auto")


class Standby(Protocol):
    """What of an engine can be got ready once for processes that use it one after the other."""

    def lend(self) -> tuple[dict[str, str], tuple[int, ...]]:
        """(variables, file descriptors) to start the next process with."""

    def take_back(self, clean: bool) -> None:
        """That process has ended; ``clean``: by itself."""

    def close(self) -> None:
        """Nobody needs it any more."""


class _Nothing:
    """For an engine that starts at once."""

    def lend(self) -> tuple[dict[str, str], tuple[int, ...]]:
        return {}, ()

    def take_back(self, clean: bool) -> None:
        pass

    def close(self) -> None:
        pass


def standby(name: str) -> Standby:
    """Get the engine of that name ready. Raises EngineError when it is not ready to use."""
    if resolve_engine(name) == "renode":
        from offchip.engines.renode.standby import RenodeStandby

        return RenodeStandby()
    return _Nothing()


def resolve_engine(name: str) -> str:
    """``auto`` becomes ``renode`` where a Renode is ready to use, else ``embedded``. Raises EngineError."""
    if name not in NAMES:
        raise EngineError(f"there is no engine '{name}'; choose embedded, renode or auto.")
    if name != "auto":
        return name
    from offchip.engines.renode.locate import find_renode, missing_packages

    return "renode" if find_renode() is not None and not missing_packages() else "embedded"


def make_engine(name: str, platform: Path, seed: int = 1, elf: Path | None = None) -> Engine:
    """A board on the engine of that name (``embedded``, ``renode`` or ``auto``), with ``elf`` loaded.

    Raises:
        FirmwareError: the ELF is not for this chip; found out before an engine is started.
        EngineError: unknown name, or the engine is not ready to use; the sentence says what to do.
        PlatformError: the .repl is wrong.
    """
    chosen = resolve_engine(name)
    if chosen == "renode":
        from offchip.engines.renode.engine import RenodeEngine

        return RenodeEngine(platform, seed, elf)
    try:
        from offchip.engines.embedded.engine import EmbeddedEngine
    except ImportError as error:
        raise EngineError(f"the embedded engine lacks a package ({error}); "
                          "run: pip install -r requirements.txt") from error
    engine = EmbeddedEngine(platform, seed)
    if elf is not None:
        engine.load_elf(elf)
    return engine
