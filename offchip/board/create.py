"""One call from "which engine, which firmware" to a board on the bench."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from offchip.board.board import Board
from offchip.engines.protocol import Engine
from offchip.errors import EngineError, FirmwareError, PlatformError
from offchip.network.clock import LabClock
from offchip.network.internet import Internet

DEFAULT_PLATFORM = Path(__file__).resolve().parents[2] / "platforms" / "offchip-board.repl"
#: seed of the modelled random generator, as in platforms/offchip.resc
DEFAULT_SEED = 0x0FFC
_ENGINES = {
    "embedded": ("offchip.engines.embedded.engine", "EmbeddedEngine"),
    "renode": ("offchip.engines.renode.engine", "RenodeEngine"),
}


def create_board(engine: str = "embedded", platform: Path = DEFAULT_PLATFORM, elf: Path | None = None,
                 seed: int = DEFAULT_SEED, internet: Internet | None = None, clock: LabClock | None = None,
                 with_modem: bool = True) -> Board:
    """A board, powered off, with ``elf`` in its flash.

    ``engine``: ``embedded``, ``renode``, or ``auto`` (the embedded one, or Renode where Unicorn is not installed).
    Raises PlatformError, FirmwareError or EngineError.
    """
    if not platform.is_file():
        raise PlatformError(f"{platform}: there is no such platform file")
    if elf is not None and not elf.is_file():
        raise FirmwareError(f"{elf}: there is no such file; build the firmware first")
    chosen = _create_engine(engine, platform, seed)
    if elf is not None:
        chosen.load_elf(elf)
    return Board(chosen, internet, clock, with_modem)


def _create_engine(name: str, platform: Path, seed: int) -> Engine:
    if name == "auto":
        try:
            return _create_engine("embedded", platform, seed)
        except EngineError:
            return _create_engine("renode", platform, seed)
    if name not in _ENGINES:
        raise EngineError(f"engine '{name}' is unknown; choose embedded, renode or auto")
    module, attribute = _ENGINES[name]
    try:
        # only here: neither Unicorn nor .NET should load for a user of the other engine
        factory = getattr(import_module(module), attribute)
    except ImportError as error:
        raise EngineError(f"engine '{name}' cannot be loaded: {error}; install its packages") from error
    return factory(platform=platform, seed=seed)
