# SPDX-License-Identifier: Apache-2.0
"""A lab to look into with ordinary tools: the broker on a TCP port, certificates in a folder, a device publishing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from offchip.broker import memory
from offchip.broker.profile import DEFAULT_PROFILE, Profile, named_profile
from offchip.broker.reactions import Rules
from offchip.broker.world import PROCESSOR, WIDE, enrol
from offchip.errors import BrokerError, OffchipError
from offchip.interrupt import Interrupt
from offchip.lab import state
from offchip.lab.decisions import Decisions
from offchip.lab.desk import Desk
from offchip.lab.flash import Flash, write_private
from offchip.lab.window import Window
from offchip.pki import Identity
from offchip.scene import Defence, Scene
from offchip.scene.scene import THING
from offchip.vault import MediumKind, Scheme

OBSERVER = "observer"
_SLICE_S = 0.05


@dataclass(frozen=True, slots=True)
class Files:
    """What the folder holds: PEM files for ``mosquitto_sub``, ``openssl s_client`` and the like (throw-away keys)."""

    ca: Path
    observer_certificate: Path
    observer_key: Path
    device_certificate: Path
    device_key: Path


@dataclass(frozen=True, slots=True)
class Options:
    """What a lab is made with.

    Attributes:
        folder: made if it is not there.
        keylog: NSS key log of the broker's TLS sessions, for Wireshark.
        server: PEM files (certificate, private key) the broker shows instead of its own.
        profile: name of the server's behaviour, or a TOML file of one's own.
        state: SQLite file the lab goes on from, and is kept in.
        rules: what the owner reacts to by himself.
        real_time: the lab's day is the host's, for a board of one's own.
    """

    folder: Path
    keylog: Path | None = None
    server: tuple[Path | None, Path | None] = (None, None)
    profile: str = DEFAULT_PROFILE
    state: Path | None = None
    rules: Rules | None = None
    real_time: bool = False


def open_scene(options: Options) -> tuple[Scene, Files]:
    """A scene with one thing and an observer who may see everything; PEM files in the folder.

    Raises:
        BrokerError, PkiError: profile, key log, state or server certificate are unusable.
        OffchipError: the folder cannot be written.
    """
    folder, identity = options.folder, None
    certificate, key = options.server
    if certificate or key:
        if not (certificate and key):
            raise BrokerError("a server certificate needs its private key and the other way round; give both.")
        identity = Identity.load(certificate, key)
    scene = _scene(options, named_profile(options.profile), identity)
    if OBSERVER not in scene.world.devices:
        scene.world.devices[OBSERVER] = enrol(scene.authority, scene.registry, OBSERVER, WIDE)
    observer, device = scene.world.devices[OBSERVER], scene.world.devices[THING]
    files = Files(folder / "ca.pem", folder / "observer.crt", folder / "observer.key", folder / "device.crt",
                  folder / "device.key")
    for path, content in ((files.ca, scene.authority.root.certificate_pem),
                          (files.observer_certificate, observer.chain_pem), (files.observer_key, observer.key_pem),
                          (files.device_certificate, device.chain_pem), (files.device_key, device.key_pem)):
        write_private(path, content)
    return scene, files


def _scene(options: Options, profile: Profile, server: Identity | None) -> Scene:
    common: dict[str, Any] = {"things": (THING,), "keylog": options.keylog, "server": server, "profile": profile,
                              "rules": options.rules}
    today = datetime.now(UTC) if options.real_time else None
    if options.state is None or not options.state.exists():
        return Scene(**common, start=today)
    kept = state.load(options.state, profile)
    scene = Scene(int(kept.seed), **common, kept=(kept.registry, kept.identities),
                  start=max(kept.stopped, today or kept.stopped))
    scene.world.shadows.restore(kept.content.get("shadows", {}))
    with scene.broker.turns.step():
        memory.restore(scene.broker.hub, kept.content.get("broker", {}))
    return scene


class LiveLab:
    """Broker on TCP, the owner's desk and page, and one device whose virtual time follows the host's clock.

    Args:
        port: TCP port of the broker on 127.0.0.1, 0 for any; ``page_port`` likewise.
        device: (engine, firmware, scheme, medium) of the device; None: bring your own.

    Raises:
        BrokerError: a port is in use; OffchipError: firmware, storage, state or folder unusable.
    """

    def __init__(self, options: Options, device: tuple[str, Path, Scheme, MediumKind] | None, port: int,
                 page_port: int = 0) -> None:
        self.options = options
        self._hold = state.Hold(options.state) if options.state else None
        self.scene, self.files = open_scene(options)
        self.decisions = Decisions(self.scene.broker)
        self.board = None
        if device:
            engine, elf, scheme, medium = device
            self.board = self.scene.build(THING, Defence(scheme, medium), engine=engine, elf=elf).board
        self.listener = self.scene.listen(port)
        self.flash = Flash(options.folder, self.files.ca, self.listener.host, self.listener.port)
        self.desk = Desk(self.scene.world, self.decisions, self.flash)
        try:
            self.window = Window(self.desk, options.folder, page_port)
        except OffchipError:
            self.scene.close()
            raise
        self.desk.on_change = self.save
        self.save()

    def run(self, seconds: float | None, say: Callable[[str], None], stop: Interrupt) -> None:
        """Run for so many seconds of the host's clock, or until ``stop``; console and decisions go to ``say``."""
        self.decisions.on_line = lambda line: say(str(line))
        if self.board:
            self.board.power_on()
        start, said = time.monotonic(), 0
        while not stop and (seconds is None or time.monotonic() - start < seconds):
            passed = time.monotonic() - start
            if self.board:
                self.board.run(_SLICE_S)
                for line in self.board.console.lines[said:]:
                    say(f"{line.time_ns / 1e9:9.3f}  {line.text}")
                said = len(self.board.console.lines)
                ahead = self.board.now_ns / 1e9 - passed
            else:
                self.scene.advance(round(passed * 1e9))
                ahead = _SLICE_S
            self.decisions.look()
            if ahead > 0:  # a person watches: virtual time must not run away from the wall clock
                time.sleep(ahead)

    def save(self) -> None:
        """Keep the state, where there is a file for it. Raises BrokerError."""
        if self.options.state is None:
            return
        world = self.scene.world
        with world.broker.turns.step():
            content = {"shadows": world.shadows.dump(), "broker": memory.dump(world.broker.hub)}
            state.save(state.State(world.registry, str(self.scene.seed), world.broker.now(),
                                   {**world.devices, PROCESSOR: world.processor.identity}, content), self.options.state)

    def close(self) -> None:
        """Keep the state and let go of ports and board."""
        self.window.close()
        self.decisions.on_line = None
        try:
            self.save()
        finally:
            self.scene.close()
            if self._hold:
                self._hold.release()
