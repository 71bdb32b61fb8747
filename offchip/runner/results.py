# SPDX-License-Identifier: Apache-2.0
"""The folder of a report: whole or the old one, and nothing in it deleted that this tool did not write."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from offchip.errors import OffchipError
from offchip.files import replace_file
from offchip.runner.processes import signals_held

#: names every file of the report with its SHA-256: what may be replaced by the next report
MARKER = "offchip-report.json"
_NEEDED_BYTES = 64 << 20


class ResultsFolder:
    """Where a report goes. Checked before the run, made beside its place, put there in one step at the end.

    Args:
        path: a folder that is not there yet, is empty, or holds a report and nothing else.
        whole: the run judges every claim; a partial one never replaces a whole report.

    Raises:
        OffchipError: the folder cannot be used; it says why and what to do.
    """

    def __init__(self, path: Path, whole: bool) -> None:
        self.given, self.whole = path, whole
        try:
            self.path = path.resolve()
            if self.path.parent.is_dir():
                with _locked(self.path.parent):  # another run may be putting its report there
                    self._check()
            else:
                self._check()
        except OSError as error:
            raise OffchipError(f"{path}: the report cannot be written here ({error.strerror}); give another "
                               "--results.") from None
        self._made: list[Path] = []
        self.fresh = self.path  # until __enter__
        self._lock = -1

    # before the run --------------------------------------------------------------------------------------------------
    def _check(self) -> None:
        self._check_place()
        parent = next(each for each in self.path.parents if each.is_dir())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise OffchipError(f"{self.given}: the report cannot be written here ({parent} is not writable); give "
                               "another --results.")
        if shutil.disk_usage(parent).free < _NEEDED_BYTES:
            raise OffchipError(f"{parent}: less than {_NEEDED_BYTES >> 20} MB are free, too little for a run; make "
                               "room or give another --results.")

    def _check_place(self) -> None:
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise OffchipError(f"{self.given}: this is a file; give a folder as --results.")
        if self.path.exists():
            if any(self.path.iterdir()):
                self._check_own()
            if os.path.ismount(self.path):
                raise OffchipError(f"{self.given}: a mount point cannot be replaced as a whole; give a folder inside "
                                   "it as --results.")

    def _check_own(self) -> None:
        marker = read_marker(self.path)
        if marker is None:
            raise OffchipError(f"{self.given}: this folder is neither empty nor a report of offchip; nothing in it was "
                               "touched. Give another --results.")
        if foreign := foreign_files(self.path, marker):
            raise OffchipError(f"{self.given}: {foreign[0]} was not written by offchip; move it away or give another "
                               "--results.")
        if marker.get("whole") and not self.whole:
            raise OffchipError(f"{self.given}: it holds a report of all claims, which a run with --suite or --test "
                               "does not replace; give another --results.")

    def __enter__(self) -> ResultsFolder:
        try:
            self._made = _make_parents(self.path.parent)
            self.fresh = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.new-", dir=self.path.parent))
            self.fresh.chmod(0o777 & ~_umask())
            self._lock = os.open(self.fresh, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise OffchipError(f"{self.given}: the report cannot be written here ({error.strerror}); give another "
                               "--results.") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        os.close(self._lock)
        if self.fresh != self.path:  # it was not published
            shutil.rmtree(self.fresh, ignore_errors=True)
            for folder in self._made:
                try:
                    folder.rmdir()
                except OSError:
                    break

    def turn_to(self, path: Path) -> None:
        """The report is of a part of the claims after all, and goes elsewhere; where that cannot be, see publish."""
        self.given, self.whole, self.path = path, False, path

    def left_over(self) -> list[Path]:
        """Unfinished reports of runs that were killed; whoever wants them gone deletes them himself."""
        return [each for each in sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.new-*"))
                if each.is_dir() and each != self.fresh and _is_idle(each)]

    # behind the run --------------------------------------------------------------------------------------------------
    def publish(self) -> Path:
        """Put the fresh report in its place.

        Returns:
            Where it is: beside its place, should somebody have put a file of his own there during the run.
        """
        _remove_empty_folders(self.fresh)
        files = {name: _sha256(self.fresh / name) for name in _files(self.fresh)}
        marker = {"tool": "offchip", "whole": self.whole, "files": dict(sorted(files.items()))}
        replace_file(self.fresh / MARKER, json.dumps(marker, indent=1) + "\n")
        with signals_held(), _locked(self.path.parent):  # two runs may end at once
            return self._swap()

    def _swap(self) -> Path:
        try:
            self._check_place()
        except OffchipError:
            place, self.fresh = self.fresh, self.path
            return place
        old = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.old-", dir=self.path.parent))
        if self.path.is_dir():
            self.path.rename(old)
        try:
            self.fresh.rename(self.path)
        except OSError:
            old.rename(self.path)
            raise
        self.fresh = self.path
        _remove_own(old)
        return self.path


def read_marker(folder: Path) -> dict[str, Any] | None:
    """What the marker of a report says; None where there is none of ours."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(marker, dict) or marker.get("tool") != "offchip" or not isinstance(marker.get("files"), dict):
        return None
    return marker


def foreign_files(folder: Path, marker: dict[str, Any]) -> list[str]:
    """Names in ``folder`` that are not, or no longer, what the report's marker says."""
    known = marker["files"]
    return [name for name in _files(folder)
            if name != MARKER and (name not in known or _sha256(folder / name) != known[name])]


def _files(folder: Path) -> list[str]:
    """Everything in ``folder`` that is no folder, and folders that are empty (nobody's report has those)."""
    names = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        names += [str((here / name).relative_to(folder)) for name in files]
        names += [str((here / name).relative_to(folder)) for name in folders
                  if (here / name).is_symlink() or not any((here / name).iterdir())]
    return sorted(names)


def _sha256(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "not a file"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remove_own(folder: Path) -> None:
    """Delete a report file by file; what its marker does not name stays, with the folder."""
    marker = read_marker(folder)
    if marker is not None:
        foreign = set(foreign_files(folder, marker))
        for name in [*marker["files"], *([] if foreign else [MARKER])]:
            if name not in foreign:
                (folder / name).unlink(missing_ok=True)
    _remove_empty_folders(folder)


def _remove_empty_folders(folder: Path) -> None:
    for place, _, _ in os.walk(folder, topdown=False):
        try:
            Path(place).rmdir()
        except OSError:
            continue


def _make_parents(folder: Path) -> list[Path]:
    """Make ``folder``; returns what had to be made, innermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_idle(folder: Path) -> bool:
    """No run holds the folder's lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
