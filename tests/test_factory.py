# SPDX-License-Identifier: Apache-2.0
"""What the factory writes, judged by mtools, fsck.vfat and openssl; and what attackers find in it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import struct
import subprocess
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from offchip import vault
from offchip.attacks.carving import carve, carve_numbers
from offchip.board.factory import (
    Provisioning,
    configuration_page,
)
from offchip.errors import FactoryError, MediumError, VaultError
from offchip.vault import fat, plain
from offchip.vault.credentials import Credentials, pem
from offchip.vault.records import EEPROM_MAGIC, Tag, decode_entries, decode_record, encode_entries

MIB = 1 << 20


def make_certificate(key, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(7).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC)).sign(key, hashes.SHA256()))


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def key_bytes(key, encoding="PEM", form="PKCS8") -> bytes:
    return key.private_bytes(getattr(serialization.Encoding, encoding), getattr(serialization.PrivateFormat, form),
                             serialization.NoEncryption())


CA_KEY = ec.derive_private_key(0x1111, ec.SECP256R1())
DEVICE_KEY = ec.derive_private_key(
    int.from_bytes(b"a device key for these tests ...", "big"), ec.SECP256R1())
CA = make_certificate(CA_KEY, "CA")
DEVICE = make_certificate(DEVICE_KEY, "thing-1")
CA_PEM = CA.public_bytes(serialization.Encoding.PEM)
DEVICE_PEM = DEVICE.public_bytes(serialization.Encoding.PEM)
CREDENTIALS = Credentials.parse(CA_PEM, DEVICE_PEM, key_bytes(DEVICE_KEY))
PROVISIONING = Provisioning(thing_name="thing-1", endpoint_host="iot.offchip.test",
                            publish_topics=("things/thing-1", "feed"), subscribe_filters=("cmd/+",),
                            credentials=CREDENTIALS)


def run(*command: str, data: bytes = b"") -> str:
    tool = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if tool is None:
        pytest.skip(f"the judge '{command[0]}' is not installed")
    done = subprocess.run([tool, *command[1:]], input=data, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


# volumes -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("size", "partitioned", "bits"), [
    (16 * MIB, False, 16), (16 * MIB, True, 16), (34 * MIB, False, 32), (36 * MIB, True, 32),
])
def test_volume_is_clean_for_fsck_and_readable_for_mtools(tmp_path, size, partitioned, bits):
    files = plain.files(CREDENTIALS.entries()) | {"/EMPTY.TXT": b"", "/LONG.BIN": bytes(range(256)) * 40}
    image = fat.Image(fat.make_volume(size, files, partitioned=partitioned))
    fat.write_file(image, "/LONG.BIN", b"short now")
    fat.write_file(image, "/CREDS/DEVICE.CRT", bytes(9000))
    fat.delete_file(image, "/EMPTY.TXT")
    offset = fat.volume_offset(image)
    path = tmp_path / "volume.img"
    path.write_bytes(image.content[offset:])
    report = run("fsck.vfat", "-n", "-v", str(path))
    assert f"{bits} bit entries" in report
    # a dirty or damaged volume makes fsck speak of these
    assert not {"dirty", "free cluster (", "Wrong", "differ"} & set(report.split())
    assert run("mtype", "-i", str(path), "::/CREDS/DEVICE.KEY").encode() == key_bytes(DEVICE_KEY)
    assert run("mtype", "-i", str(path), "::/LONG.BIN") == "short now"
    listing = run("mdir", "-b", "-i", str(path), "-s", "::")
    assert set(listing.split()) == {"::/CREDS/", "::/CREDS/ROOTCA.CRT", "::/CREDS/DEVICE.CRT", "::/CREDS/DEVICE.KEY",
                                    "::/LONG.BIN"}
    if partitioned:
        disk = tmp_path / "disk.img"
        disk.write_bytes(image.content)
        assert offset == MIB
        table = run("partx", "-g", "-o", "START,SECTORS,TYPE", str(disk)).split()
        assert table == ["2048", str((size - MIB) // 512), "0xc" if bits == 32 else "0xe"]


def test_volume_made_by_a_pc_is_read(tmp_path):
    path = tmp_path / "pc.img"
    run("mkfs.vfat", "-C", "-F", "16", "-n", "PC", str(path), str(16 * 1024))
    run("mmd", "-i", str(path), "::/CREDS")
    run("mcopy", "-i", str(path), "-", "::/CREDS/DEVICE.KEY", data=b"from a PC")
    image = fat.Image(path.read_bytes())
    assert fat.list_files(image) == ["/CREDS/DEVICE.KEY"]
    assert fat.read_file(image, "/CREDS/DEVICE.KEY") == b"from a PC"


def test_same_input_same_image():
    one, two = (fat.make_volume(8 * MIB, plain.files(CREDENTIALS.entries())) for _ in range(2))
    assert one == two


def test_volume_errors_are_one_sentence():
    with pytest.raises(MediumError, match="1000 bytes cannot hold a FAT16"):
        fat.make_volume(1000, {})
    with pytest.raises(MediumError, match="no FAT volume"):
        fat.read_file(fat.Image(bytes(MIB)), "/A")
    table = struct.pack("<8B2I", 0, 0, 0, 0, 6, 0, 0, 0, 1, 99).rjust(462, b"\0").ljust(510, b"\0") + b"\x55\xAA"
    with pytest.raises(MediumError, match="no FAT volume"):  # its partition ends amid the first block
        fat.read_file(fat.Image(table + b"\xEB\0\0"), "/A")
    image = fat.Image(fat.make_volume(8 * MIB, {}))
    with pytest.raises(MediumError, match="/NONE.TXT"):
        fat.read_file(image, "/NONE.TXT")
    with pytest.raises(MediumError, match="/BIG.BIN"):
        fat.write_file(image, "/BIG.BIN", bytes(9 * MIB))
    for damage in (11, 13, 14, 16, 22):
        broken = fat.Image(bytes(image.content))
        broken.write(damage, b"\0\0")
        with pytest.raises(MediumError):
            fat.read_file(broken, "/NONE.TXT")


# records -----------------------------------------------------------------------------------------------------------
def test_configuration_page_byte_by_byte():
    """Read with nothing but SPEC.md: the format must not be judged by the module that writes it."""
    page = configuration_page(PROVISIONING)
    magic, version, length = struct.unpack_from("<4sHH", page)
    assert (magic, version, len(page)) == (b"OCF1", 1, 8 + length + 4)
    assert struct.unpack_from("<I", page, 8 + length)[0] == zlib.crc32(page[:8 + length])
    fields, at = [], 8
    while at < 8 + length:
        tag, size = struct.unpack_from("<HH", page, at)
        fields.append((tag, page[at + 4:at + 4 + size]))
        padding = page[at + 4 + size:at + 4 + (size + 3 & ~3)]
        assert padding == b"\xFF" * len(padding)
        at += 4 + (size + 3 & ~3)
    assert fields == [
        (1, b"\0"), (2, b"\0"), (3, b"thing-1"), (5, b"iot.offchip.test"), (6, (8883).to_bytes(2, "little")),
        (7, b"things/thing-1"), (7, b"feed"), (8, b"cmd/+"), (12, b"pool.ntp.org"), (13, (5000).to_bytes(4, "little")),
        (14, b"\x3c\0"), (15, b"\x03"), (16, b"offchip"), (17, b"not-a-secret"), (9, der(CA)), (10, der(DEVICE)),
        (11, key_bytes(DEVICE_KEY, "DER")),
    ]


def test_plain_keeps_credentials_out_of_the_page():
    chosen = dataclasses.replace(PROVISIONING, scheme=vault.PLAIN, medium=vault.EEPROM, client_id="c1",
                                tls_versions=frozenset({"1.3"}))
    page = configuration_page(chosen)
    fields = decode_record(page, b"OCF1")
    assert not {9, 10, 11} & {tag for tag, _ in fields}
    assert [(1, b"\1"), (2, b"\2"), (15, b"\2"), (4, b"c1")] == [f for t in (1, 2, 15, 4) for f in fields if f[0] == t]
    assert carve(page, "page") == ([], [])
    record = decode_record(plain.record(CREDENTIALS.entries()) + b"\xFF" * 100, EEPROM_MAGIC)
    assert record == [(9, der(CA)), (10, der(DEVICE)), (11, key_bytes(DEVICE_KEY, "DER"))]


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=8))
def test_entries_survive_a_round_trip(entries):
    area = encode_entries(entries)
    assert len(area) % 4 == 0
    assert decode_entries(area) == entries


@given(st.binary(max_size=200))
def test_any_bytes_are_entries_or_one_error(data):
    try:
        assert all(len(value) <= len(data) for _, value in decode_entries(data))
    except MediumError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(("at", "message"), [(0, "no OCE1 record"), (4, "version"), (7, "claims"), (60, "CRC")])
def test_damaged_records_are_named(at, message):
    record = bytearray(plain.record(CREDENTIALS.entries()))
    record[at] ^= 0x80
    with pytest.raises(MediumError, match=message):
        decode_record(bytes(record), EEPROM_MAGIC)


# checks of the factory ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("change", "message"), [
    ({"thing_name": ""}, "thing name"), ({"thing_name": "x" * 129}, "thing name"), ({"endpoint_port": 0}, "port"),
    ({"endpoint_host": "h" * 254}, "endpoint host"), ({"publish_topics": ()}, "publish topics"),
    ({"publish_topics": ("a/#",)}, "wildcard"), ({"publish_interval_ms": 0}, "interval"),
    ({"keep_alive_s": 70000}, "keep alive"), ({"tls_versions": frozenset()}, "TLS versions"),
    ({"tls_versions": frozenset({"1.1"})}, "TLS versions"), ({"rdp_level": 3}, "RDP"), ({"sntp_host": ""}, "SNTP"),
    ({"medium": vault.SD}, "medium"), ({"scheme": vault.PLAIN}, "medium"), ({"wifi_ssid": "s" * 33}, "SSID"),
    ({"credentials": dataclasses.replace(CREDENTIALS, anchors=())}, "trust anchors"),
    ({"credentials": dataclasses.replace(CREDENTIALS, anchors=(b"x",) * 9)}, "trust anchors: 9 of them; .* at most 8"),
    ({"publish_topics": tuple("abcdefghi")}, "publish topics: 9 of them; .* at most 8"),
    ({"subscribe_filters": tuple("abcdefghi")}, "subscribe filters: 9 of them; .* at most 8"),
    ({"publish_interval_ms": 1 << 31}, "publish interval: 2147483648 .* 1 to 2147483647"),
    ({"thing_name": "a\nb"}, r"thing name: 'a\\nb' holds the control character U\+000A"),
    ({"wifi_passphrase": "a\x7Fb"}, "passphrase: .* U\\+007F"),
    ({"publish_topics": ("a\0",)}, "publish topic: .* U\\+0000"),
    ({"credentials": dataclasses.replace(CREDENTIALS, anchors=(bytes(9000), bytes(9000)))}, "configuration page"),
    ({"credentials": dataclasses.replace(CREDENTIALS, anchors=(bytes(70000),))}, "70000 bytes"),
])
def test_factory_refuses_what_the_device_would(change, message):
    with pytest.raises(FactoryError, match=message):
        configuration_page(dataclasses.replace(PROVISIONING, **change))


def root(curve: ec.EllipticCurve, *critical: x509.ExtensionType) -> bytes:
    key = ec.generate_private_key(curve)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a root")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2030))
    for each in critical:
        builder = builder.add_extension(each, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_files_and_records_too_large_for_the_device_are_named():
    large = dataclasses.replace(CREDENTIALS, anchors=(bytes(13000),))
    with pytest.raises(VaultError, match=r"/CREDS/ROOTCA.CRT: \d+ bytes; the device reads fewer than 16384"):
        vault.PLAIN.image(vault.SD, 16 * MIB, large)
    with pytest.raises(VaultError, match=r"OCE1 record: \d+ bytes do not fit its place of 16384"):
        vault.PLAIN.image(vault.EEPROM, 32768, dataclasses.replace(CREDENTIALS, anchors=(bytes(9000), bytes(9000))))


def test_an_open_network_has_no_passphrase():
    page = configuration_page(dataclasses.replace(PROVISIONING, wifi_passphrase=""))
    assert Tag.WIFI_PASSPHRASE not in dict(decode_record(page, b"OCF1"))


def test_credential_files_are_checked_by_name(tmp_path):
    files = {"ca.pem": CA_PEM, "device.pem": DEVICE_PEM, "device.key": key_bytes(DEVICE_KEY, form="TraditionalOpenSSL"),
             "other.key": key_bytes(CA_KEY), "two.pem": CA_PEM + DEVICE_PEM, "text.pem": b"hello",
             "cut.pem": DEVICE_PEM[:200], "p521.key": key_bytes(ec.generate_private_key(ec.SECP521R1())),
             "weak.key": key_bytes(rsa.generate_private_key(65537, 1024)),
             "other.key2": key_bytes(ec.generate_private_key(ec.SECP256R1())),
             "chain.pem": DEVICE_PEM + CA_PEM, "foreign.pem": root(ec.SECP521R1()),
             "mixed.pem": root(ec.SECP521R1()) + CA_PEM,
             "constrained.pem": root(ec.SECP256R1(), x509.NameConstraints([x509.DNSName("test")], None))}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def load(anchors: str, certificate: str, key: str) -> Credentials:
        return Credentials.load(*(Path(tmp_path, name) for name in (anchors, certificate, key)))

    assert load("ca.pem", "device.pem", "device.key") == CREDENTIALS
    assert len(load("two.pem", "device.pem", "device.key").anchors) == 2
    assert load("ca.pem", "chain.pem", "device.key") == load("ca.pem", "two.pem", "device.key") == CREDENTIALS
    assert len(load("mixed.pem", "device.pem", "device.key").anchors) == 2  # the device skips the first by name
    for names, culprit in ((("ca.pem", "device.pem", "other.key"), "other.key: does not belong"),
                           (("ca.pem", "two.pem", "other.key2"), "other.key2: does not belong to any certificate in"),
                           (("foreign.pem", "device.pem", "device.key"), "foreign.pem: the device can use none of"),
                           (("constrained.pem", "device.pem", "device.key"),
                            "constrained.pem: the certificate's extension 2.5.29.30 is critical"),
                           (("text.pem", "device.pem", "device.key"), "text.pem: holds no well-formed X.509"),
                           (("ca.pem", "cut.pem", "device.key"), "cut.pem: holds no well-formed X.509"),
                           (("ca.pem", "device.pem", "text.pem"), "text.pem: holds no well-formed, unencrypted"),
                           (("ca.pem", "device.pem", "p521.key"), "p521.key: the device needs a key of P-256, P-384"),
                           (("ca.pem", "device.pem", "weak.key"), "weak.key: the device needs a key of .* RSA-2048"),
                           (("ca.pem", "none.pem", "device.key"), "none.pem: cannot be read: No such file")):
        with pytest.raises(FactoryError, match=culprit):
            load(*names)


def test_openssl_accepts_the_files_on_the_card(tmp_path):
    for path, content in plain.files(CREDENTIALS.entries()).items():
        Path(tmp_path, Path(path).name).write_bytes(content)
    public = run("openssl", "pkey", "-in", str(tmp_path / "DEVICE.KEY"), "-pubout")
    assert public == run("openssl", "x509", "-in", str(tmp_path / "DEVICE.CRT"), "-noout", "-pubkey")
    assert "CN = CA" in run("openssl", "x509", "-in", str(tmp_path / "ROOTCA.CRT"), "-noout", "-subject")


# carving -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("blob", "form"), [
    (key_bytes(DEVICE_KEY), "pem"), (key_bytes(DEVICE_KEY, form="TraditionalOpenSSL"), "pem"),
    (key_bytes(DEVICE_KEY, "DER"), "pkcs8"), (key_bytes(DEVICE_KEY, "DER", "TraditionalOpenSSL"), "sec1"),
])
def test_keys_are_carved_out_of_noise(blob, form):
    noise = bytes(i * 73 % 251 for i in range(3001))
    keys, _ = carve(noise + blob + noise, "heap")
    assert [(key.form, key.offset, key.where) for key in keys] == [(form, 3001, "heap")]
    assert keys[0].key.private_numbers() == DEVICE_KEY.private_numbers()


#: what AWS IoT hands out, and a larger curve
OTHER_KEYS = {"RSA-2048": rsa.generate_private_key(65537, 2048), "P-384": ec.generate_private_key(ec.SECP384R1())}


@pytest.mark.parametrize("kind", OTHER_KEYS)
@pytest.mark.parametrize(("encoding", "structure"), [("PEM", "PKCS8"), ("PEM", "TraditionalOpenSSL"), ("DER", "PKCS8"),
                                                     ("DER", "TraditionalOpenSSL")])
def test_keys_of_other_kinds_are_carved_too(kind, encoding, structure):
    key = OTHER_KEYS[kind]
    (found,), _ = carve(bytes(300) + key_bytes(key, encoding, structure) + bytes(9), "heap")
    assert found.key.private_numbers() == key.private_numbers() and found.offset == 300
    assert found.form == ("pem" if encoding == "PEM" else "pkcs8" if structure == "PKCS8" else
                          "pkcs1" if kind == "RSA-2048" else "sec1")


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_their_bare_numbers_in_ram(kind, order):
    key = OTHER_KEYS[kind]
    secret = key.private_numbers().q.to_bytes(128, order) if kind == "RSA-2048" else \
        key.private_numbers().private_value.to_bytes(48, order)
    ram = bytes(i * 89 % 256 for i in range(400)) + secret + bytes(500)
    (found,) = carve_numbers(ram, [CA_KEY.public_key(), key.public_key()], "sram")
    assert found.key.public_key() == key.public_key() and found.offset == 400
    assert found.form == ("prime" if kind == "RSA-2048" else "scalar")
    assert carve_numbers(ram, [CA_KEY.public_key(), DEVICE_KEY.public_key()], "sram") == []


def test_keys_made_by_openssl_are_carved():
    text = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True,
                          timeout=20).stdout
    keys, _ = carve(b"\xFF" * 100 + text, "heap")
    assert run("openssl", "ec", "-pubout", data=text) == keys[0].public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def test_broken_key_material_is_not_found():
    text = bytearray(key_bytes(DEVICE_KEY))
    text[80] = ord("!")
    assert carve(bytes(text), "heap") == ([], [])
    assert carve(key_bytes(DEVICE_KEY, "DER")[:60], "heap") == ([], [])
    assert carve(der(DEVICE)[:-1], "heap") == ([], [])
    assert carve(pem("CERTIFICATE", b"no certificate at all, really"), "heap") == ([], [])


@pytest.mark.parametrize("order", ["little", "big"])
def test_bare_scalar_in_ram(order):
    private = DEVICE_KEY.private_numbers().private_value.to_bytes(32, order)
    ram = bytes(1000) + bytes(i * 89 % 256 for i in range(400)) + private + bytes(500)
    (found,) = carve_numbers(ram, [CA_KEY.public_key(), DEVICE_KEY.public_key()], "sram")
    assert found is not None and (found.offset, found.form) == (1400, "scalar")
    assert carve_numbers(ram, [CA_KEY.public_key()], "sram") == []


def test_tags_are_those_of_the_specification():
    rows = [line.split("|") for line in Path(__file__).parents[1].joinpath("SPEC.md").read_text().splitlines()
            if line.startswith("| ") and line.split("|")[1].strip().isdecimal()]
    specified = {int(row[1]): row[2].strip().upper().replace(" ", "_").replace("WI-FI", "WIFI")
                 for row in rows[:len(Tag)]}
    assert specified == {int(tag): tag.name for tag in Tag}
