# SPDX-License-Identifier: Apache-2.0
"""The temporary folder of a worker, and what killed runs left of theirs.

A folder belongs to whoever holds the lock on the file in it: the parent, and the worker, which inherits it. A folder
of ours whose lock nobody holds is of a run that was killed; the next one removes it. No name here starts with
``renode-``: Renode removes every such folder in the temporary directory that is of no living process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "offchip-worker-"
_OWNER = "offchip-owner.lock"


class Scratch:
    """A new folder.

    Attributes:
        path: of the folder.
        descriptor: of the lock, for the worker to inherit.
    """

    def __init__(self) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        fresh = self.path / "fresh.lock"
        self.descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        fresh.rename(self.path / _OWNER)  # nobody finds it before it is locked

    def remove(self) -> None:
        """Once; the worker has ended."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.descriptor)


def sweep() -> None:
    """Remove the folders of runs that ended without a chance to do so."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_symlink() or not _is_abandoned(folder / _OWNER):
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(owner: Path) -> bool:
    try:
        descriptor = os.open(owner, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # not one of ours, another user's, or gone meanwhile
        return False
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
