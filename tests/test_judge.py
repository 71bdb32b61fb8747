# SPDX-License-Identifier: Apache-2.0
"""A foreign image: every spelling of a secret is found, no file is too odd, and what it opens is shown."""

from __future__ import annotations

import base64
import gzip
import json
import random
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from offchip.cli import app
from offchip.judge.find import search
from offchip.judge.image import Part
from offchip.judge.report import judge_image
from offchip.vault import fat
from tests.forked_cli import offchip

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
PKCS8, TRADITIONAL = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
PLAIN = serialization.NoEncryption()
P256 = ec.derive_private_key(0x1F3A5C7E9B2D4F60718293A4B5C6D7E8F90A1B2C3D4E5F60718293A4B5C6D7E8, ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
NOISE = random.Random(1).randbytes(4096)


def certificate(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "meter-17",
                ca: bool = False) -> x509.Certificate:
    """As AWS IoT hands one out: self-made here, and that does not matter to the search."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "Amazon Web Services")])
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).serial_number(7)
            .public_key(key.public_key()).not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2049, 12, 31, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(ca, None), critical=True).sign(key, hashes.SHA256()))


CERT, RSA_CERT = certificate(P256), certificate(RSA)
_PRIMES = RSA.private_numbers()
_SCALAR = P256.private_numbers().private_value.to_bytes(32, "big")
_PKCS8 = P256.private_bytes(DER, PKCS8, PLAIN)
_JWK = '{"kty":"EC","crv":"P-256","d":"' + base64.urlsafe_b64encode(_SCALAR).rstrip(b"=").decode() + '"}'


def _lines(start: str, kind: str) -> bytes:
    """Intel HEX, or S-records where ``kind`` is empty, without a last line."""
    lines = []
    for at in range(0, len(_PKCS8), 16):
        piece = _PKCS8[at:at + 16]
        count = len(piece) if kind else len(piece) + 3
        record = bytes((count,)) + at.to_bytes(2, "big") + bytes.fromhex(kind) + piece
        total = -sum(record) if kind else ~sum(record)
        lines.append(f"{start}{record.hex().upper()}{total & 0xFF:02X}")
    return "\n".join(lines).encode() + b"\n"


#: spelling -> (bytes, the certificate has to be there for it to be recognised)
SPELLINGS: dict[str, tuple[bytes, x509.Certificate | None]] = {
    "PKCS#8 PEM": (P256.private_bytes(PEM, PKCS8, PLAIN), None),
    "SEC1 PEM": (P256.private_bytes(PEM, TRADITIONAL, PLAIN), None),
    "PEM with CR LF": (P256.private_bytes(PEM, PKCS8, PLAIN).replace(b"\n", b"\r\n"), None),
    "PEM in a C string": (P256.private_bytes(PEM, PKCS8, PLAIN).replace(b"\n", b'\\n"\n"'), None),
    "PEM in JSON": (json.dumps({"key": P256.private_bytes(PEM, PKCS8, PLAIN).decode()}).encode(), None),
    "PKCS#8 DER": (P256.private_bytes(DER, PKCS8, PLAIN), None),
    "SEC1 DER": (P256.private_bytes(DER, TRADITIONAL, PLAIN), None),
    "SEC1 DER, cut off": (P256.private_bytes(DER, TRADITIONAL, PLAIN)[:60], None),
    "raw": (_SCALAR, CERT),
    "raw, little endian": (_SCALAR[::-1], CERT),
    "hexadecimal": (b"key=" + _SCALAR.hex().encode() + b"\n", CERT),
    "RSA PKCS#1 PEM": (RSA.private_bytes(PEM, TRADITIONAL, PLAIN), None),
    "RSA PKCS#1 DER": (RSA.private_bytes(DER, TRADITIONAL, PLAIN), None),
    "RSA PKCS#8 DER": (RSA.private_bytes(DER, PKCS8, PLAIN), None),
    "OpenSSH": (P256.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, PLAIN), None),
    "JWK": (_JWK.encode(), None),
    "base64 without armour": (b"key=" + base64.b64encode(_PKCS8) + b"\n", None),
    "base64url in lines": (b"\n".join(base64.urlsafe_b64encode(_PKCS8)[at:at + 60] for at in range(0, 240, 60)), None),
    "hexadecimal DER": (b"KEY " + _PKCS8.hex(" ").upper().encode() + b"\n", None),
    "C array": (b"{\n" + b",\n".join(b", ".join(b"0x%02x" % each for each in _PKCS8[at:at + 12])
                                     for at in range(0, len(_PKCS8), 12)) + b"\n};", None),
    "C array, decimal": (b"{" + b",".join(b"%d" % each for each in _PKCS8) + b"}", None),
    "C string": (b'"' + b"".join(b"\\x%02x" % each for each in _PKCS8) + b'"', None),
    "UTF-16": (P256.private_bytes(PEM, PKCS8, PLAIN).decode().encode("utf-16-le"), None),
    "Intel HEX": (b"\n" + _lines(":", "00"), None),
    "S-records": (b"\n" + _lines("S1", ""), None),
    "xxd": (b"\n" + b"\n".join(b"%08x: %s  %s" % (at, _PKCS8[at:at + 16].hex(" ", 2).encode(), b"." * 16)
                               for at in range(0, len(_PKCS8), 16)) + b"\n", None),
    "RSA prime": (_PRIMES.p.to_bytes(128, "big"), RSA_CERT),
    "RSA prime, little endian": (_PRIMES.q.to_bytes(128, "little"), RSA_CERT),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_found_however_it_is_spelled(spelling: str) -> None:
    written, beside = SPELLINGS[spelling]
    der = beside.public_bytes(DER) if beside else b""
    data = b"\xff" * 512 + NOISE[:512] + written + NOISE[512:1024] + b"\0" * 512 + der + b"\xff" * 700
    found = search([Part("", data)])
    (key,) = found.keys
    expected = RSA if "RSA" in spelling else P256
    assert key.key.public_key() == expected.public_key()
    assert abs(key.offset - 1024) < 64 and found.secrets == 1
    assert len(found.pairs()) == (beside is not None)


def test_noise_certificates_and_sealed_records_hold_no_secret() -> None:
    data = NOISE + CERT.public_bytes(PEM) + b"OCV1" + NOISE[::-1] + RSA_CERT.public_bytes(DER)
    found = search([Part("", data)])
    assert found.secrets == 0 and len(found.certificates) == 2 and "sealed" in found.locked[0]
    locked = P256.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"x"))
    assert "passphrase" in search([Part("", locked)]).locked[0]
    assert "torn or" in search([Part("", P256.private_bytes(PEM, PKCS8, PLAIN)[:120])]).locked[0]


@pytest.mark.parametrize(("text", "what", "value"), [
    ('{"ssid": "Home", "psk": "correct horse"}', "Wi-Fi passphrase or password", "correct horse"),
    ("network={\n ssid=\"Home\"\n psk=\"battery staple 9\"\n}", "Wi-Fi passphrase or password", "battery staple 9"),
    ("WIFI_PASSWORD=hunter2hunter2\r\n", "Wi-Fi passphrase or password", "hunter2hunter2"),
    ("host: a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com", "AWS IoT endpoint",
     "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com"),
    ("aws_access_key_id = AKIAIOSFODNN7EXAMPLE", "AWS access key id", "AKIAIOSFODNN7EXAMPLE"),
])
def test_readable_secrets_are_named(text: str, what: str, value: str) -> None:
    found = search([Part("", NOISE + text.encode() + NOISE)])
    assert (what, value) in [(each.what, each.text) for each in found.texts]


def test_what_a_card_gives_away_is_shown_at_the_broker(tmp_path: Path) -> None:
    key = P256.private_bytes(PEM, PKCS8, PLAIN)
    card = fat.make_volume(fat.FAT16_MINIMUM, {"/CERTS/DEVICE.CRT": CERT.public_bytes(PEM), "/CERTS/KEY.PEM": key,
                                               "/WIFI.TXT": b'ssid="Home"\npsk="correct horse"\n'}, partitioned=False)
    (tmp_path / "card.img.gz").write_bytes(gzip.compress(card))
    judgement = judge_image(tmp_path / "card.img.gz")
    narrow, wide = judgement.trials
    assert [(each.thing, each.policy) for each in (narrow, wide)] == [("meter-17", "narrow"), ("meter-17", "wide")]
    assert [act.done for act in narrow.acts] == [True, True, True, False, False, True, False]
    assert "FORBIDDEN_ACCESS" in narrow.acts[3].told and all(act.done for act in wide.acts)
    assert judgement.found.secrets == 2 and "/CERTS/KEY.PEM" in judgement.found.keys[0].place
    done = CliRunner().invoke(app, ["judge", str(tmp_path / "card.img.gz"), "--json", str(tmp_path / "told.json")])
    assert done.exit_code == 1 and "whoever holds this medium is meter-17" in done.output
    told = (tmp_path / "told.json").read_text()
    assert json.loads(told)["keys"][0]["belongs_to"] == "the key of meter-17"
    for secret in ("correct horse", _SCALAR.hex(), key.decode().split()[4][:40]):
        assert secret not in told and secret not in done.output


def test_an_rsa_identity_is_tried_as_well(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(RSA_CERT.public_bytes(DER) + NOISE + RSA.private_bytes(DER, TRADITIONAL, PLAIN))
    assert [trial.opened for trial in judge_image(tmp_path / "dump").trials] == [4, 7]


def test_an_authority_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(certificate(P256, "The CA", ca=True).public_bytes(PEM) + SPELLINGS["SEC1 DER"][0])
    judgement = judge_image(tmp_path / "dump")
    assert judgement.trials == () and "devices and servers of his own" in judgement.refused[0]


def test_openssl_agrees_about_the_key(tmp_path: Path) -> None:
    found = search([Part("", SPELLINGS["SEC1 DER, cut off"][0])])
    (tmp_path / "key.pem").write_bytes(found.keys[0].key.private_bytes(PEM, PKCS8, PLAIN))
    public = subprocess.run(["openssl", "pkey", "-in", tmp_path / "key.pem", "-pubout"], capture_output=True,
                            check=True).stdout
    assert public == CERT.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


_HEADS = st.sampled_from([b"", b"\x1f\x8b\x08", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x82\x01\x00\x30\x82\x01\x00",
                          b"\x30\x81\xff\x02\x01\x00\x30", b"\xeb\x3c\x90" + b"\0" * 507 + b"\x55\xaa",
                          b"\x30\x82\xff\xff\x02\x01\x01\x04\x20", b"OCV1", b"psk=", CERT.public_bytes(DER)[:200]])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_HEADS, st.binary(max_size=300)), min_size=1, max_size=6))
def test_no_file_is_too_odd(tmp_path: Path, pieces: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(head + tail for head, tail in pieces)
    (tmp_path / "odd").write_bytes(data or b"\0")
    assert list(judge_image(tmp_path / "odd").lines())


def test_a_damaged_volume_is_searched_all_the_same(tmp_path: Path) -> None:
    card = bytearray(fat.make_volume(fat.FAT16_MINIMUM, {"/KEY.PEM": SPELLINGS["SEC1 PEM"][0]}))
    for at in (11, 13, 14, 16, 17, 22, 512, 600, 0x4400):
        broken = bytearray(card)
        broken[at:at + 4] = b"\xff\xff\xff\xff"
        (tmp_path / "card").write_bytes(broken)
        assert judge_image(tmp_path / "card").found.secrets == 1, at


@pytest.mark.parametrize(("name", "words"), [("", "folder"), ("nothing", "cannot be read"), ("empty", "empty")])
def test_what_is_no_image_gets_one_sentence(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty").write_bytes(b"")
    done = offchip("judge", tmp_path / name)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and words in done.stderr


def test_files_of_a_disk_with_a_gpt_have_names(tmp_path: Path) -> None:
    """UEFI 5.3: a protective MBR, a header, a table of 128 entries, and a volume behind it."""
    volume = fat.make_volume(9 << 20, {"/CERTS/KEY.PEM": P256.private_bytes(PEM, PKCS8, PLAIN)})
    entry = b"\xa2" * 16 + b"\x01" * 16 + struct.pack("<QQQ", 64, 64 + len(volume) // 512 - 1, 0)
    header = b"EFI PART" + bytes(64) + struct.pack("<QII", 2, 128, 128)
    sectors = bytes(510) + b"\x55\xaa" + header.ljust(512, b"\0") + entry.ljust(128 * 128, b"\0")
    image = tmp_path / "disk.img"
    image.write_bytes(sectors.ljust(64 * 512, b"\0") + volume + bytes(33 * 512))
    assert [each.place for each in judge_image(image).found.keys] == ["/CERTS/KEY.PEM"]


def test_an_openssh_key_with_a_passphrase_is_locked() -> None:
    content = b"openssh-key-v1\0\0\0\0\x0aaes256-ctr\0\0\0\x06bcrypt" + NOISE[:200]
    block = b"-----%s-----\n".join((b"", base64.encodebytes(content), b"")) % (
        b"BEGIN OPENSSH PRIVATE KEY", b"END OPENSSH PRIVATE KEY")
    found = search([Part("", block)])
    assert not found.keys and len(found.locked) == 1 and "encrypted" in found.locked[0]
