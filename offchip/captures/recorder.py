# SPDX-License-Identifier: Apache-2.0
"""Listens to everything around the devices of one scene and changes nothing: the same cell has the same bytes.

Sources of the formats: IEEE 1364 section 18 (VCD), draft-ietf-opsawg-pcapng (pcapng), NSS Key Log Format.
"""

from __future__ import annotations

import gzip
import io
import tempfile
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from offchip.board.media import RemovableMedium
from offchip.broker.tls import key_log
from offchip.captures import timeline
from offchip.captures.network import NetworkLog
from offchip.captures.vcd import write_vcd
from offchip.engines.protocol import Transfer
from offchip.errors import EngineError, OffchipError
from offchip.files import replace_file
from offchip.network.clock import NEVER_NS
from offchip.scene import Device, Scene

_PIECE = 4096
_COMMENT = "offchip: made in a laboratory; every key in it is a throw-away"


@lru_cache(maxsize=16)
def _blank(byte: int, length: int) -> bytes:
    return bytes([byte]) * length


class _Image:
    """What a medium held: pieces that are one byte over and over, as most are, take no room."""

    def __init__(self, content: bytes) -> None:
        self._pieces = [blank if content.startswith(blank := _blank(content[at], _PIECE), at)
                        else content[at:at + _PIECE] for at in range(0, len(content), _PIECE)]

    def content(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)

    def equals(self, content: bytes) -> bool:
        """Whether this is what is there."""
        return not self.differences(content)

    def differences(self, content: bytes) -> list[tuple[int, bytes, bytes]]:
        """Pieces that are others there: offset, what was, what is."""
        return [(at, piece, content[at:at + _PIECE]) for at, piece in zip(
            range(0, len(content), _PIECE), self._pieces, strict=True) if not content.startswith(piece, at)]


@dataclass(slots=True)
class _Watched:
    """One device. ``before``: each medium when watching began."""

    device: Device
    before: dict[str, _Image]
    spi: list[Transfer] = field(default_factory=list)
    i2c: list[Transfer] = field(default_factory=list)

    @property
    def media(self) -> dict[str, RemovableMedium]:
        return {"sd": self.device.board.sd, "eeprom": self.device.board.eeprom}


class Recorder:
    """``with Recorder() as recorder:`` around the making of a scene, :meth:`watch`, then :meth:`timeline` and
    :meth:`save` while the scene is still there.

    Where several live at a time, :meth:`secrets` around each use in place of ``with``, and :meth:`close` at the end.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder = tempfile.TemporaryDirectory(prefix="offchip-")
        self._secrets = Path(self._folder.name, "secrets")
        self._scene: Scene | None = None
        self._network = NetworkLog(lambda: self._scene.now_ns if self._scene else 0)
        self._watched: list[_Watched] = []

    def __enter__(self) -> Recorder:
        self._stack.enter_context(self.secrets())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._stack.close()
        self.close()

    def secrets(self) -> AbstractContextManager[None]:
        """Within, the TLS secrets of whoever makes a context are this recorder's."""
        return key_log(self._secrets)

    def close(self) -> None:
        """Let go of what lies on the disk."""
        self._folder.cleanup()

    def watch(self, scene: Scene, device: Device) -> None:
        """Listen to a device of ``scene`` from now on; media as they are now count as those before.

        Raises:
            OffchipError: another scene is watched already.
        """
        if self._scene is not None and self._scene is not scene:
            raise OffchipError("a recorder watches one scene; take another one for another scene.")
        self._scene = scene
        scene.internet.watch = self._network.watch
        board = device.board
        watched = _Watched(device, {})
        watched.before = {name: _Image(medium.image) for name, medium in watched.media.items()}
        self._watched.append(watched)
        board.spi_probe.listen(watched.spi.append)
        board.i2c_probe.listen(watched.i2c.append)
        if board.engine.capabilities.fork:  # the taps are in this process: cheap to ask, before they run out of room
            board.on_slice.append(lambda now_ns: self._pull(watched))

    # afterwards ------------------------------------------------------------------------------------------------------
    def timeline(self) -> list[dict[str, Any]]:
        """What happened so far, see :mod:`offchip.captures.timeline`; empty when nothing was watched."""
        if self._scene is None:
            return []
        moments = [*timeline.of_network(self._network.wires),
                   *timeline.of_broker(self._scene.broker.events, self._scene.clock.start)]
        several = len(self._watched) > 1
        for each in self._watched:
            self._settle(each)
            name = each.device.thing if several else ""
            prefix = f"{name}: " if several else ""
            moments += timeline.of_console(each.device.board.console.lines, name)
            moments += timeline.of_spi(each.spi, prefix)
            moments += timeline.of_i2c(each.i2c, prefix)
            for kind, medium in each.media.items():
                moments += timeline.of_media(self._scene.now_ns, f"{prefix}{medium.name}", medium.size,
                                             each.before[kind].differences(medium.image))
        return [each.record() for each in timeline.in_order(moments)]

    def save(self, folder: Path, stem: str) -> list[str]:
        """Write the captures: per device ``.vcd`` and the images of its medium before and after, one ``.pcapng``.

        Args:
            stem: of the files' names; a further device adds the name of its thing.

        Returns:
            Names of the files in ``folder``; nothing is written of what had nothing to say.

        Raises:
            OSError: a file cannot be written.
        """
        if self._scene is None:
            return []
        folder.mkdir(parents=True, exist_ok=True)
        names: list[str] = []
        for number, each in enumerate(self._watched):
            self._settle(each)
            part = stem if not number else f"{stem}.{each.device.thing}"
            names += self._save_buses(folder, part, each) + self._save_media(folder, part, each)
        if self._network.wires:
            packets = io.BytesIO()
            from offchip.captures.pcapng import write_pcapng  # its library takes 0.1 s, and most cells are not kept

            write_pcapng(packets, self._network.wires, self._own_secrets(), self._scene.clock.start, _COMMENT)
            replace_file(folder / f"{stem}.pcapng", packets.getvalue())
            names.append(f"{stem}.pcapng")
        return names

    def _own_secrets(self) -> bytes:
        """Those of the connections watched, named by the random of the ClientHello: the file may have seen others."""
        if not self._secrets.is_file():
            return b""
        sent = b"".join(wire.sent(True) for wire in self._network.wires)
        return b"".join(line for line in self._secrets.read_bytes().splitlines(keepends=True)
                        if len(line.split()) == 3 and bytes.fromhex(line.split()[1].decode()) in sent)

    def _save_buses(self, folder: Path, stem: str, each: _Watched) -> list[str]:
        if not each.spi and not each.i2c:
            return []
        text = io.StringIO()
        write_vcd(text, each.spi, each.i2c, _COMMENT)
        replace_file(folder / f"{stem}.vcd", text.getvalue())
        return [f"{stem}.vcd"]

    def _save_media(self, folder: Path, stem: str, each: _Watched) -> list[str]:
        names = []
        for kind, medium in each.media.items():
            before, after = each.before[kind], medium.image
            if kind != each.device.defence.medium.name and before.equals(after):
                continue
            for moment, image in (("before", before.content()), ("after", after)):
                name = f"{stem}.{kind}.{moment}.img.gz"
                replace_file(folder / name, gzip.compress(image, compresslevel=6, mtime=0))
                names.append(name)
        return names

    @staticmethod
    def _pull(each: _Watched) -> int:
        """Take what the taps hold; returns when to be called again at the latest (never: the device asks first)."""
        each.device.board.spi_probe.pull()
        each.device.board.i2c_probe.pull()
        return NEVER_NS

    @staticmethod
    def _settle(each: _Watched) -> None:
        with suppress(EngineError):  # the board is closed already; what was heard stays
            each.device.board.spi_probe.settle()
            each.device.board.i2c_probe.settle()
