# SPDX-License-Identifier: Apache-2.0
"""The firmware's vault on the host: every cut of the supply in every operation, and a second one in the recovery.

Events are flash words, sector erases, EEPROM pages and card blocks; an event that is cut happens not at all, by half,
or leaves a page or block erased (a page is erased before it is written: an old byte can come back as FF).
"""

from __future__ import annotations

import dataclasses
import shutil
import struct
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

from offchip import chip_map, vault
from offchip.board.factory import Provisioning, data_image, medium_image
from offchip.vault import Credentials, fat
from offchip.vault.chunk import Chunk
from offchip.vault.counters import SIZE, Counters
from offchip.vault.vaulted import Vaulted
from tests.host_library import build_host_library
from tests.test_factory import CREDENTIALS, PROVISIONING

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
MBEDTLS = ROOT / ".cache/mbedtls-3.6.6/include"
CUT, RESET = 9, 8
SCHEMES = [scheme for scheme in vault.SCHEMES.values() if isinstance(scheme, Vaulted)]

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None or not MBEDTLS.is_dir(), reason="needs gcc and Mbed TLS")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build_host_library()
    path = tmp_path_factory.mktemp("vault") / "vault"
    sources = [*sorted((FIRMWARE / "src/storage").glob("*.c")), *sorted((FIRMWARE / "src/vault").glob("*.c")),
               FIRMWARE / "src/board/format.c"]
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined",
         "-fno-sanitize-recover=all", f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE}", "-isystem", MBEDTLS,
         "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>", ROOT / "tests/firmware_vault/host.c", *sources,
         FIRMWARE / "build/host/libmbedtls.a", "-o", path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return path


class Chip:
    """Flash sectors and a medium as files; each ``boot`` is one life."""

    def __init__(self, program: Path, folder: Path, provisioning: Provisioning) -> None:
        self.program, self.provisioning = program, provisioning
        self.flash, self.medium = folder / "flash.bin", folder / "medium.bin"
        size = chip_map.EEPROM_SIZE if provisioning.medium is vault.EEPROM else fat.FAT16_MINIMUM
        self.flash.write_bytes(data_image(provisioning, bytes(12)))
        self.medium.write_bytes(medium_image(provisioning, provisioning.medium, size, bytes(12))
                                if provisioning.medium.device else b"\xFF" * 64)
        self.folder = folder
        self.lives = 0
        self.lines: list[str] = []

    def run(self, cut: int | str, torn: int, operation: str, *arguments: str) -> int:
        """One life, or all lives of a sweep. Returns the exit code: 0, CUT or RESET."""
        self.lives += 1
        done = subprocess.run([self.program, self.flash, self.medium, str(self.lives), str(cut), str(torn),
                               operation, *arguments], capture_output=True, text=True, timeout=600)
        assert done.returncode in (0, CUT, RESET), (operation, cut, torn, done.returncode, done.stdout[-2000:],
                                                    done.stderr)
        self.lines = done.stdout.splitlines()
        return done.returncode

    def boot(self, cut: int = 0, torn: int = 0) -> bool:
        """True: it came to its end; False: the supply was cut at that event."""
        return self.run(cut, torn, "load") == 0

    def contents(self, updates: dict[Chunk, bytes]) -> list[str]:
        """The arguments of operation ``store``."""
        arguments = []
        for chunk, content in updates.items():
            path = self.folder / f"{chunk.value}.new"
            path.write_bytes(content)
            arguments.append(f"{chunk.number}={path}")
        return arguments

    @property
    def loaded(self) -> bool:
        return self.holds(CREDENTIALS)

    def holds(self, credentials: Credentials) -> bool:
        """These were loaded, from DER or (from a card in clear) from PEM."""
        found = {name: [bytes.fromhex(line.partition("=")[2]) for line in self.lines if line.startswith(f"{name}=")]
                 for name in ("anchor", "certificate", "key")}
        wanted = {"anchor": list(credentials.anchors), "certificate": [credentials.certificate],
                  "key": [credentials.private_key]}
        return all([_der(each) for each in found[name]] == wanted[name] for name in wanted)

    @property
    def counters(self) -> Counters:
        return Counters.parse(self.flash.read_bytes()[-SIZE:])

    def image(self) -> tuple[bytes, bytes]:
        return self.flash.read_bytes(), self.medium.read_bytes()

    def restore(self, image: tuple[bytes, bytes]) -> None:
        self.flash.write_bytes(image[0])
        self.medium.write_bytes(image[1])


def _der(value: bytes) -> bytes:
    if not value.endswith(b"\0"):
        return value
    body = value.split(b"-----")[2]
    return b64decode(b"".join(body.split()))


def provisioned(scheme: vault.Scheme, secret: bytes | None = None) -> Provisioning:
    return dataclasses.replace(PROVISIONING, scheme=scheme, medium=vault.EEPROM, device_secret=secret)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_each_side_opens_what_the_other_sealed(program: Path, tmp_path: Path, scheme: Vaulted) -> None:
    chip = Chip(program, tmp_path, provisioned(scheme, None if scheme.fleet_secret else bytes(range(32))))
    before = chip.image()
    assert chip.boot() and chip.loaded and chip.image() == before, chip.lines
    if scheme.fleet_secret:
        return
    chip = Chip(program, tmp_path, provisioned(scheme))
    assert chip.boot() and chip.loaded, chip.lines
    known = vault.Chip(chip.counters.secret, bytes(12))
    again = scheme.image(vault.EEPROM, chip_map.EEPROM_SIZE, CREDENTIALS, known)
    for chunk in scheme.kept:  # the same bytes as the host would have made, in the other slot
        at = chunk.offset + chunk.slot_size
        assert any(chip.medium.read_bytes()[at:at + 32])
        if scheme.format.authenticated:
            assert chip.medium.read_bytes()[at:at + chunk.slot_size] == again[chunk.offset:at]
    assert CREDENTIALS.certificate not in b"".join(chip.image())


def sealed_under_nonces(chip: Chip, seen: dict[tuple[bytes, int, bytes], bytes]) -> None:
    """Every record on the medium: one nonce never stands before two different ciphertexts under one key."""
    flash, area = chip.image()
    secret = flash[chip_map.CONFIGURATION.size + 8:][:32]
    for chunk in Chunk:
        for slot in range(2):
            record = area[chunk.offset + slot * chunk.slot_size:][:chunk.slot_size]
            if record[:4] != b"OCV1":
                continue
            length, = struct.unpack_from("<I", record, 8)
            sealed = record[32:32 + length + 16]
            if sealed.strip(b"\xFF") and b"\xFF" * 8 not in sealed:  # whole: not the half of a cut
                assert seen.setdefault((secret, chunk.number, record[16:28]), sealed) == sealed


@pytest.mark.parametrize("torn", [0, 1, 2])
@pytest.mark.parametrize("name", ["encrypted", "sealed", "fresh", "split"])
def test_every_cut_of_a_first_boot_ends_well(program: Path, tmp_path: Path, name: str, torn: int) -> None:
    chip = Chip(program, tmp_path, provisioned(vault.scheme(name)))
    factory = chip.image()
    seen: dict[tuple[bytes, int, bytes], bytes] = {}
    cut = 0
    while True:
        cut += 1
        chip.restore(factory)
        if chip.boot(cut, torn):
            break
        sealed_under_nonces(chip, seen)
        assert chip.boot() and chip.loaded, (cut, torn, chip.lines)
        sealed_under_nonces(chip, seen)
        flash = chip.flash.read_bytes()
        # what the factory left in clear is gone, and the secret is there once
        assert (CREDENTIALS.private_key in flash) == (name == "split") and CREDENTIALS.certificate not in flash
        assert flash.count(chip.counters.secret) == 1
        before = chip.image()
        assert chip.boot() and chip.loaded and chip.image() == before
    assert cut > 25 and chip.loaded


def test_a_second_cut_in_the_recovery_from_the_first(program: Path, tmp_path: Path) -> None:
    chip = Chip(program, tmp_path, provisioned(vault.scheme("fresh")))
    factory = chip.image()
    for first in range(1, 200, 9):
        chip.restore(factory)
        if chip.boot(first, 1):
            break
        state = chip.image()
        for second in range(1, 200, 9):
            chip.restore(state)
            if chip.boot(second, 2):
                break
            assert chip.boot() and chip.loaded, (first, second, chip.lines)
