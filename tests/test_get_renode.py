# SPDX-License-Identifier: Apache-2.0
"""scripts/get-renode, in a project of its own, with a folder of releases instead of the network."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from offchip.engines.renode import locate

ROOT = Path(__file__).resolve().parent.parent
ARM = "-arm64" if os.uname().machine in ("aarch64", "arm64") else ""
ARCHIVES = {"1.16.1": f"renode-1.16.1.linux{ARM}-portable-dotnet.tar.gz",
            "1.17.0": f"renode-1.17.0.linux{ARM}-portable.tar.gz"}


class Download:
    """One release on offer; ``version`` None stands for the script's own choice."""

    def __init__(self, folder: Path, version: str | None) -> None:
        self.project = folder / "project"
        (self.project / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts/get-renode", self.project / "scripts")
        self.lock = self.project / "scripts/renode.lock"
        named = version or "1.16.1"
        self._options = (version,) if version else ()
        self.program = self.project / f".cache/renode-{named}/renode"
        self.archive = folder / f"releases/v{named}" / ARCHIVES[named]
        self.archive.parent.mkdir(parents=True)
        self.releases = self.archive.parent.parent

    def publish(self, content: bytes = b"\x7fELF") -> str:
        """Returns the SHA-256."""
        with tarfile.open(self.archive, "w:gz") as tar:
            for name, mode in (("renode", 0o755), ("libhostfxr.so", 0o644)):
                member = tarfile.TarInfo(f"renode_portable/{name}")
                member.size, member.mode = len(content), mode
                tar.addfile(member, io.BytesIO(content))
        return hashlib.sha256(self.archive.read_bytes()).hexdigest()

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "RENODE_RELEASES": f"file://{self.releases}"}
        return subprocess.run([self.project / "scripts/get-renode", *(options or self._options)], env=environment,
                              capture_output=True, text=True, timeout=60)


@pytest.fixture(params=[None, "1.17.0"])
def download(request: pytest.FixtureRequest, tmp_path: Path) -> Download:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    return Download(tmp_path, request.param)


def test_it_unpacks_records_and_is_found(download: Download) -> None:
    digest = download.publish()
    other = f"{'0' * 64}  renode-0.0.0.linux-portable.tar.gz\n"
    download.lock.write_text(f"# a word\nunknown  {download.archive.name}\n{other}")
    done = download.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"export PYRENODE_BIN={download.program} PYRENODE_RUNTIME=coreclr\n"
    assert "commit it" in done.stderr
    assert download.lock.read_text() == f"# a word\n{other}{digest}  {download.archive.name}\n"
    found = locate.find_renode({"PATH": ""}, download.project / ".cache", download.project / "opt")
    assert found and found.path == download.program
    shutil.rmtree(download.releases)  # the second run needs no network
    assert download.run().returncode == 0


@pytest.mark.parametrize("pinned", [True, False], ids=["by the project", "by the first download"])
def test_other_bytes_than_recorded_are_refused(download: Download, pinned: bool) -> None:
    digest = download.publish()
    if pinned:
        download.lock.write_text(f"{digest}  {download.archive.name}\n")
    assert download.run().returncode == 0
    shutil.rmtree(download.project / ".cache")
    download.publish(b"something else")
    done = download.run()
    assert done.returncode == 1 and "scripts/renode.lock says" in done.stderr
    assert not download.program.exists()
    assert download.lock.read_text() == f"{digest}  {download.archive.name}\n"


def test_it_resumes(download: Download) -> None:
    download.publish()
    (download.project / ".cache").mkdir()
    whole = download.archive.read_bytes()
    (download.project / ".cache" / f"{download.archive.name}.part").write_bytes(whole[:100])
    download.archive.write_bytes(b"\0" * 100 + whole[100:])  # only what is missing may be taken
    assert download.run().returncode == 0
    assert download.program.is_file()


def test_nightly_is_neither_pinned_nor_taken_by_itself(download: Download) -> None:
    download.publish()
    shutil.move(download.archive, download.releases / f"renode-latest.linux{ARM}-portable.tar.gz")
    done = download.run("--nightly")
    assert done.returncode == 0, done.stderr
    assert "renode-nightly/renode" in done.stdout and not download.lock.exists()
    assert locate.find_renode({"PATH": ""}, download.project / ".cache", download.project / "opt") is None


def test_it_says_why_not(download: Download) -> None:
    done = download.run()
    assert done.returncode == 1 and "cannot download" in done.stderr.splitlines()[-1]
    download.archive.write_bytes(b"not a tar")
    done = download.run()
    assert done.returncode == 1 and "damaged" in done.stderr.splitlines()[-1]
    assert not download.lock.exists()
    done = download.run("1.15.0")
    assert done.returncode == 1 and "give 1.16.1, 1.17.0 or --nightly" in done.stderr


def test_the_lock_knows_every_archive_on_offer() -> None:
    lines = [line.split() for line in (ROOT / "scripts/renode.lock").read_text().splitlines() if line[:1] != "#"]
    assert {name for _, name in lines} == {name.replace(ARM, arm) if ARM else name.replace(".linux", f".linux{arm}")
                                           for name in ARCHIVES.values() for arm in ("", "-arm64")}
    assert all(digest == "unknown" or re.fullmatch("[0-9a-f]{64}", digest) for digest, _ in lines)
