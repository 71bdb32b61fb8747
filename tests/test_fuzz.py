# SPDX-License-Identifier: Apache-2.0
"""The parsers that read an attacker's bytes, on every input fuzzing has kept; scripts/fuzz looks for new ones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.corpus import seeds
from tests.host_library import build_host_library

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE, HERE = ROOT / "firmware", ROOT / "tests/fuzz"
MBEDTLS = ROOT / ".cache/mbedtls-3.6.6/include"

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None or not MBEDTLS.is_dir(), reason="needs gcc and Mbed TLS")


@pytest.mark.parametrize("target", ["record", "tlv", "fat"])
def test_nothing_that_was_ever_found_breaks_a_parser(tmp_path: Path, target: str) -> None:
    build_host_library()
    program = tmp_path / target
    sources = [*sorted((FIRMWARE / "src/storage").glob("*.c")), *sorted((FIRMWARE / "src/vault").glob("*.c")),
               FIRMWARE / "src/board/format.c"]
    built = subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE}", f"-I{HERE}", "-isystem", MBEDTLS,
         "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>", HERE / f"{target}.c", HERE / "replay.c", *sources,
         FIRMWARE / "build/host/libmbedtls.a", "-o", program], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    inputs = sorted((HERE / "corpus" / target).iterdir())
    for name, content in seeds()[target].items():
        inputs.append(tmp_path / f"seed-{name}")
        inputs[-1].write_bytes(content)
    assert len(inputs) > 10
    done = subprocess.run([program, *inputs], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr[-3000:])
