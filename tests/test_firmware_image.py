# SPDX-License-Identifier: Apache-2.0
"""The firmware's image at work: what its memory holds at each stage, and what protects it all the while."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from offchip import chip_map
from offchip.board.board import Board
from offchip.paths import FIRMWARE
from offchip.pki import Identity
from offchip.scene import Defence, Device, Scene
from offchip.vault import EEPROM, INTERNAL, NONE, PLAIN, SCHEMES, SD, Chip
from offchip.vault.counters import SIZE, Counters
from offchip.vault.size import footprint
from offchip.vault.vaulted import Vaulted

WINDOW = 8


@pytest.fixture(params=[Defence(INTERNAL, NONE), Defence(PLAIN, SD), Defence(PLAIN, EEPROM)],
                ids=["internal", "sd", "eeprom"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    scene = Scene()
    yield scene.build("thing-1", request.param, elf=FIRMWARE)
    scene.close()


def remains(board: Board, identity: Identity) -> set[str]:
    """Forms of the private key in SRAM or CCM, of each any eight bytes in a row."""
    assert isinstance(identity.key, ec.EllipticCurvePrivateKey)
    value = identity.key.private_numbers().private_value
    text = b"".join(identity.key_pem.splitlines()[1:-1])
    forms = {"der": value.to_bytes(32, "big"), "words": value.to_bytes(32, "little"), "pem": text[48:60]}
    memory = b"|".join(board.engine.read_memory(region.start, region.size)
                       for region in (chip_map.SRAM, chip_map.CCM))
    return {name for name, form in forms.items()
            if any(form[at:at + WINDOW] in memory for at in range(len(form) - WINDOW + 1))}


def vault_remains(device: Device) -> set[str]:
    """The device secret and the keys made of it, of each any eight bytes in a row, in SRAM or CCM."""
    scheme, engine = device.defence.scheme, device.board.engine
    if not isinstance(scheme, Vaulted):
        return set()
    start = chip_map.sector(chip_map.VAULT_SECTORS[0]).start
    secret = Counters.parse(engine.read_memory(start, SIZE)).secret
    sealer = scheme.sealer(Chip(secret, b""))
    forms = {"secret": secret, "key of all": sealer.key(None, 64),
             **{f"key of {chunk.value}": sealer.key(chunk, 32) for chunk in scheme.kept}}
    memory = b"|".join(engine.read_memory(region.start, region.size) for region in (chip_map.SRAM, chip_map.CCM))
    return {name for name, form in forms.items()
            if any(form[at:at + WINDOW] in memory for at in range(len(form) - WINDOW + 1))}


def protected(board: Board) -> bool:
    """The EEPROM's WP pin is high and the watchdog runs."""
    machine = board.engine.machine  # type: ignore[attr-defined]
    return bool(machine.find("eeprom").write_protect and machine.find("iwdg").running)


def test_memory_holds_the_key_only_while_it_is_used_and_only_as_numbers(device: Device) -> None:
    look_into_memory(device)


@pytest.mark.parametrize("name", [name for name in SCHEMES if name not in (INTERNAL.name, PLAIN.name)])
def test_so_it_is_with_every_scheme(name: str) -> None:
    scene = Scene()
    try:
        look_into_memory(scene.build("thing-1", Defence(SCHEMES[name], EEPROM), elf=FIRMWARE))
    finally:
        scene.close()


def look_into_memory(device: Device) -> None:
    board, identity = device.board, device.identity
    board.power_on()
    board.console.wait_for("^credentials: ok", 10)
    assert vault_remains(device) == set(), "sealed and opened, and the keys are gone"
    board.console.wait_for("^modem: ready", 10)
    assert remains(board, identity) == {"words"}, "what was read from the medium is overwritten once it is parsed"
    board.console.wait_for("^mqtt: published", 10)
    assert remains(board, identity) == {"words"} and vault_remains(device) == set()
    assert board.modem is not None
    board.modem.network_up = False
    for _ in range(3):
        while int(re.split("=", board.console.wait_for("^state: waiting", 90).line.text)[-1]) < 50:
            pass  # too short a wait to look around in
        assert remains(board, identity) == set(), "nothing is left when a connection has ended"


def test_eeprom_and_watchdog_protect_from_the_beginning(device: Device) -> None:
    board = device.board
    board.power_on()
    for line in ("^config: ", "^credentials: ok", "^mqtt: published"):
        board.console.wait_for(line, 10)
        assert protected(board), line


def test_the_vault_is_small() -> None:
    """Without Mbed TLS; the buffer credentials are read into is not counted as RAM."""
    taken = footprint(FIRMWARE.with_suffix(".map"))
    assert taken.flash <= 16 << 10 and taken.ram <= 4 << 10 and taken.buffers <= 24 << 10, taken
