# SPDX-License-Identifier: Apache-2.0
"""A person's own credentials in the device, in the files AWS IoT hands out, made here by OpenSSL."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.forked_cli import offchip

NAME = "0123abcd"


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def handed_out(folder: Path, *key: str) -> Path:
    """What the console's download gives: certificate of an authority nobody here knows, key, and another root."""
    folder.mkdir()
    for root in ("issuer", "AmazonRootCA1"):
        openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{root}.key", "-out",
                f"{root}.pem", "-subj", f"/CN={root}", "-days", "9000")
    openssl(folder, "req", "-newkey", *(key or ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")), "-nodes", "-keyout",
            f"{NAME}-private.pem.key", "-out", "csr.pem", "-subj", "/CN=AWS IoT Certificate")
    openssl(folder, "x509", "-req", "-in", "csr.pem", "-CA", "issuer.pem", "-CAkey", "issuer.key", "-out",
            f"{NAME}-certificate.pem.crt", "-days", "9000")
    for each in (*folder.glob("issuer*"), folder / "csr.pem", folder / "AmazonRootCA1.key"):
        each.unlink()
    return folder


@pytest.mark.parametrize("key", [(), ("rsa:2048",)], ids=["P-256", "RSA-2048"])
def test_the_device_is_who_its_owner_brought(tmp_path: Path, key: tuple[str, ...]) -> None:
    folder = handed_out(tmp_path / "aws", *key)
    claim = "Device Boots And Publishes With Credentials On The SD Card"
    done = offchip("run", "--own-credentials", folder, "--suite", "01", "--test", claim, "--results", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "r/results.json").read_text())
    assert summary["scope"] == ["01", claim, "own credentials"] and summary["proven"] == 1
    digest = subprocess.run(["openssl", "x509", "-in", folder / f"{NAME}-certificate.pem.crt", "-noout", "-fingerprint",
                             "-sha256"], capture_output=True, text=True, check=True).stdout
    wanted = digest.partition("=")[2].replace(":", "").lower()[:8]
    assert f"certificate={wanted}" in json.dumps(summary) + (tmp_path / "r/output.xml").read_text()


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda folder: (folder / "AmazonRootCA1.pem").unlink(), "AmazonRootCA1.pem is missing"),
    (lambda folder: (folder / f"{NAME}-private.pem.key").write_text("none"), "no unencrypted private key"),
    (lambda folder: (folder / "b-certificate.pem.crt").write_text(""), "are both there"),
    (lambda folder: [each.unlink() for each in folder.iterdir()] and folder.rmdir(), "no such folder"),
])
def test_what_is_missing_is_said_at_once(tmp_path: Path, spoil, says: str) -> None:  # noqa: ANN001
    folder = handed_out(tmp_path / "aws")
    spoil(folder)
    done = offchip("run", "--own-credentials", folder, "--results", tmp_path / "r")
    assert done.returncode == 2 and says in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_kind_of_key_the_device_cannot_hold_is_said_with_the_way_out(tmp_path: Path) -> None:
    folder = handed_out(tmp_path / "aws", "rsa:3072")
    done = offchip("run", "--own-credentials", folder, "--results", tmp_path / "r")
    assert done.returncode == 2 and "create-certificate-from-csr" in done.stderr, done.stderr
