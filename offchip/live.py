# SPDX-License-Identifier: Apache-2.0
"""A lab to look into with ordinary tools: the broker on a TCP port, certificates in a folder, a device publishing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offchip.broker.profile import DEFAULT_PROFILE, load_profile
from offchip.broker.world import WIDE, enrol
from offchip.errors import BrokerError, OffchipError
from offchip.interrupt import Interrupt
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


def open_scene(folder: Path, keylog: Path | None = None, server: tuple[Path | None, Path | None] = (None, None),
               profile: str = DEFAULT_PROFILE) -> tuple[Scene, Files]:
    """A scene with one thing and an observer who may see everything; PEM files in ``folder``.

    Args:
        folder: made if it is not there.
        keylog: NSS key log of the broker's TLS sessions, for Wireshark.
        server: PEM files (certificate, private key) the broker shows instead of its own.
        profile: name of the server's behaviour, or a TOML file of one's own.

    Raises:
        BrokerError, PkiError: profile, key log or server certificate are unusable.
        OffchipError: the folder cannot be written.
    """
    identity = None
    certificate, key = server
    if certificate or key:
        if not (certificate and key):
            raise BrokerError("a server certificate needs its private key and the other way round; give both.")
        identity = Identity.load(certificate, key)
    chosen = load_profile(Path(profile) if profile.endswith(".toml") else profile)
    scene = Scene(things=(THING,), keylog=keylog, server=identity, profile=chosen)
    observer = enrol(scene.authority, scene.registry, OBSERVER, WIDE)
    device = scene.world.devices[THING]
    files = Files(folder / "ca.pem", folder / "observer.crt", folder / "observer.key", folder / "device.crt",
                  folder / "device.key")
    contents = ((files.ca, scene.authority.root.certificate_pem), (files.observer_certificate, observer.chain_pem),
                (files.observer_key, observer.key_pem), (files.device_certificate, device.chain_pem),
                (files.device_key, device.key_pem))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents:
            path.write_bytes(content)
    except OSError as error:
        raise OffchipError(f"{folder}: the certificates cannot be written here ({error.strerror}); give another "
                           "--folder.") from None
    return scene, files


class LiveLab:
    """Broker on TCP and one device whose virtual time follows the host's clock.

    Args:
        port: TCP port on 127.0.0.1, 0 for any.

    Raises:
        BrokerError: the port is in use; OffchipError: firmware or storage unusable.
    """

    def __init__(self, folder: Path, engine: str, elf: Path, scheme: Scheme, medium: MediumKind, port: int,
                 keylog: Path | None = None, server: tuple[Path | None, Path | None] = (None, None),
                 profile: str = DEFAULT_PROFILE) -> None:
        self.scene, self.files = open_scene(folder, keylog, server, profile)
        self.board = self.scene.build(THING, Defence(scheme, medium), engine=engine, elf=elf).board
        self.listener = self.scene.listen(port)

    def run(self, seconds: float | None, say: Callable[[str], None], stop: Interrupt) -> None:
        """Run for so many seconds of the host's clock, or until ``stop``; each console line goes to ``say``."""
        self.board.power_on()
        start, said = time.monotonic(), 0
        while not stop and (seconds is None or time.monotonic() - start < seconds):
            self.board.run(_SLICE_S)
            for line in self.board.console.lines[said:]:
                say(f"{line.time_ns / 1e9:9.3f}  {line.text}")
            said = len(self.board.console.lines)
            ahead = self.board.now_ns / 1e9 - (time.monotonic() - start)
            if ahead > 0:  # a person watches: virtual time must not run away from the wall clock
                time.sleep(ahead)

    def close(self) -> None:
        self.scene.close()
