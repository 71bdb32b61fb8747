# SPDX-License-Identifier: Apache-2.0
"""A lab to look into with ordinary tools: the broker on a TCP port, certificates in a folder, a device publishing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offchip.board.board import Board
from offchip.board.create import create_board
from offchip.board.factory import Credentials, MediumKind, Provisioning, Scheme, provision
from offchip.broker.listener import Listener
from offchip.broker.processor import FEED_TOPIC, THING_TOPIC
from offchip.broker.world import HOST, PORT, WIDE, World, build_world, enrol
from offchip.errors import BrokerError, OffchipError
from offchip.interrupt import Interrupt
from offchip.network.clock import LabClock
from offchip.network.internet import Internet
from offchip.pki import Identity

THING = "thing-1"
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


class Cast:
    """One thing, one observer who may see everything, one broker under its name; PEM files in ``folder``.

    Args:
        now_ns: tells the time that passes in this lab.
        folder: made if it is not there.
        keylog: NSS key log of the broker's TLS sessions, for Wireshark.
        server: PEM files (certificate, private key) the broker shows instead of its own.

    Raises:
        BrokerError, PkiError: key log or server certificate are unusable.
    """

    def __init__(self, now_ns: Callable[[], int], folder: Path, keylog: Path | None = None,
                 server: tuple[Path | None, Path | None] = (None, None)) -> None:
        self.clock = LabClock()
        identity = None
        if any(server):
            if not all(server):
                raise BrokerError("a server certificate needs its private key and the other way round; give both.")
            identity = Identity.load(*server)
        self.world: World = build_world(lambda: self.clock.true_utc(now_ns()), things=(THING,), keylog_file=keylog,
                                        server=identity)
        self.internet = Internet()
        self.internet.register(HOST, PORT, self.world.broker)
        self.device = self.world.devices[THING]
        observer = enrol(self.world.authority, self.world.registry, OBSERVER, WIDE)
        self.files = Files(folder / "ca.pem", folder / "observer.crt", folder / "observer.key", folder / "device.crt",
                           folder / "device.key")
        contents = ((self.files.ca, self.world.authority.root.certificate_pem),
                    (self.files.observer_certificate, observer.chain_pem),
                    (self.files.observer_key, observer.key_pem),
                    (self.files.device_certificate, self.device.chain_pem),
                    (self.files.device_key, self.device.key_pem))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, content in contents:
                path.write_bytes(content)
        except OSError as error:
            raise OffchipError(f"{folder}: the certificates cannot be written here ({error.strerror}); give another "
                               "--folder.") from None

    def provisioning(self, scheme: Scheme, medium: MediumKind) -> Provisioning:
        """What the factory gives the thing."""
        anchors = (self.world.authority.root.certificate_der,)
        return Provisioning(
            thing_name=THING, endpoint_host=HOST, endpoint_port=PORT, publish_topics=(THING_TOPIC + THING, FEED_TOPIC),
            credentials=Credentials(anchors, self.device.certificate_der, self.device.key_der), scheme=scheme,
            medium=medium, publish_interval_ms=2000)


class LiveLab:
    """Broker on TCP and one device whose virtual time follows the host's clock.

    Args:
        port: TCP port on 127.0.0.1, 0 for any.

    Raises:
        BrokerError: the port is in use; OffchipError: firmware or storage unusable.
    """

    def __init__(self, folder: Path, engine: str, elf: Path, scheme: Scheme, medium: MediumKind, port: int,
                 keylog: Path | None = None, server: tuple[Path | None, Path | None] = (None, None)) -> None:
        self._now_ns = 0
        cast = Cast(lambda: self._now_ns, folder, keylog, server)
        self.world, self.files = cast.world, cast.files
        self.board: Board = create_board(engine, elf=elf, clock=cast.clock, internet=cast.internet)
        self.board.on_slice.append(self._tick)
        provision(self.board.engine, cast.provisioning(scheme, medium))
        self.listener = Listener(self.world.broker, port=port)

    def _tick(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self.world.tick(now_ns)

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
        self.listener.stop()
        self.board.close()
