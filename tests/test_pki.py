# SPDX-License-Identifier: Apache-2.0
"""The laboratory's PKI, judged by OpenSSL's own verifier."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key

from offchip.errors import PkiError
from offchip.pki import EXPIRED, NOT_YET_VALID, Authority, Identity, self_signed_server
from offchip.pki.authority import issue_below

HOST = "iot.offchip.test"


def openssl_verify(folder: Path, identity: Identity, root: x509.Certificate, purpose: str,
                   host: str | None = None) -> str:
    """'' when OpenSSL accepts the chain, else its complaint."""
    anchor, leaf, chain = folder / "root.pem", folder / "leaf.pem", folder / "chain.pem"
    anchor.write_bytes(root.public_bytes(Encoding.PEM))
    leaf.write_bytes(identity.certificate_pem)
    chain.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in identity.chain))
    command = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", str(anchor),
               "-purpose", purpose, "-attime", str(int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()))]
    if identity.chain:
        command += ["-untrusted", str(chain)]
    if host:
        command += ["-verify_hostname", host]
    done = subprocess.run([*command, str(leaf)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr + done.stdout


@pytest.mark.parametrize("with_intermediate", [False, True])
def test_openssl_accepts_what_the_authority_issues(tmp_path: Path, with_intermediate: bool) -> None:
    authority = Authority(1, with_intermediate=with_intermediate)
    root = authority.root.certificate
    assert openssl_verify(tmp_path, authority.issue_server([HOST, "127.0.0.1"]), root, "sslserver", HOST) == ""
    assert openssl_verify(tmp_path, authority.issue_device("thing-1"), root, "sslclient") == ""
    assert len(authority.issue_device("thing-2").chain) == with_intermediate


@pytest.mark.parametrize(("make", "complaint"), [
    (lambda a: Authority(2).issue_server([HOST]), "unable to get local issuer certificate"),
    (lambda a: self_signed_server(1, [HOST]), "self-signed certificate"),
    (lambda a: a.issue_server([HOST], *EXPIRED), "certificate has expired"),
    (lambda a: a.issue_server([HOST], *NOT_YET_VALID), "certificate is not yet valid"),
    (lambda a: a.issue_server(["other.offchip.test"]), "hostname mismatch"),
    (lambda a: a.issue_device(HOST), "unsuitable certificate purpose"),
])
def test_openssl_refuses_the_bad_ones(tmp_path: Path, make, complaint: str) -> None:  # type: ignore[no-untyped-def]
    authority = Authority(1, name="the genuine root")
    assert complaint in openssl_verify(tmp_path, make(authority), authority.root.certificate, "sslserver", HOST)


def test_same_seed_same_bytes() -> None:
    def everything(seed: int) -> list[bytes]:
        authority = Authority(seed, with_intermediate=True)
        made = [authority.root, authority.issue_device("a"), authority.issue_device("a"),
                authority.issue_server([HOST]), self_signed_server(seed, [HOST])]
        return [part for each in made for part in (each.chain_pem, each.key_der)]

    first = everything(7)
    assert first == everything(7)
    assert not set(first) & set(everything(8))
    assert len(set(first)) == len(first)


def test_forms_agree() -> None:
    identity = Authority(1).issue_device("thing-1")
    public = identity.certificate.public_key()
    for key in (load_der_private_key(identity.key_der, None), load_der_private_key(identity.key_sec1_der, None),
                load_pem_private_key(identity.key_pem, None)):
        assert key.public_key() == public
    assert x509.load_pem_x509_certificate(identity.certificate_pem) == identity.certificate
    assert identity.certificate_id == hashlib.sha256(identity.certificate_der).hexdigest()


@pytest.mark.parametrize("ask", [
    lambda a: a.issue_device(""), lambda a: a.issue_device("x" * 65), lambda a: a.issue_server([]),
    lambda a: a.issue_server(["bücher.test"]), lambda a: a.issue_device("x", EXPIRED.not_after, EXPIRED.not_before),
])
def test_bad_requests_are_refused_in_one_sentence(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PkiError) as refusal:
        ask(Authority(1))
    assert "\n" not in str(refusal.value)


def test_rsa_authority_and_server_follow_from_the_seed_and_devices_stay_on_p256() -> None:
    one, again, other = (Authority(seed, keys="rsa") for seed in (1, 1, 2))
    assert one.root.key_der == again.root.key_der != other.root.key_der
    server = one.issue_server(["a.test"])
    for identity in (one.root, server):
        key = identity.key
        assert isinstance(key, rsa.RSAPrivateKey) and key.key_size == 2048
        numbers = key.private_numbers()
        assert numbers.p != numbers.q and numbers.public_numbers.e == 65537
        numbers.private_key()  # the library's own check of the whole key, primality included
    assert server.key_der != one.root.key_der
    assert isinstance(one.issue_device("thing-1").key, ec.EllipticCurvePrivateKey)
    server.certificate.verify_directly_issued_by(one.root.certificate)


def test_a_certificate_below_a_leaf_is_right_in_all_but_what_the_leaf_may_do(tmp_path: Path) -> None:
    """Signatures, names and dates are good: OpenSSL objects to the leaf in the middle alone."""
    authority = Authority(1, keys="rsa")
    leaf = authority.issue_server(["other.test"])
    below = issue_below("x", leaf, ["broker.test"])
    assert below.chain == (leaf.certificate,)
    below.certificate.verify_directly_issued_by(leaf.certificate)
    leaf.certificate.verify_directly_issued_by(authority.root.certificate)
    for name, each in (("root", authority.root), ("leaf", leaf), ("below", below)):
        (tmp_path / name).write_bytes(each.certificate_pem)
    done = subprocess.run(["openssl", "verify", "-CAfile", "root", "-untrusted", "leaf", "below"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode and "invalid CA certificate" in done.stdout + done.stderr
