# SPDX-License-Identifier: Apache-2.0
"""The same vectors for both sides: keys and records of Python and of the firmware are those that were written down."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from offchip.vault import SCHEMES, Chip, Chunk
from offchip.vault.vaulted import Vaulted
from tests.host_library import build_host_library
from tests.vectors.make import PATH, vectors

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
MBEDTLS = ROOT / ".cache/mbedtls-3.6.6/include"
VECTORS = json.loads(PATH.read_text(encoding="utf-8"))


def test_python_makes_and_opens_them() -> None:
    assert vectors() == VECTORS
    for each in VECTORS:
        scheme = SCHEMES[each["scheme"]]
        assert isinstance(scheme, Vaulted)
        sealer = scheme.sealer(Chip(bytes.fromhex(each["secret"]), bytes.fromhex(each["identity"])))
        opened = sealer.open(Chunk(each["chunk"]), each["slot"], bytes.fromhex(each["record"]))
        assert opened == (each["version"], bytes.fromhex(each["content"]))


@pytest.mark.skipif(shutil.which("gcc") is None or not MBEDTLS.is_dir(), reason="needs gcc and Mbed TLS")
def test_the_firmware_makes_and_opens_them(tmp_path: Path) -> None:
    build_host_library()
    program = tmp_path / "vectors"
    sources = [*sorted((FIRMWARE / "src/storage").glob("*.c")), *sorted((FIRMWARE / "src/vault").glob("*.c")),
               FIRMWARE / "src/board/format.c"]
    built = subprocess.run(
        ["gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE}",
         "-isystem", MBEDTLS, "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>", ROOT / "tests/firmware_vault/vectors.c",
         *sources, FIRMWARE / "build/host/libmbedtls.a", "-o", program], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    names = ("code", "number", "version", "seal", "slot", "secret", "identity", "content")
    lines = "\n".join(" ".join(str(each[name]) for name in names) for each in VECTORS)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        [each["key"], each["record"], each["content"]] for each in VECTORS]
