# SPDX-License-Identifier: Apache-2.0
"""``offchip lab``: a publishing device and its broker on a TCP port."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offchip.cli.terminal import console
from offchip.interrupt import Interrupt
from offchip.paths import CACHE, FIRMWARE

if TYPE_CHECKING:
    from offchip.live import LiveLab


def lab(
    scheme: Annotated[str, typer.Option(help="how it keeps its credentials: offchip list schemes")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom")] = "none",
    port: Annotated[int, typer.Option(help="TCP port of the broker on 127.0.0.1, 0 for any")] = 8883,
    seconds: Annotated[float | None, typer.Option(help="stop after so many seconds (default: Ctrl-C)")] = None,
    folder: Annotated[Path, typer.Option(help="where the certificates go")] = CACHE / "lab",
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    keylog: Annotated[Path | None, typer.Option(help="write TLS keys here (NSS format, for Wireshark)")] = None,
    sd: Annotated[Path | None, typer.Option(help="image for the SD card instead of the factory's")] = None,
    eeprom: Annotated[Path | None, typer.Option(help="image for the EEPROM instead of the factory's")] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM the broker shows, with --key")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM private key of --certificate")] = None,
    profile: Annotated[str, typer.Option(help="aws-2026, aws-2018 or a TOML file: the broker's rules")] = "aws-2026",
) -> None:
    """Keep a device publishing to a broker on a real TCP port, for mosquitto_sub, openssl s_client and curiosity."""
    from offchip import vault
    from offchip.board.images import load_images
    from offchip.live import OBSERVER, LiveLab

    with Interrupt() as stop:
        live = LiveLab(folder, engine, elf, vault.scheme(scheme), vault.medium(medium), port, keylog,
                       (certificate, key), profile)
        load_images(live.board, sd, eeprom)
        _look_at(live, stop, seconds, OBSERVER)


def _quoted(path: Path) -> str:
    """As a shell takes it, so that the printed line works in a folder with a space."""
    return shlex.quote(str(path))


def _look_at(live: LiveLab, stop: Interrupt, seconds: float | None, observer: str) -> None:
    files, address = live.files, f"{live.listener.host}:{live.listener.port}"
    # tools read the address off the first line
    console.print(f"broker on {address} with the rules of {live.scene.broker.profile.name}; watch it with:",
                  soft_wrap=True)
    console.print(f"  mosquitto_sub -h localhost -p {live.listener.port} --cafile {_quoted(files.ca)} "
                  f"--cert {_quoted(files.observer_certificate)} --key {_quoted(files.observer_key)} -i {observer} "
                  "-t 'offchip/#' -v",
                  soft_wrap=True)
    console.print(f"  openssl s_client -connect {address} -servername iot.offchip.test -CAfile {_quoted(files.ca)}",
                  soft_wrap=True)
    try:
        live.run(seconds, print, stop)
    finally:
        live.close()
    if stop:
        console.print("stopped.")
