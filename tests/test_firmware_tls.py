# SPDX-License-Identifier: Apache-2.0
"""TLS, identity and platform code of the firmware over its own Mbed TLS, built for the host, against OpenSSL."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from offchip.pki import Authority, Identity
from offchip.pki.authority import (
    AWS_VALIDITY,
    EXPIRED,
    NOT_YET_VALID,
    _general_names,
    _leaf_extensions,
    self_signed_server,
)
from offchip.scene.secrets import Secret
from tests.host_library import build_host_library

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
MBEDTLS = ROOT / ".cache/mbedtls-3.6.6"
SOURCES = [FIRMWARE / "src/net" / name for name in ("tls.c", "tls_platform.c", "identity.c", "wall_clock.c")]
HOST = "iot.offchip.test"
NOW = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
OK, REFUSED, ALERT, ERROR = range(4)
IDENTITY_OK, CERTIFICATE_MALFORMED, KEY_MALFORMED, ANCHOR_MALFORMED, KEY_MISMATCH = range(5)
TLS12, TLS13 = 1, 2

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None or not MBEDTLS.is_dir(), reason="needs gcc and Mbed TLS")

OPEN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
SEND = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
RECEIVE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32)
CLOSE = ctypes.CFUNCTYPE(None)


@pytest.fixture(scope="session")
def library_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build_host_library()
    path = tmp_path_factory.mktemp("tls") / "tls.so"
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-Bsymbolic",
         f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE}", "-isystem", MBEDTLS / "include", "-isystem", MBEDTLS / "library",
         "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>", ROOT / "tests/firmware_tls/host.c", *SOURCES,
         FIRMWARE / "build/host/libmbedtls.a", "-o", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return path


def sha1_root(folder: Path) -> bytes:
    """A root of the kind older bundles hold, by OpenSSL: cryptography signs with SHA-1 no more."""
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-subj", "/CN=old root",
                           "-days", "9000", "-keyout", folder / "old.key"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def root_of(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, signed: hashes.HashAlgorithm | None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another root")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    root = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2030))
    return root.add_extension(x509.BasicConstraints(True, None), True).sign(key, signed).public_bytes(Encoding.PEM)


def fingerprint(pem: bytes) -> bytes:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest()


@pytest.fixture(scope="module")
def owner() -> Authority:
    return Authority(1)


@pytest.fixture(scope="module")
def device(owner: Authority) -> Identity:
    return owner.issue_device("thing-1")


class Server:
    """OpenSSL at the other end of the modem's stream, in memory."""

    def __init__(self, identity: Identity, trusted: Authority, tmp_path: Path,
                 version: ssl.TLSVersion | None = None, behind: bytes = b"") -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = [tmp_path / "chain.pem", tmp_path / "key.pem"]
        for path, content in zip(files, (identity.chain_pem + behind, identity.key_pem), strict=True):
            path.write_bytes(content)
        context.load_cert_chain(files[0], files[1])
        context.load_verify_locations(cadata=trusted.root.certificate_pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        if version is not None:
            context.minimum_version = context.maximum_version = version
        context.sni_callback = self._hear_name
        self.names: list[str | None] = []
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.open, self.done, self.received = True, False, b""

    def _hear_name(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.names.append(name)

    def take(self, data: bytes) -> None:
        self._in.write(data)
        try:
            if not self.done:
                self.tls.do_handshake()
                self.done = True
            while chunk := self.tls.read(4096):
                self.received += chunk
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.open = False

    def give(self, capacity: int) -> bytes:
        return self._out.read(capacity)


class Spoilt(Server):
    """... whose ServerKeyExchange (RFC 5246, 7.4.3) has a bit of its signature turned; TLS 1.3 has none."""

    spoilt = False

    def give(self, capacity: int) -> bytes:
        if not self._in.pending and (pending := self._out.read()):
            self._out.write(self._spoil(pending))
        return super().give(capacity)

    def _spoil(self, data: bytes) -> bytes:
        at, records = 0, bytearray(data)
        while at + 5 < len(data):
            length = int.from_bytes(data[at + 3:at + 5], "big")
            if data[at] == 22 and data[at + 5] == 12:
                records[at + 4 + length] ^= 1
                self.spoilt = True
            at += 5 + length
        return bytes(records)


class Device:
    """One fresh life of the firmware's TLS code."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.library = ctypes.CDLL(str(path))
        self.library.host_pass_time.argtypes = [ctypes.c_uint64]
        self.library.tls_platform_init.restype = self.library.tls_platform_random_failed.restype = ctypes.c_bool
        self.library.wall_clock_set.restype = ctypes.c_bool
        self.library.tls_version_word.restype = self.library.tls_suite_word.restype = ctypes.c_char_p
        self.library.host_fingerprint.restype = self.library.host_skipped.restype = ctypes.c_void_p
        self.library.host_skipped_count.restype = ctypes.c_size_t
        self.server: Server | None = None
        self.asked: list[tuple[str, int]] = []
        self.closed = 0
        self._calls = (OPEN(self._open), SEND(self._send), RECEIVE(self._receive), CLOSE(self._close))
        self.library.host_set_calls(*self._calls)
        assert self.library.wall_clock_set(NOW)
        assert self.library.tls_platform_init()

    def _open(self, host: bytes, port: int) -> int:
        self.asked.append((host.decode(), port))
        return self.server is not None

    def _send(self, data: int, length: int) -> int:
        assert self.server is not None
        if not self.server.open:
            return 0
        self.server.take(ctypes.string_at(data, length))
        return 1

    def _receive(self, to: int, capacity: int, timeout_ms: int) -> int:
        assert self.server is not None
        data = self.server.give(capacity)
        ctypes.memmove(to, data, len(data))
        return len(data) if data or self.server.open else -1

    def _close(self) -> None:
        self.closed += 1

    def parse(self, anchors: bytes, certificate: bytes, key: bytes) -> int:
        return int(self.library.host_identity_parse(anchors, ctypes.c_size_t(len(anchors)), certificate,
                                                    ctypes.c_size_t(len(certificate)), key, ctypes.c_size_t(len(key))))

    def skipped(self) -> list[bytes]:
        return [ctypes.string_at(self.library.host_skipped(ctypes.c_size_t(number)), 32)
                for number in range(self.library.host_skipped_count())]

    def take_identity(self, owner: Authority, identity: Identity) -> None:
        assert self.parse(owner.root.certificate_der, identity.certificate_der, identity.key_der) == IDENTITY_OK

    def connect(self, versions: int = TLS12 | TLS13, host: str = HOST) -> tuple[int, str]:
        word, alert = ctypes.create_string_buffer(64), ctypes.c_uint8()
        outcome = self.library.host_tls_open(host.encode(), ctypes.c_uint16(8883), ctypes.c_uint8(versions), word,
                                             ctypes.byref(alert))
        return outcome, word.value.decode()

    def send(self, data: bytes) -> tuple[int, str]:
        word, alert = ctypes.create_string_buffer(64), ctypes.c_uint8()
        outcome = self.library.host_tls_send(data, ctypes.c_size_t(len(data)), word, ctypes.byref(alert))
        return outcome, word.value.decode()

    def receive(self, timeout_ms: int = 100) -> tuple[int, bytes, str]:
        to, word, length = ctypes.create_string_buffer(256), ctypes.create_string_buffer(64), ctypes.c_size_t()
        outcome = self.library.host_tls_receive(to, ctypes.c_size_t(256), ctypes.c_uint32(timeout_ms),
                                                ctypes.byref(length), word)
        return outcome, to.raw[:length.value], word.value.decode()

    def memory(self) -> bytes:
        """All variables of the firmware's code and of Mbed TLS, whose heap is one of them."""
        with self.path.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            assert isinstance(table, SymbolTableSection)
            symbols = list(table.iter_symbols())
        known = next(each["st_value"] for each in symbols if each.name == "host_fingerprint")
        base = ctypes.cast(self.library.host_fingerprint, ctypes.c_void_p).value
        assert base is not None
        variables = [each for each in symbols if each["st_info"]["type"] == "STT_OBJECT" and each["st_size"]
                     and each["st_shndx"] != "SHN_UNDEF"]
        assert any(each.name == "arena" for each in variables)
        return b"|".join(ctypes.string_at(base - known + each["st_value"], each["st_size"]) for each in variables)


@pytest.fixture
def life(library_path: Path, tmp_path: Path) -> Iterator[Device]:
    one = Device(Path(shutil.copy(library_path, tmp_path / "tls.so")))
    yield one
    one.library.tls_close()


def scalar(identity: Identity) -> tuple[bytes, bytes]:
    """The private scalar, or a prime, as bytes in both orders; Mbed TLS keeps numbers in words of the host."""
    numbers = identity.key.private_numbers()
    value = numbers.p if isinstance(numbers, rsa.RSAPrivateNumbers) else numbers.private_value
    size = -(-value.bit_length() // 32) * 4
    return value.to_bytes(size, "big"), value.to_bytes(size, "little")


def other_kind(owner: Authority, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Identity:
    """A device whose key is not of P-256."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thing-1")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return Identity(owner.sign_request(request.public_bytes(Encoding.PEM)), key)


#: what AWS IoT hands out, and a larger curve
OTHER_KINDS = pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048),
                                              ec.generate_private_key(ec.SECP384R1())], ids=["RSA-2048", "P-384"])


class TestIdentity:
    def test_parts_that_fit(self, life: Device, owner: Authority, device: Identity) -> None:
        for key in (device.key_der, device.key_sec1_der, device.key_pem + b"\0"):
            assert life.parse(owner.root.certificate_der, device.certificate_der, key) == IDENTITY_OK
            shown = ctypes.string_at(life.library.host_fingerprint(), 32)
            assert shown == hashlib.sha256(device.certificate_der).digest()
            assert any(form in life.memory() for form in scalar(device))
            life.library.host_identity_free()
            assert not any(form in life.memory() for form in scalar(device))  # overwritten, not only given back

    def test_parts_that_do_not(self, life: Device, owner: Authority, device: Identity) -> None:
        anchor, certificate, key = owner.root.certificate_der, device.certificate_der, device.key_der
        other = owner.issue_device("thing-2")
        cases = [
            ((anchor, certificate, other.key_der), KEY_MISMATCH),
            ((anchor, other.certificate_der, key), KEY_MISMATCH),
            ((anchor, certificate, key[:-1]), KEY_MALFORMED), ((anchor, certificate, b""), KEY_MALFORMED),
            ((anchor, certificate[:-1], key), CERTIFICATE_MALFORMED), ((anchor, b"x" * 40, key), CERTIFICATE_MALFORMED),
            ((anchor[:-1], certificate, key), ANCHOR_MALFORMED), ((b"", certificate, key), ANCHOR_MALFORMED),
            ((owner.root.certificate_pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\0",
              certificate, key), ANCHOR_MALFORMED),
        ]
        for parts, expected in cases:
            assert life.parse(*parts) == expected, parts
            life.library.host_identity_free()
            assert not any(form in life.memory() for form in (*scalar(device), *scalar(other)))

    def test_anchors_of_kinds_we_do_not_have_are_skipped_by_name(
            self, life: Device, owner: Authority, device: Identity, tmp_path: Path) -> None:
        strangers = [sha1_root(tmp_path), root_of(ed25519.Ed25519PrivateKey.generate(), None),
                     root_of(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512())]
        good = owner.root.certificate_pem
        for order in ([*strangers, good], [good, *strangers], [strangers[0], good, *strangers[1:]]):
            assert life.parse(b"# a bundle\n" + b"".join(order) + b"\0", device.certificate_der,
                              device.key_der) == IDENTITY_OK
            assert life.skipped() == [fingerprint(each) for each in strangers]
            life.library.host_identity_free()
        for alone in (b"".join(strangers) + b"\0", ssl.PEM_cert_to_DER_cert(strangers[0].decode())):
            assert life.parse(alone, device.certificate_der, device.key_der) == ANCHOR_MALFORMED
            assert life.skipped()[0] == fingerprint(strangers[0])
            life.library.host_identity_free()
        assert life.parse(good + b"\0", device.certificate_der, device.key_der) == IDENTITY_OK
        assert life.skipped() == []

    @OTHER_KINDS
    def test_keys_of_other_kinds(self, life: Device, owner: Authority,
                                 key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        device = other_kind(owner, key)
        for form in (device.key_der, device.key_sec1_der, device.key_pem + b"\0"):
            assert life.parse(owner.root.certificate_der, device.certificate_der, form) == IDENTITY_OK
            assert any(each in life.memory() for each in scalar(device))
            life.library.host_identity_free()
            assert not any(each in life.memory() for each in scalar(device))
        # in an interrupt, where nothing may be given back
        assert life.parse(owner.root.certificate_der, device.certificate_der, device.key_der) == IDENTITY_OK
        life.library.host_identity_erase_key()
        assert not Secret.of_key("the key", device).form_in(life.memory())
        life.library.host_identity_free()

    @pytest.mark.parametrize("key", [ec.derive_private_key(5, ec.SECP521R1()), rsa.generate_private_key(65537, 1024),
                                     rsa.generate_private_key(65537, 3072), ed25519.Ed25519PrivateKey.generate()])
    def test_no_other_keys(self, life: Device, owner: Authority, device: Identity,
                           key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        assert life.parse(owner.root.certificate_der, device.certificate_der, der) == KEY_MALFORMED
        life.library.host_identity_free()


class TestTls:
    @pytest.mark.parametrize(("versions", "word"),
                             [(TLS12, b"TLSv1.2"), (TLS13, b"TLSv1.3"), (TLS12 | TLS13, b"TLSv1.3")])
    def test_a_session(self, life: Device, owner: Authority, device: Identity, tmp_path: Path, versions: int,
                       word: bytes) -> None:
        life.take_identity(owner, device)
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path)
        assert life.connect(versions) == (OK, "ok")
        assert life.asked == [(HOST, 8883)] and life.server.names == [HOST]  # asked for by name, and told the name
        assert life.library.tls_version_word() == word and b"GCM" in life.library.tls_suite_word()
        assert life.send(b"up" * 3000) == (OK, "ok") and life.server.received == b"up" * 3000
        assert life.server.tls.getpeercert(binary_form=True) == device.certificate_der
        life.server.tls.write(b"down")
        assert life.receive() == (OK, b"down", "ok") and life.receive() == (OK, b"", "ok")
        life.library.tls_close()
        assert life.closed == 1

    @pytest.mark.parametrize("versions", [TLS12, TLS13])
    def test_a_root_of_sha1_behind_the_server_s_chain_is_nobody_s_business(
            self, life: Device, owner: Authority, device: Identity, tmp_path: Path, versions: int) -> None:
        life.take_identity(owner, device)
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path, behind=sha1_root(tmp_path))
        assert life.connect(versions) == (OK, "ok")

    @pytest.mark.parametrize(("versions", "spoken"),
                             [(TLS13, ssl.TLSVersion.TLSv1_2), (TLS12, ssl.TLSVersion.TLSv1_3)])
    def test_no_session_in_a_version_that_is_not_offered(self, life: Device, owner: Authority, device: Identity,
                                                         tmp_path: Path, versions: int,
                                                         spoken: ssl.TLSVersion) -> None:
        life.take_identity(owner, device)
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path, spoken)
        assert life.connect(versions)[0] != OK and not life.server.done

    @pytest.mark.parametrize(("versions", "spoken"), [
        (TLS12 | TLS13, ssl.TLSVersion.TLSv1_2), (TLS12 | TLS13, ssl.TLSVersion.TLSv1_3),
        (TLS12, ssl.TLSVersion.TLSv1_2), (TLS13, ssl.TLSVersion.TLSv1_3)])
    def test_a_server_with_an_rsa_key_that_speaks_one_version(self, life: Device, tmp_path: Path, versions: int,
                                                              spoken: ssl.TLSVersion) -> None:
        """RFC 8446, 4.2.3: who offers RSA-PSS takes it in TLS 1.2, too, and looks at the signature."""
        owner = Authority(1, keys="rsa")
        life.take_identity(owner, owner.issue_device("thing-1"))
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path, spoken)
        assert life.connect(versions) == (OK, "ok") and life.send(b"up") == (OK, "ok")
        life.library.tls_close()
        life.server = Spoilt(owner.issue_server([HOST]), owner, tmp_path, spoken)
        assert life.connect(versions)[0] == (REFUSED if spoken is ssl.TLSVersion.TLSv1_2 else OK)
        assert life.server.spoilt is (spoken is ssl.TLSVersion.TLSv1_2)

    @pytest.mark.parametrize("versions", [TLS12, TLS13])
    @OTHER_KINDS
    def test_a_session_of_a_device_with_another_kind_of_key(
            self, life: Device, owner: Authority, tmp_path: Path, versions: int,
            key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        device = other_kind(owner, key)
        life.take_identity(owner, device)
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path)
        assert life.connect(versions) == (OK, "ok") and life.send(b"up") == (OK, "ok")
        assert life.server.tls.getpeercert(binary_form=True) == device.certificate_der

    def test_servers_that_must_not_be_believed(self, library_path: Path, owner: Authority, device: Identity,
                                               tmp_path: Path) -> None:
        use = _leaf_extensions(ExtendedKeyUsageOID.CLIENT_AUTH, _general_names([HOST]))
        of_a_client = owner._make("client", HOST, owner._issuer, AWS_VALIDITY, use)
        cases = [(Authority(2, "somebody else").issue_server([HOST]), "untrusted-ca"),
                 (self_signed_server(1, [HOST]), "untrusted-ca"), (of_a_client, "bad-certificate"),
                 (owner.issue_server(["other.offchip.test"]), "host-name"),
                 (owner.issue_server([HOST], *EXPIRED), "expired"),
                 (owner.issue_server([HOST], *NOT_YET_VALID), "not-yet-valid")]
        for number, (identity, reason) in enumerate(cases):
            for versions in (TLS12, TLS13):
                path = shutil.copy(library_path, tmp_path / f"tls-{number}-{versions}.so")
                life = Device(Path(path))
                life.take_identity(owner, device)
                for attempt in range(2):
                    life.server = Server(identity, owner, tmp_path)
                    assert life.connect(versions) == (REFUSED, reason), (reason, versions, attempt)
                    life.library.tls_close()
                    assert life.server.received == b""
                assert life.closed == 2

    @pytest.mark.parametrize("versions", [TLS12, TLS13])
    def test_a_server_is_verified_and_named_for_ever(self, life: Device, owner: Authority, device: Identity,
                                                     tmp_path: Path, versions: int) -> None:
        life.take_identity(owner, device)
        good, bad = owner.issue_server([HOST]), Authority(2, "somebody else").issue_server([HOST])
        for attempt in range(40):
            life.server = Server(good if attempt % 4 == 3 else bad, owner, tmp_path)
            expected = (OK, "ok") if attempt % 4 == 3 else (REFUSED, "untrusted-ca")
            assert life.connect(versions) == expected, attempt
            assert life.server.names == [HOST], attempt
            life.library.tls_close()

    def test_time_decides_about_certificates(self, life: Device, owner: Authority, device: Identity,
                                             tmp_path: Path) -> None:
        identity = owner.issue_server([HOST], datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC))
        life.take_identity(owner, device)
        life.server = Server(identity, owner, tmp_path)
        assert life.connect() == (OK, "ok")
        life.library.tls_close()
        life.library.host_pass_time(36 * 3600 * 1_000_000)  # the clock runs on by itself
        life.server = Server(identity, owner, tmp_path)
        assert life.connect() == (REFUSED, "expired")

    def test_the_server_says_no(self, life: Device, owner: Authority, tmp_path: Path) -> None:
        stranger = Authority(3, "stranger").issue_device("thing-1")
        life.take_identity(owner, stranger)
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path)
        assert life.connect(TLS12) == (ALERT, "unknown_ca")
        life.library.tls_close()
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path)
        outcome = life.connect(TLS13)  # 1.3: the refusal comes behind the client's last flight
        if outcome == (OK, "ok"):
            outcome = life.send(b"hello")
        assert outcome == (ALERT, "unknown_ca")

    def test_nobody_there_and_nobody_answering(self, life: Device, owner: Authority, device: Identity,
                                               tmp_path: Path) -> None:
        life.take_identity(owner, device)
        assert life.connect() == (ERROR, "unreachable")
        life.library.tls_close()
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path)
        life.server.take = lambda data: None  # type: ignore[method-assign]
        assert life.connect() == (ERROR, "timeout")
        life.library.tls_close()
        life.server = Server(owner.issue_server([HOST]), owner, tmp_path)
        life.server.give = lambda capacity: b"HTTP/1.1 400 Bad Request\r\n"  # type: ignore[method-assign]
        assert life.connect() == (REFUSED, "protocol")


class TestPlatform:
    def test_a_failing_generator_is_not_papered_over(self, life: Device, owner: Authority, device: Identity,
                                                     tmp_path: Path) -> None:
        life.take_identity(owner, device)
        assert not life.library.tls_platform_random_failed()
        life.library.mbedtls_psa_crypto_free()
        life.library.host_break_rng(True)
        assert not life.library.tls_platform_init()
        assert life.library.tls_platform_random_failed()
        life.library.host_break_rng(False)
        assert life.library.tls_platform_init()
        assert not life.library.tls_platform_random_failed()

    def test_entropy_is_all_or_nothing(self, life: Device) -> None:
        to, filled = ctypes.create_string_buffer(64), ctypes.c_size_t(99)
        assert life.library.mbedtls_hardware_poll(None, to, ctypes.c_size_t(64), ctypes.byref(filled)) == 0
        assert filled.value == 64 and len(set(to.raw)) > 16
        life.library.host_break_rng(True)
        assert life.library.mbedtls_hardware_poll(None, to, ctypes.c_size_t(64), ctypes.byref(filled)) != 0
        assert filled.value == 0 and life.library.tls_platform_random_failed()

    def test_time_is_the_device_s(self, life: Device) -> None:
        life.library.time.restype = ctypes.c_long
        also = ctypes.c_long()
        assert life.library.time(ctypes.byref(also)) == NOW == also.value
        life.library.host_pass_time(90_000_000)
        assert life.library.time(None) == NOW + 90
