# SPDX-License-Identifier: Apache-2.0
"""The firmware's vault on the host: every cut of the supply in every operation, and a second one in the recovery.

Events are flash words, sector erases, EEPROM pages and card blocks; an event that is cut happens not at all, by half,
or leaves a page or block erased (a page is erased before it is written: an old byte can come back as FF).
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import struct
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from offchip import chip_map, vault
from offchip.board.factory import Provisioning, data_image, medium_image
from offchip.errors import VaultError
from offchip.vault import Credentials, fat
from offchip.vault.chunk import CREDENTIAL_CHUNKS, Chunk
from offchip.vault.counters import SIZE, Counters, filled
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


@pytest.mark.parametrize("scheme", [each for each in SCHEMES if each.format.authenticated], ids=lambda each: each.name)
def test_every_byte_of_a_tag_counts_and_of_a_bound_head(program: Path, tmp_path: Path, scheme: Vaulted) -> None:
    chip = Chip(program, tmp_path, provisioned(scheme, None if scheme.fleet_secret else bytes(range(32))))
    factory, start = chip.image(), Chunk.BROKER_CA.offset
    length, = struct.unpack_from("<I", factory[1], start + 8)
    end = start + 32 + length
    tag = factory[1][end:end + 16]
    # one bit after the other; then what a comparison by sums does not see, and what might be taken for "no tag"
    changes = [(at, bytes([factory[1][at] ^ 1 << at % 8]))
               for at in (*range(start, start + (32 if scheme.format.labelled else 0)), *range(end, end + 16))]
    changes += [(end, each) for each in (bytes([tag[0] ^ 1, tag[1] ^ 1]), tag[::-1], bytes(16), b"\xFF" * 16)]
    for at, content in changes:
        area = bytearray(factory[1])
        area[at:at + len(content)] = content
        chip.restore((factory[0], bytes(area)))
        assert chip.boot() and not chip.loaded, (at - start, content, chip.lines)


@pytest.mark.parametrize("scheme", [each for each in SCHEMES if each.format.authenticated], ids=lambda each: each.name)
def test_a_record_in_clear_is_not_taken_for_a_sealed_one(program: Path, tmp_path: Path, scheme: Vaulted) -> None:
    chip = Chip(program, tmp_path, provisioned(scheme, None if scheme.fleet_secret else bytes(range(32))))
    flash, _ = chip.image()
    chip.restore((flash, vault.PLAIN.image(vault.EEPROM, chip_map.EEPROM_SIZE, CREDENTIALS)))
    assert chip.boot() and not chip.loaded, chip.lines


def test_two_chips_of_one_identity_make_two_secrets(program: Path, tmp_path: Path) -> None:
    secrets = set()
    for life in range(3):  # another life, other random numbers
        chip = Chip(program, tmp_path, provisioned(vault.scheme("fresh")))
        chip.lives = life * 10
        assert chip.boot() and chip.loaded
        secrets.add(chip.counters.secret)
    assert len(secrets) == 3


def sealed_under_nonces(chip: Chip, seen: dict[tuple[bytes, int, bytes], bytes]) -> None:
    """Every record on the medium that opens: one nonce never stands before two different ciphertexts under one key."""
    _, area = chip.image()
    scheme = chip.provisioning.scheme
    try:
        secret = chip.counters.secret
    except VaultError:
        return  # what is there was sealed under a secret that is gone, and has been seen
    if not isinstance(scheme, Vaulted) or not scheme.format.authenticated:
        return
    for chunk in Chunk:
        for slot in range(2):
            record = area[chunk.offset + slot * chunk.slot_size:][:chunk.slot_size]
            try:
                scheme.sealer(vault.Chip(secret, bytes(12))).open(chunk, slot, record)
            except VaultError:
                continue  # torn, or of an earlier secret
            length, = struct.unpack_from("<I", record, 8)
            sealed, key = record[32:32 + length + 16], chunk.number if scheme.format.labelled else 0
            assert seen.setdefault((secret, key, record[16:28]), sealed) == sealed


def test_no_secret_is_made_of_noise_that_fails(program: Path, tmp_path: Path) -> None:
    chip = Chip(program, tmp_path, provisioned(vault.scheme("fresh")))
    factory = chip.image()
    chip.lives = -1  # a life with the seed 0 has no noise
    chip.boot()
    assert not chip.loaded and any("storage: error rng" in line for line in chip.lines) and chip.image() == factory
    assert chip.boot() and chip.loaded


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


# updates, resets, tamper ---------------------------------------------------------------------------------------------
PAIRS = [(scheme, medium) for scheme in vault.SCHEMES.values() for medium in scheme.media]
UPDATES = {Chunk.DEVICE_KEY: b"\x30\x82\x00\x80\x02\x01\x00" + bytes(range(1, 132)),
           Chunk.DEVICE_CERTIFICATE: bytes(range(255, 55, -1)) * 3}


def ready(program: Path, folder: Path, scheme: vault.Scheme, medium: vault.MediumKind) -> Chip:
    """A device behind its first boot."""
    chip = Chip(program, folder, dataclasses.replace(PROVISIONING, scheme=scheme, medium=medium))
    assert chip.boot() and chip.loaded, chip.lines
    return chip


def traces(credentials_key: bytes, chip: Chip) -> list[bytes]:
    """What a private key looks like where it may lie: in clear as DER or PEM, or as the ciphertext of its record."""
    found = [credentials_key[36:68], b64encode(credentials_key)[64:88]]  # the scalar, in PKCS#8
    _, medium = chip.image()
    return found + [medium[at + 32:at + 64] for at in range(0, len(medium), 512)
                    if medium[at:at + 4] == b"OCV1" and medium[at + 6] == Chunk.DEVICE_KEY.number]


def outcome(line: str) -> dict[str, str]:
    return dict(match.groups() for match in re.finditer(r'(\w+)=("[^"]*"|\S*)', line))


@pytest.mark.parametrize(("scheme", "medium"), PAIRS, ids=lambda value: value.name)
def test_every_cut_of_an_update_leaves_all_old_or_all_new_and_nothing_of_the_other(
        program: Path, tmp_path: Path, scheme: vault.Scheme, medium: vault.MediumKind) -> None:
    chip = ready(program, tmp_path, scheme, medium)
    before = chip.image()
    old = traces(CREDENTIALS.private_key, chip)
    arguments = chip.contents(UPDATES)
    chip.run(0, 0, "store", *arguments)
    assert chip.lines.count("result=ok") == 1
    new = traces(UPDATES[Chunk.DEVICE_KEY], chip)
    chip.restore(before)
    seals: dict[str, str] = {}
    for torn in range(3) if scheme.name in ("fresh", "plain") else [PAIRS.index((scheme, medium)) % 3]:
        chip.lives = 1  # the same random numbers as above, so the same records
        chip.run("sweep", torn, "store", *arguments, *(f"?{each.hex()}" for each in old + new))
        cuts = [outcome(line) for line in chip.lines if line.startswith("cut=")]
        assert len(cuts) > 10 and {each["loaded"] for each in cuts} == {"old", "new"}
        assert [line for line in chip.lines if line.startswith("again=")] == [], "nothing new can be kept behind a cut"
        commit = [each["loaded"] for each in cuts].index("new")
        assert all(each["loaded"] == "new" for each in cuts[commit:])
        for each in chip.lines:
            if each.startswith(("cut=", "uncut=")):
                mine = range(len(old)) if outcome(each)["loaded"] == "old" else range(len(old), len(old) + len(new))
                assert {int(n) for n in each.rpartition("found=")[2].split()} <= set(mine), each
        for line in chip.lines:
            if line.startswith("nonce="):
                nonce, _, sealed = line.partition(" ")
                assert seals.setdefault(nonce, sealed) == sealed


@pytest.mark.parametrize(("scheme", "medium"), PAIRS, ids=lambda value: value.name)
def test_every_cut_of_a_reset_leaves_the_old_state_or_nothing_at_all(
        program: Path, tmp_path: Path, scheme: vault.Scheme, medium: vault.MediumKind) -> None:
    chip = ready(program, tmp_path, scheme, medium)
    old = traces(CREDENTIALS.private_key, chip)
    secret = [chip.counters.secret] if isinstance(scheme, Vaulted) and not scheme.fleet_secret else []
    chip.run("sweep", PAIRS.index((scheme, medium)) % 3, "reset", *(f"?{each.hex()}" for each in old + secret))
    cuts = [outcome(line) | {"found": line.rpartition("found=")[2]} for line in chip.lines if line.startswith("cut=")]
    assert {each["loaded"] for each in cuts} == {"old", "none"}
    for each in cuts:
        if each["loaded"] == "none":
            assert each["found"] == "" and each["result"] in ("no-secret", "record", "record-magic"), each
    chip.run(0, 0, "reset")
    certificate, text = CREDENTIALS.certificate[64:96], b64encode(CREDENTIALS.certificate)[96:120]
    assert not [each for each in (b"OCV1", b"OCX1", b"OCE1", certificate, text) if each in chip.image()[1]]


@pytest.mark.parametrize(("scheme", "medium"), PAIRS, ids=lambda value: value.name)
def test_every_cut_behind_the_mark_of_a_tamper_event_leaves_nothing(
        program: Path, tmp_path: Path, scheme: vault.Scheme, medium: vault.MediumKind) -> None:
    chip = ready(program, tmp_path, scheme, medium)
    wanted = traces(CREDENTIALS.private_key, chip) + ([chip.counters.secret] if isinstance(scheme, Vaulted) else [])
    chip.run("sweep", 1, "tamper", *(f"?{each.hex()}" for each in wanted))
    cuts = [line for line in chip.lines if line.startswith("cut=")]
    assert cuts and all(outcome(line)["result"] == "tampered" and line.endswith("found=") for line in cuts)
    # a key that an update has brought may lie elsewhere: gone from the chip before there is another start
    chip.run(0, 0, "store", *chip.contents(UPDATES))
    assert "result=ok" in chip.lines and chip.run(0, 0, "tamper") == RESET
    scalar = UPDATES[Chunk.DEVICE_KEY][36:68]
    assert not [each for each in (scalar, *wanted) if each in chip.flash.read_bytes()]


@pytest.mark.parametrize("name", ["fresh", "split", "fleet-key"])
def test_a_version_that_never_came_to_count_is_not_fresh(program: Path, tmp_path: Path, name: str) -> None:
    """What a cut update has left is kept by somebody, and put in without the version that counts."""
    chip = ready(program, tmp_path, vault.scheme(name), vault.EEPROM)
    flash, _ = chip.image()
    chip.run(0, 0, "store", *chip.contents(UPDATES))
    _, newer = chip.image()
    chip.restore((flash, newer))
    assert chip.boot() and not chip.loaded and any("record-stale" in line for line in chip.lines), chip.lines


@pytest.mark.parametrize(("scheme", "medium"), [("fresh", "sd"), ("internal", "none"), ("split", "eeprom")])
def test_the_change_over_of_a_full_counter_sector_survives_cuts(program: Path, tmp_path: Path, scheme: str,
                                                                 medium: str) -> None:
    chip = ready(program, tmp_path, vault.scheme(scheme), vault.medium(medium))
    arguments = chip.contents(UPDATES)
    chip.run(0, 0, "store", *arguments)  # so that there are contents to carry over
    flash, at = chip.flash.read_bytes(), chip_map.CONFIGURATION.size
    chip.flash.write_bytes(flash[:at] + filled(flash[at:], 1))
    before = chip.counters
    assert chip.boot()
    arguments = chip.contents({Chunk.DEVICE_CERTIFICATE: b"another certificate" * 20})
    for torn in range(3):
        chip.run("sweep", torn, "store", *arguments)
        cuts = [outcome(line)["loaded"] for line in chip.lines if line.startswith("cut=")]
        assert set(cuts) == {"old", "new"} and cuts == sorted(cuts, reverse=True)
    chip.run(0, 0, "store", *arguments)
    after, flash = chip.counters, chip.flash.read_bytes()
    assert flash[at:at + 0x4000] == b"\xFF" * 0x4000 and flash[at + 0x4000:at + 0x4004] == b"OCS1"
    assert after.seals == before.seals + (scheme != "internal")
    assert after.versions[Chunk.DEVICE_CERTIFICATE] == before.versions[Chunk.DEVICE_CERTIFICATE] + 1
    assert after.contents.get(Chunk.DEVICE_KEY) == before.contents.get(Chunk.DEVICE_KEY)


def test_updates_alone_fill_a_counter_sector_and_go_on_in_the_other(program: Path, tmp_path: Path) -> None:
    """No entry of it is made up: two of 16 bytes an update, 80 for the head, and the 510th begins the other sector."""
    chip = ready(program, tmp_path, vault.scheme("fresh"), vault.EEPROM)
    start, first = chip_map.CONFIGURATION.size, chip.counters
    arguments = chip.contents({Chunk.DEVICE_CERTIFICATE: b"a certificate"})
    updates = 0
    while chip.flash.read_bytes()[start:start + 4] == b"OCS1":
        updates += 1
        assert chip.run(0, 0, "store", *arguments) == 0 and updates < 600
    used = (0x4000 - 80) // 16
    assert used // 2 - 4 <= updates <= used // 2 + 1, updates
    assert chip.counters.seals == first.seals + updates
    assert chip.counters.versions[Chunk.DEVICE_CERTIFICATE] == \
        first.versions.get(Chunk.DEVICE_CERTIFICATE, 0) + updates
    assert chip.boot()


def test_a_second_cut_in_the_recovery_of_an_update_and_of_a_reset(program: Path, tmp_path: Path) -> None:
    chip = ready(program, tmp_path, vault.scheme("split"), vault.EEPROM)
    arguments = chip.contents({Chunk.DEVICE_KEY: b"\x30key" * 8, Chunk.DEVICE_CERTIFICATE: b"certificate" * 8})
    for operation, expected in (("store", {"old", "new"}), ("reset", {"old", "none"})):
        chip.run("sweep2", 1, operation, *(arguments if operation == "store" else []))
        cuts = [outcome(line)["loaded"] for line in chip.lines if line.startswith("cut=")]
        assert len(cuts) > 100 and set(cuts) == expected


def test_no_nonce_comes_again_after_rollback_cut_or_reset(program: Path, tmp_path: Path) -> None:
    """All records ever seen on the medium: under one key no nonce stands before two ciphertexts."""
    for name, secret in (("fresh", None), ("labelled", None), ("sealed", None), ("fresh", bytes(range(32)))):
        chip = Chip(program, tmp_path, provisioned(vault.scheme(name), secret))
        assert chip.boot()
        seen: dict[tuple[bytes, int, bytes], bytes] = {}
        factory = chip.image()
        secrets = set()
        for turn in range(12):
            arguments = chip.contents({Chunk.DEVICE_KEY: bytes([turn + 1]) * 100,
                                       Chunk.DEVICE_CERTIFICATE: bytes([turn + 1]) * 300,
                                       Chunk.BROKER_CA: bytes([turn + 1]) * 300})
            if turn == 6:
                assert chip.run(0, 0, "reset") == 0
            chip.run(11 * turn % 60 if turn % 2 else 0, turn % 3, "store", *arguments)
            sealed_under_nonces(chip, seen)
            chip.boot()
            sealed_under_nonces(chip, seen)
            secrets.add(chip.counters.secret)
            if turn % 4 == 2:
                chip.restore((chip.image()[0], factory[1]))  # last month's medium
        assert len(seen) > 12 and len(secrets) == (1 if secret else 2)


def test_an_old_medium_does_not_count_again_behind_a_reset_that_keeps_the_secret(program: Path, tmp_path: Path) -> None:
    chip = Chip(program, tmp_path, provisioned(vault.scheme("fresh"), bytes(range(32))))
    assert chip.boot() and chip.loaded
    before = chip.image()
    assert chip.run(0, 0, "reset") == 0
    every = {chunk: UPDATES[Chunk.DEVICE_KEY][:100] for chunk in CREDENTIAL_CHUNKS}
    assert chip.run(0, 0, "store", *chip.contents(every)) == 0 and "result=ok" in chip.lines
    chip.restore((chip.image()[0], before[1]))
    assert chip.boot() and not chip.loaded
    assert any("record-stale device-key" in line for line in chip.lines), chip.lines


def test_what_never_was_is_refused_and_changes_nothing(program: Path, tmp_path: Path) -> None:
    """Too long, no room in the log of the flash: an error, and the old ones stay."""
    for scheme, medium in (("fresh", "eeprom"), ("internal", "none"), ("plain", "sd")):
        chip = ready(program, tmp_path, vault.scheme(scheme), vault.medium(medium))
        before = chip.image()
        chip.run(0, 0, "store", *chip.contents({Chunk.DEVICE_CERTIFICATE: b"x" * 2049}))
        assert "result=memory" in chip.lines and chip.image()[1] == before[1]
        assert chip.boot() and chip.loaded
