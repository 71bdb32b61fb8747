# SPDX-License-Identifier: Apache-2.0
"""A cell's captures, read by tools that know nothing of the lab: sigrok-cli, tshark, gzip."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from offchip import vault
from offchip.captures import Recorder
from offchip.captures.keep import Keeper, Wanted, shown
from offchip.engines.embedded.peripherals.sd_card import SdCardSpi
from offchip.paths import FIRMWARE
from offchip.scene import HOST, Defence, Device, Scene

needs_sigrok = pytest.mark.skipif(not shutil.which("sigrok-cli"), reason="sigrok-cli is not installed (scripts/setup "
                                  "--test gets it on Debian)")
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed (scripts/setup --test "
                                  "gets it on Debian)")


@dataclass
class Captured:
    """What one boot left, and what the models themselves noted."""

    folder: Path
    names: list[str]
    timeline: list[dict[str, Any]]
    commands: list[tuple[int, int]]
    instructions: int
    scene: Scene
    device: Device
    attacker: list[Any]

    def file(self, suffix: str) -> Path:
        (name,) = [each for each in self.names if each.endswith(suffix)]
        return self.folder / name


def boot(folder: Path, scheme: str, medium: str, watched: bool = True) -> Iterator[Captured]:
    commands: list[tuple[int, int]] = []
    execute = SdCardSpi._execute

    def noted(self: SdCardSpi, frame: bytes) -> None:
        commands.append((frame[0] & 0x3F, int.from_bytes(frame[1:5], "big")))
        execute(self, frame)

    with Recorder() as recorder:
        scene = Scene(seed=7)
        device = scene.build(defence=Defence(vault.scheme(scheme), vault.medium(medium)), elf=FIRMWARE)
        board = device.board
        if watched:
            recorder.watch(scene, device)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SdCardSpi, "_execute", noted)
            board.power_on()
            board.run(0.002)
            board.spi_tap.record()  # an attacker listens, too, from the middle of the boot
            board.console.wait_for("mqtt: published.*offchip/feed seq=1")
        attacker = board.spi_tap.drain()
        names = recorder.save(folder, "cell")
        yield Captured(folder, names, recorder.timeline(), commands, board.engine.instructions, scene, device, attacker)
        scene.close()


@pytest.fixture(scope="module")
def plain_sd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captured]:
    yield from boot(tmp_path_factory.mktemp("sd"), "plain", "sd")


@pytest.fixture(scope="module")
def fresh_eeprom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captured]:
    yield from boot(tmp_path_factory.mktemp("eeprom"), "fresh", "eeprom")


def decoded(capture: Path, stack: str, wanted: str, skip: int = -1) -> str:
    """What sigrok's decoders make of a capture, from tick ``skip`` on."""
    return subprocess.run(["sigrok-cli", "-i", str(capture), "-I", f"vcd:compress=1000:skip={skip}", "-P", stack, "-A",
                           wanted], capture_output=True, text=True, check=True, timeout=120).stdout


@needs_sigrok
def test_sigrok_reads_the_commands_the_card_executed(plain_sd: Captured) -> None:
    capture, wires = plain_sd.file(".vcd"), "spi:clk=SCK:mosi=MOSI:miso=MISO:cs=CS"
    transfers = [bytes.fromhex(line.partition(": ")[2]) for line in
                 decoded(capture, wires, "spi=mosi-transfer").splitlines()]
    sent = [(each[1] & 0x3F, int.from_bytes(each[2:6], "big")) for each in transfers if len(each) > 6]
    assert len(plain_sd.commands) > 20 and sent == plain_sd.commands
    # sdcard_spi of libsigrokdecode 0.5 loses its thread behind the first block it has read: start it at each anew
    starts = [int(tick) for tick in re.findall(r"^#(\d+)\n(?:[01].\n)*0!$", capture.read_text(), re.MULTILINE)]
    starts = [tick for tick, each in zip(starts, transfers, strict=True) if len(each) > 6]
    reads = [number for number, (command, _) in enumerate(sent) if command == 17]
    read: list[tuple[int, int]] = []
    for first in [0, *(number + 1 for number in reads if number + 1 < len(sent))]:
        text = decoded(capture, f"{wires},sdcard_spi", "sdcard_spi", starts[first] - 2)
        found = [(int(number), int(argument, 16)) for number, argument in
                 re.findall(r"Command: A?CMD(\d+).*?Argument: (0x[0-9a-f]+)", text, re.DOTALL)]
        upto = next((at for at, (command, _) in enumerate(found) if command == 17), len(found) - 1) + 1
        read += found[:upto]
        assert f"Read a block from address 0x{found[upto - 1][1]:04x}" in text
    assert read == plain_sd.commands


@needs_sigrok
def test_sigrok_reads_from_the_bus_what_the_eeprom_holds_afterwards(fresh_eeprom: Captured) -> None:
    text = decoded(fresh_eeprom.file(".vcd"), "i2c:scl=SCL:sda=SDA,eeprom24xx:chip=onsemi_cat24c256", "eeprom24xx")
    image = bytearray(gzip.decompress(fresh_eeprom.file("before.img.gz").read_bytes()))
    after = gzip.decompress(fresh_eeprom.file("after.img.gz").read_bytes())
    written = 0
    for kind, address, values in re.findall(r"(write|read) \(addr=([0-9A-F]+), \d+ bytes?\): ([0-9A-F ]+)", text):
        data, at = bytes.fromhex(values), int(address, 16)
        if kind == "write":
            image[at:at + len(data)] = data
            written += len(data)
        else:
            assert image[at:at + len(data)] == data
    assert written > 500 and bytes(image) == after == fresh_eeprom.device.board.eeprom.image


@needs_tshark
def test_tshark_decrypts_the_modems_connection_to_mqtt(plain_sd: Captured) -> None:
    capture = plain_sd.file(".pcapng")
    told = subprocess.run(["tshark", "-r", str(capture), "-Y", "mqtt", "-T", "fields", "-e", "mqtt.msgtype", "-e",
                           "mqtt.clientid", "-e", "mqtt.topic"], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[:4] == ["1\tthing-1\t", "2\t\t", "3\t\toffchip/things/thing-1", "4\t\t"]
    asked = subprocess.run(["tshark", "-r", str(capture), "-o", "tcp.check_checksum:TRUE", "-o",
                            "ip.check_checksum:TRUE", "-Y", "tcp.checksum.status==0 or ip.checksum.status==0 or "
                            "tcp.analysis.flags or _ws.malformed"], capture_output=True, text=True, check=True).stdout
    assert asked == "", "no packet that a receiver would not take"
    names = subprocess.run(["tshark", "-r", str(capture), "-Y", "tls.handshake.type==1", "-T", "fields", "-e",
                            "tls.handshake.extensions_server_name"], capture_output=True, text=True, check=True).stdout
    assert names.split() == [HOST]


def test_the_media_are_kept_as_they_were_and_as_they_are(fresh_eeprom: Captured, plain_sd: Captured) -> None:
    card = plain_sd.device.board.sd.image
    assert gzip.decompress(plain_sd.file("sd.before.img.gz").read_bytes()) == card
    assert gzip.decompress(plain_sd.file("sd.after.img.gz").read_bytes()) == card
    assert not any("eeprom" in name for name in plain_sd.names)


def test_the_story_is_told_on_one_clock(plain_sd: Captured, fresh_eeprom: Captured) -> None:
    for each in (plain_sd, fresh_eeprom):
        times = [moment["time_ns"] for moment in each.timeline]
        assert times == sorted(times)
        lanes = {moment["lane"] for moment in each.timeline}
        assert lanes >= {"console", "bus", "network", "broker"}
    said = [moment["text"] for moment in plain_sd.timeline if moment["lane"] == "console"]
    assert said[0].startswith("boot: offchip") and any("mqtt: published" in text for text in said)
    assert any("blocks 0" in moment["text"] and "read" in moment["text"] for moment in plain_sd.timeline)
    assert any(moment["lane"] == "media" for moment in fresh_eeprom.timeline)


def test_nobody_notices_that_he_is_watched(plain_sd: Captured, tmp_path: Path) -> None:
    for alone in boot(tmp_path, "plain", "sd", watched=False):
        assert alone.names == [] and alone.timeline == []
        assert alone.instructions == plain_sd.instructions and alone.commands == plain_sd.commands
        assert alone.attacker and alone.attacker == plain_sd.attacker, "what the attacker's own probe saw"


def test_one_seed_gives_the_same_captures(plain_sd: Captured, tmp_path: Path) -> None:
    for again in boot(tmp_path, "plain", "sd"):
        assert again.names == plain_sd.names
        for name in again.names:
            assert (tmp_path / name).read_bytes() == (plain_sd.folder / name).read_bytes(), name


def test_secrets_of_others_are_in_no_capture(tmp_path: Path) -> None:
    one, other = Recorder(), Recorder()
    for recorder in (one, other):
        with recorder.secrets():
            scene = Scene(seed=3)
            recorder.watch(scene, scene.build(elf=FIRMWARE))
        scene.close()
    secrets = one._secrets.read_bytes() + b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"
    one._secrets.write_bytes(secrets)
    assert one._own_secrets() == b"", "the data processor's session is not watched, nor is anybody else's"
    for recorder in (one, other):
        recorder.close()
    assert not one._secrets.exists()


def test_captures_stay_within_their_budget(plain_sd: Captured, tmp_path: Path) -> None:
    class Heavy(Recorder):
        def save(self, folder: Path, stem: str) -> list[str]:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{stem}.vcd").write_bytes(bytes(400))
            return [f"{stem}.vcd"]

    recorder = Heavy()
    keeper = Keeper(tmp_path, Wanted.FAILED, 1000)
    assert keeper.save("A01/read/sealed/sd", recorder) == ["captures/a01-read-sealed-sd.vcd"]
    assert keeper.save("A02/boot/sealed/sd", recorder) != [] and keeper.save("A02/boot/fresh/sd", recorder) == []
    assert len(list(tmp_path.rglob("*.vcd"))) == 2
    recorder.close()
    (chosen, *_), other = sorted(shown()), "A01/read/sealed/sd"
    assert [keeper.wants(other, False), keeper.wants(other, True), keeper.wants(chosen, False)] == [False, True, True]
    assert not Keeper(tmp_path, Wanted.NONE).wants(chosen, True) and Keeper(tmp_path, Wanted.ALL).wants(other, False)
