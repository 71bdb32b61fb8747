# SPDX-License-Identifier: Apache-2.0
"""The part of the engine that is in C: built when it is first asked for, never needed.

Without a C compiler the engine does the same in Python, slower.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from offchip.paths import CACHE

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
_COMMAND = ("-O2", "-shared", "-fPIC", "-std=c11")


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """What was compiled; None: there is no compiler, or OFFCHIP_NATIVE=0 asks for Python alone."""
    if os.environ.get("OFFCHIP_NATIVE") == "0":
        return None
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    digest = hashlib.sha256(repr((_COMMAND, os.uname().machine)).encode())
    for each in SOURCES:
        digest.update(each.read_bytes())
    place = CACHE / "native" / f"engine-{digest.hexdigest()[:16]}.so"
    try:
        if not place.exists() and (compiler is None or not _build(compiler, place)):
            return None
        return ctypes.CDLL(str(place))
    except OSError:  # a folder that cannot be written to, or a file of another machine
        return None


def _build(compiler: str, place: Path) -> bool:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, half = tempfile.mkstemp(dir=place.parent, suffix=".so")
    os.close(handle)
    try:
        done = subprocess.run([compiler, *_COMMAND, "-o", half, *map(str, SOURCES)], capture_output=True)
        if done.returncode:
            return False
        os.replace(half, place)  # another process may be at it, too
        return True
    finally:
        Path(half).unlink(missing_ok=True)
