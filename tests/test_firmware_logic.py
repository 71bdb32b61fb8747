# SPDX-License-Identifier: Apache-2.0
"""The pure logic of the firmware (FAT, TLV, configuration, credentials, formatting), built with the host's compiler.

Images are made by mkfs.vfat and mtools, as a PC would write them; damaged ones must give an error word of SPEC
section 6, never a crash, an access out of bounds (AddressSanitizer) or an endless walk.
"""

import ctypes
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host_library import build_host_library

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [*sorted((ROOT / "firmware/src/storage").glob("*.c")), *sorted((ROOT / "firmware/src/vault").glob("*.c")),
           ROOT / "firmware/src/board/format.c"]
FIRMWARE = ROOT / "firmware"
MBEDTLS = ROOT / ".cache/mbedtls-3.6.6/include"
BLOCK = 512
FILES = {"ROOTCA.CRT": b"A" * 1500 + b"\n", "DEVICE.CRT": bytes(range(32, 127)) * 7, "DEVICE.KEY": b"k" * 512}
# blocks a reading may cost at most: 1024 of a directory and as many of the FAT, for two levels, and the file itself
MOST_BLOCKS = 2 * 2 * 1024 + 100

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs the host's gcc")


def call(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("harness") / "harness"
    build_host_library()
    call("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror",
         "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE}",
         "-isystem", MBEDTLS, "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>",
         ROOT / "tests/firmware_logic/harness.c", *SOURCES, FIRMWARE / "build/host/libmbedtls.a",
         "-o", program)
    return program


def test_wiping_leaves_nothing_and_touches_nothing_else(tmp_path: Path) -> None:
    library = tmp_path / "wipe.so"
    call("gcc", "-std=gnu11", "-O2", "-shared", "-fPIC", f"-I{FIRMWARE / 'src'}", FIRMWARE / "src/storage/wipe.c",
         "-o", library)
    wipe = ctypes.CDLL(str(library)).wipe
    for length in (0, 1, 7, 8, 9, 31, 32, 33, 512):
        data = ctypes.create_string_buffer(b"\xA5" * 528, 528)
        wipe(ctypes.byref(data, 8), ctypes.c_size_t(length))
        assert data.raw == b"\xA5" * 8 + bytes(length) + b"\xA5" * (520 - length)


def make_image(path: Path, size: int, bits: int, cluster_blocks: int, partition_start: int = 0) -> Path:
    """A card of ``size`` bytes with the credential files of SPEC section 4, after 40 others; fragmented."""
    volume = path.with_suffix(".vol")
    with volume.open("wb") as file:
        file.truncate(size - partition_start * BLOCK)
    call("/usr/sbin/mkfs.vfat", "-F", bits, "-s", cluster_blocks, "-h", partition_start, volume)
    source = path.parent / "source"
    source.mkdir(exist_ok=True)
    call("mmd", "-i", volume, "::CREDS", "::CREDS/OTHER")
    # fill, then free every other file: what is copied next lies in pieces
    for i in range(40):
        (source / f"F{i}").write_bytes(b"f" * 600)
    call("mcopy", "-i", volume, *(source / f"F{i}" for i in range(40)), "::CREDS")
    call("mdel", "-i", volume, *(f"::CREDS/F{i}" for i in range(0, 40, 2)))
    for name, content in FILES.items():
        (source / name).write_bytes(content)
        call("mcopy", "-i", volume, source / name, "::CREDS")
    (source / "EMPTY").write_bytes(b"")
    call("mcopy", "-i", volume, source / "EMPTY", "::")
    image = volume.read_bytes()
    if partition_start:
        kind = 0x06 if bits == 16 else 0x83  # a type that is wrong
        entry = struct.pack("<8B2I", 0, 0, 0, 0, kind, 0, 0, 0, partition_start, len(image) // BLOCK)
        other = struct.pack("<8B2I", 0, 0, 0, 0, 0x83, 0, 0, 0, 1, 1)
        table = (other + entry).ljust(64, b"\0") + b"\x55\xaa"
        image = bytes.fromhex("EB6390").ljust(446, b"\0") + table + bytes((partition_start - 1) * BLOCK) + image
    path.write_bytes(image)
    volume.unlink()
    return path


KINDS = {
    "fat16": (8 << 20, 16, 2, 0),
    "fat16-mbr": (16 << 20, 16, 4, 2048),
    "fat32": (40 << 20, 32, 1, 0),
    "fat32-mbr": (36 << 20, 32, 1, 63),
}


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    return {name: make_image(folder / f"{name}.img", *kind) for name, kind in KINDS.items()}


def read(harness: Path, image: Path, path: str, capacity: int = 4096) -> tuple[str, bytes]:
    word, _, content = call(harness, "read", image, path, capacity).strip().partition(" ")
    return word, bytes.fromhex(content)


def damaged(image: Path, tmp_path: Path, change: Callable[[bytearray], None]) -> Path:
    content = bytearray(image.read_bytes())
    change(content)
    copy = tmp_path / "damaged.img"
    copy.write_bytes(content)
    return copy


def layout(content: bytes, start: int = 0) -> dict[str, int]:
    """Offsets in bytes of a FAT16 volume's parts."""
    boot = content[start:start + BLOCK]
    reserved, copies, entries = struct.unpack_from("<HBH", boot, 14)
    small = struct.unpack_from("<H", boot, 22)[0]
    fat = start + reserved * BLOCK
    root = fat + copies * small * BLOCK
    return {"fat": fat, "root": root, "data": root + entries * 32, "cluster": boot[13] * BLOCK}


class TestFat:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", FILES)
    def test_reads_what_a_pc_wrote(self, harness: Path, images: dict[str, Path], kind: str, name: str) -> None:
        assert read(harness, images[kind], f"/CREDS/{name}") == ("ok", FILES[name])

    @pytest.mark.parametrize("kind", KINDS)
    def test_paths(self, harness: Path, images: dict[str, Path], kind: str) -> None:
        image = images[kind]
        assert read(harness, image, "creds/device.key") == ("ok", FILES["DEVICE.KEY"])
        assert read(harness, image, "/EMPTY") == ("ok", b"")
        for path in ("/CREDS/NONE.KEY", "/NONE/DEVICE.KEY", "/CREDS", "/", "", "/EMPTY/X", "/CREDS/TOOLONGNAME.KEY",
                     "/CREDS/DEVICE.KEYS", "/CREDS/DEVICE.K.Y", "/CREDS/.KEY", "/CREDS/OTHER/DEVICE.KEY", "/CREDS/F0"):
            assert read(harness, image, path) == ("file-missing", b""), path

    def test_capacity_is_exact(self, harness: Path, images: dict[str, Path]) -> None:
        size = len(FILES["ROOTCA.CRT"])
        assert read(harness, images["fat16"], "/CREDS/ROOTCA.CRT", size)[0] == "ok"
        assert read(harness, images["fat16"], "/CREDS/ROOTCA.CRT", size - 1) == ("file-too-large", b"")

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("offset", "length"), [(0, 1), (511, 2), (100, 1401), (1024, 477), (1500, 1), (0, 1501)])
    def test_changes_bytes_in_place(self, harness: Path, images: dict[str, Path], tmp_path: Path, kind: str,
                                    offset: int, length: int) -> None:
        image = damaged(images[kind], tmp_path, lambda content: None)
        fresh = bytes((7 * i + 1) % 256 for i in range(length))
        assert call(harness, "write", image, "/CREDS/ROOTCA.CRT", offset, fresh.hex()).strip() == "ok"
        old = FILES["ROOTCA.CRT"]
        assert read(harness, image, "/CREDS/ROOTCA.CRT") == ("ok", old[:offset] + fresh + old[offset + length:])
        changed = sum(a != b for a, b in zip(image.read_bytes(), images[kind].read_bytes(), strict=True))
        assert changed <= length  # nothing outside the file, not even in its directory entry

    def test_never_makes_a_file_longer(self, harness: Path, images: dict[str, Path], tmp_path: Path) -> None:
        image = damaged(images["fat16"], tmp_path, lambda content: None)
        for offset in (1500, 1501, 1 << 31):
            assert call(harness, "write", image, "/CREDS/ROOTCA.CRT", offset, "0000").strip() == "file-too-large"
        assert image.read_bytes() == images["fat16"].read_bytes()

    @pytest.mark.parametrize("content", [b"", bytes(BLOCK), b"\xff" * 4096, bytes(510) + b"\x55\xaa"],
                             ids=["nothing", "zeros", "ones", "signature"])
    def test_no_filesystem(self, harness: Path, tmp_path: Path, content: bytes) -> None:
        image = tmp_path / "blank.img"
        image.write_bytes(content)
        assert read(harness, image, "/CREDS/DEVICE.KEY") == ("no-filesystem", b"")

    @pytest.mark.parametrize(("offset", "value"), [
        (11, b"\0\4"), (13, b"\0"), (13, b"\3"), (14, b"\0\0"), (16, b"\0"), (16, b"\7"), (22, b"\xff\xff"),
        (22, b"\1\0"), (22, b"\0\0"), (19, b"\xff\xff"), (19, b"\x10\0"), (510, b"\0")], ids=str)
    def test_impossible_boot_sector(self, harness: Path, images: dict[str, Path], tmp_path: Path, offset: int,
                                    value: bytes) -> None:
        def change(content: bytearray) -> None:
            content[offset:offset + len(value)] = value
        assert read(harness, damaged(images["fat16"], tmp_path, change), "/CREDS/DEVICE.KEY")[0] == "no-filesystem"

    def test_volume_longer_than_card(self, harness: Path, images: dict[str, Path], tmp_path: Path) -> None:
        image = damaged(images["fat16"], tmp_path, lambda content: content.__delitem__(slice(1 << 20, None)))
        assert read(harness, image, "/CREDS/DEVICE.KEY")[0] == "no-filesystem"

    def test_partition_beyond_card(self, harness: Path, images: dict[str, Path], tmp_path: Path) -> None:
        def change(content: bytearray) -> None:
            content[446 + 16 + 8:446 + 16 + 12] = b"\xf0\xff\xff\xff"
        assert read(harness, damaged(images["fat16-mbr"], tmp_path, change), "/CREDS/DEVICE.KEY")[0] == "no-filesystem"

    def test_directory_chain_in_a_loop(self, harness: Path, images: dict[str, Path], tmp_path: Path) -> None:
        """A directory without end mark whose only cluster names itself as the next."""
        def change(content: bytearray) -> None:
            at = layout(content)
            entry = content.index(b"CREDS      ", at["root"])
            cluster = struct.unpack_from("<H", content, entry + 26)[0]
            struct.pack_into("<H", content, at["fat"] + 2 * cluster, cluster)
            where = at["data"] + (cluster - 2) * at["cluster"]
            content[where:where + at["cluster"]] = b"X" * at["cluster"]
        assert read(harness, damaged(images["fat16"], tmp_path, change), "/CREDS/DEVICE.KEY")[0] == "no-filesystem"

    @pytest.mark.parametrize("link", [0, 1, 0xFFF7, 0xFFFF, 0xFF00])
    def test_file_chain_that_ends_early(self, harness: Path, images: dict[str, Path], tmp_path: Path,
                                         link: int) -> None:
        def change(content: bytearray) -> None:
            at = layout(content)
            entry = content.index(b"ROOTCA  CRT")
            cluster = struct.unpack_from("<H", content, entry + 26)[0]
            struct.pack_into("<H", content, at["fat"] + 2 * cluster, link)
        assert read(harness, damaged(images["fat16"], tmp_path, change), "/CREDS/ROOTCA.CRT")[0] == "no-filesystem"

    @pytest.mark.parametrize("kind", KINDS)
    def test_fuzzed_metadata(self, harness: Path, images: dict[str, Path], kind: str) -> None:
        output = call(harness, "fuzz", images[kind], "/CREDS/ROOTCA.CRT", 4711, 4000)
        words = dict(part.split("=") for part in output.split())
        assert int(words.pop("most-blocks")) <= MOST_BLOCKS
        assert set(words) <= {"ok", "no-filesystem", "file-missing", "file-too-large"}
        assert int(words["no-filesystem"]) > 50 and int(words["ok"]) > 100, "the damage must reach what is read"


def tlv(*entries: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<HH", tag, len(value)) + value + b"\xff" * (-len(value) % 4) for tag, value in entries)


def record(area: bytes, magic: bytes = b"OCF1", version: int = 1) -> bytes:
    body = magic + struct.pack("<HH", version, len(area)) + area
    return body + struct.pack("<I", zlib.crc32(body))


PORT = struct.pack("<H", 8883)
BASE = [(3, b"thing-1"), (5, b"broker.example"), (6, PORT), (7, b"dev/thing-1/a"), (7, b"dev/thing-1/b")]
SECRETS = [(9, b"anchor-one"), (9, b"anchor-two!"), (10, b"certificate"), (11, b"private key")]
INTERNAL = [(1, b"\0"), (2, b"\0"), *BASE, *SECRETS]
PLAIN = [(1, b"\1"), (2, b"\1"), *BASE]


def blob(name: str, value: bytes) -> str:
    return f"{name}={len(value)}:{zlib.crc32(value):08x}"


BLOBS = [blob(name, value)
         for name, (_, value) in zip(("anchor", "anchor", "certificate", "key"), SECRETS, strict=True)]


@pytest.fixture
def page(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "page.bin"
        path.write_bytes(content)
        return path
    return write


class TestConfig:
    def parse(self, harness: Path, path: Path) -> list[str]:
        return call(harness, "config", path).splitlines()

    def test_internal_page(self, harness: Path, page: Callable[[bytes], Path]) -> None:
        extra = [(12, b"time.example"), (13, struct.pack("<I", 250)), (14, struct.pack("<H", 30)), (15, b"\2"),
                 (16, b"lab"), (17, b"pass word"), (8, b"cmd/#"), (4, b"client"), (77, b"unknown"), (0xFFFF, b"")]
        lines = self.parse(harness, page(record(tlv(*INTERNAL, *extra)).ljust(16384, b"\xff")))
        assert lines == [
            "result=ok field=0", "scheme=internal medium=none",
            "thing=thing-1 client=client host=broker.example port=8883 sntp=time.example",
            "publish=dev/thing-1/a", "publish=dev/thing-1/b", "subscribe=cmd/#",
            "interval=250 keepalive=30 tls=2 ssid=lab pass=pass word",
            *BLOBS]

    def test_defaults(self, harness: Path, page: Callable[[bytes], Path]) -> None:
        lines = self.parse(harness, page(record(tlv(*PLAIN))))
        assert lines[1:3] == ["scheme=plain medium=sd",
                              "thing=thing-1 client=thing-1 host=broker.example port=8883 sntp="]
        assert "interval=5000 keepalive=60 tls=3 ssid= pass=" in lines

    def test_record_errors(self, harness: Path, page: Callable[[bytes], Path]) -> None:
        good = record(tlv(*INTERNAL))
        flipped = bytearray(good)
        flipped[20] ^= 1
        for content, word in ((b"\xff" * 16384, "missing"), (b"", "missing"), (good[:11], "missing"),
                              (record(tlv(*INTERNAL), version=2), "version"), (bytes(flipped), "crc"),
                              (good[:-1], "crc"), (good[:6] + b"\xff\xff" + good[8:], "crc")):
            assert self.parse(harness, page(content)) == [f"result={word} field=0"]

    @pytest.mark.parametrize(("entries", "field"), [
        (INTERNAL[1:], 1), ([(1, b"\x63"), *INTERNAL[1:]], 1), ([(1, b"\0\0"), *INTERNAL[1:]], 1),
        ([*INTERNAL, (1, b"\0")], 1), ([(1, b"\1"), (2, b"\0"), *BASE], 2), ([(1, b"\1"), (2, b"\3"), *BASE], 2),
        ([(1, b"\1"), *BASE], 2), ([*PLAIN, (11, b"key")], 11), ([e for e in INTERNAL if e[0] != 9], 9),
        ([e for e in INTERNAL if e[0] != 11], 11), ([*INTERNAL, (11, b"second")], 11),
        ([e for e in INTERNAL if e[0] != 7], 7), ([*INTERNAL, *[(7, b"t")] * 7], 7),
        ([*INTERNAL, (7, b"t" * 257)], 7), ([*INTERNAL, (4, b"")], 4),
        ([*INTERNAL, (4, b"a\r\nboot: x")], 4),
        ([*INTERNAL, (4, b"c" * 129)], 4), ([*INTERNAL, (16, b"s\0x")], 16), ([*INTERNAL, (15, b"\0")], 15),
        ([*INTERNAL, (15, b"\4")], 15), ([*INTERNAL, (13, bytes(4))], 13), ([*INTERNAL, (14, b"\1")], 14),
        ([*PLAIN[:4], (6, b"\0\0"), (7, b"t")], 6), ([*INTERNAL, *[(9, b"a")] * 7], 9)])
    def test_field_errors(self, harness: Path, page: Callable[[bytes], Path], entries: list[tuple[int, bytes]],
                          field: int) -> None:
        assert self.parse(harness, page(record(tlv(*entries)))) == [f"result=field field={field}"]

    @pytest.mark.parametrize(("tail", "field"), [
        (b"\7", 0), (b"\4\0\5\0abc\xff", 4), (b"\4\0\xff\xff", 4), (b"\4\0\3\0abc", 4)])
    def test_entry_beyond_the_area(self, harness: Path, page: Callable[[bytes], Path], tail: bytes,
                                   field: int) -> None:
        assert self.parse(harness, page(record(tlv(*INTERNAL) + tail))) == [f"result=field field={field}"]

    def test_fuzzed_area(self, harness: Path, page: Callable[[bytes], Path]) -> None:
        output = call(harness, "config-fuzz", page(record(tlv(*INTERNAL))), 42, 50000)
        words = dict(part.split("=") for part in output.split())
        assert words["other"] == "0" and int(words["ok"]) > 100 and int(words["field"]) > 100


class TestCredentials:
    def load(self, harness: Path, page: Path, medium: object) -> list[str]:
        return call(harness, "credentials", page, medium).splitlines()

    def test_internal(self, harness: Path, page: Callable[[bytes], Path]) -> None:
        lines = self.load(harness, page(record(tlv(*INTERNAL))), "absent")
        assert lines == ["result=ok", "source=internal", *BLOBS]

    def test_sd_card(self, harness: Path, page: Callable[[bytes], Path], images: dict[str, Path]) -> None:
        lines = self.load(harness, page(record(tlv(*PLAIN))), images["fat16-mbr"])
        files = {name: content + b"\0" for name, content in FILES.items()}
        assert lines == ["storage: sd type=SDSC blocks=32768", "result=ok", "source=sd",
                         blob("anchor", files["ROOTCA.CRT"]),
                         blob("certificate", files["DEVICE.CRT"]), blob("key", files["DEVICE.KEY"])]

    def test_sd_card_errors(self, harness: Path, page: Callable[[bytes], Path], images: dict[str, Path],
                            tmp_path: Path) -> None:
        config = page(record(tlv(*PLAIN)))
        assert self.load(harness, config, "absent")[0] == "storage: error no-card"
        blank = tmp_path / "blank.img"
        blank.write_bytes(bytes(1 << 16))
        assert self.load(harness, config, blank)[1] == "storage: error no-filesystem"
        image = tmp_path / "card.img"
        image.write_bytes(images["fat16"].read_bytes())
        call("mdel", "-i", image, "::CREDS/DEVICE.KEY")
        assert self.load(harness, config, image)[1] == "storage: error file-missing DEVICE.KEY"
        (tmp_path / "DEVICE.KEY").write_bytes(b"k" * 2048)
        call("mcopy", "-i", image, tmp_path / "DEVICE.KEY", "::CREDS")
        assert self.load(harness, config, image)[1] == "storage: error file-too-large DEVICE.KEY"

    def test_eeprom(self, harness: Path, page: Callable[[bytes], Path], tmp_path: Path) -> None:
        config = page(record(tlv((1, b"\1"), (2, b"\2"), *BASE)))
        medium = tmp_path / "eeprom.bin"
        good = record(tlv(*SECRETS), b"OCE1")

        def load(content: bytes) -> list[str]:
            medium.write_bytes(content.ljust(32768, b"\xff"))
            return self.load(harness, config, medium)

        assert load(good) == ["storage: eeprom bytes=32768", "result=ok", "source=eeprom", *BLOBS]
        assert self.load(harness, config, "absent") == ["storage: error eeprom-absent", "result=eeprom-absent"]
        for content, reason in (
            (b"", "record-magic"), (record(tlv(*SECRETS)), "record-magic"),
            (record(tlv(*SECRETS), b"OCE1", 9), "record-magic"),
            (good[:-1], "record-crc"), (good[:6] + b"\xf0\xff" + good[8:], "record-crc"),
            (good[:20] + b"?" + good[21:], "record-crc"), (record(tlv(*SECRETS[:3]), b"OCE1"), "record-field 11"),
            (record(tlv(*SECRETS[2:]), b"OCE1"), "record-field 9"),
            (record(tlv(*SECRETS, (10, b"x")), b"OCE1"), "record-field 10"),
            (record(tlv(*SECRETS[:3], (11, b"")), b"OCE1"), "record-field 11"),
            (record(tlv(*SECRETS) + b"\x0c\0\x40\0", b"OCE1"), "record-field 12"),
        ):
            assert load(content)[1] == f"storage: error {reason}"


def test_formats_like_the_c_library(harness: Path) -> None:
    assert call(harness, "format") == "differences=0\n"
