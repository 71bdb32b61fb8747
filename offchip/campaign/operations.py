# SPDX-License-Identifier: Apache-2.0
"""What a device does while the supply goes, and how to tell what became of it.

An operation prepares a device, starts what is to be cut, and judges the device that was powered again: from outside,
by its console and by what :mod:`offchip.vault` finds in flash and medium.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from offchip import chip_map
from offchip.board.media import RemovableMedium
from offchip.errors import OffchipError, VaultError
from offchip.scene import Defence, Scene
from offchip.scene.scene import THING, Device
from offchip.vault import SD, Chip, Credentials
from offchip.vault.chunk import content
from offchip.vault.counters import SIZE, Counters
from offchip.vault.vaulted import Vaulted

#: virtual seconds within which a device has come to a decision after the supply is back
DECISION_S = 20.0
PUBLISHED = "mqtt: published"
OLD, NEW, RESET, ERASED = "old", "new", "reset", "erased"
SECRET = bytes(range(100, 132))


class Operation(ABC):
    """One thing a device does that writes to flash or medium.

    Args:
        defence: scheme and medium.
        elf: the firmware.
        seed: of the scene.
    """

    name: str
    #: one line for the list of operations
    shows: str
    #: how it may end, wherever it was cut
    good: tuple[str, ...] = (OLD, NEW, RESET)
    #: a device that came to a good end publishes again
    connects_again = True

    def __init__(self, defence: Defence, elf: Path, seed: int) -> None:
        self.defence, self.elf, self.seed = defence, elf, seed

    def build(self) -> Device:
        """A device that is ready to begin, on a scene of its own; powered or not."""
        return Scene(self.seed, things=(THING,)).build(THING, self.defence, elf=self.elf, publish_interval_ms=2000)

    @abstractmethod
    def perform(self, device: Device) -> None:
        """Do it; returns when it is done or the supply is lost."""

    def power_up(self, device: Device) -> None:
        """The supply is back, and the world is as it was when it went."""
        device.board.power_on()

    @abstractmethod
    def judge(self, device: Device, lines: list[str]) -> str | None:
        """What the device that runs again has become, from the console ``lines`` since then; None: not known yet.

        One of ``good``, or a sentence.
        """

    def recover(self, device: Device) -> str:
        """Let a device with its supply back run until it is decided what became of it."""
        start = len(device.board.console.lines)
        verdict: list[str] = []

        def decided() -> bool:
            found = self.judge(device, [line.text for line in device.board.console.lines[start:]])
            verdict.extend([found] if found is not None else [])
            return bool(verdict)

        run_while_powered(device, decided, DECISION_S)
        if not device.board.powered:
            return "off"
        return verdict[0] if verdict else f"undecided after {DECISION_S:g} s"


def run_while_powered(device: Device, done: Callable[[], bool], limit_s: float) -> None:
    """Run until it is done, the supply is lost or the time is over."""
    board = device.board
    end_ns = board.now_ns + round(limit_s * 1e9)
    board.run_until(lambda: done() or not board.powered or board.now_ns >= end_ns, limit_s + 1)


def connects(device: Device, limit_s: float = 60.0) -> bool:
    """Whether the device publishes from now on."""
    start = len(device.board.console.lines)
    run_while_powered(device, lambda: any(line.text.startswith(PUBLISHED)
                                          for line in device.board.console.lines[start:]), limit_s)
    return any(line.text.startswith(PUBLISHED) for line in device.board.console.lines[start:])


def key_forms(credentials: Credentials) -> list[bytes]:
    """The secret numbers of the private key, as they lie in memory."""
    key = load_der_private_key(credentials.private_key, None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        scalar = key.private_numbers().private_value
        return [scalar.to_bytes(-(-key.key_size // 8), "big")]
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    return [each.to_bytes(key.key_size // 16, "big") for each in (numbers.p, numbers.q)]


class Provision(Operation):
    """The first boot: the device makes its secret and seals what the factory left in clear."""

    name, shows = "provision", "first boot: secret made, clear credentials sealed"
    good = (NEW,)

    def perform(self, device: Device) -> None:
        board = device.board
        board.power_on()
        run_while_powered(device, lambda: any(line.text.startswith(("credentials: ok", "state: waiting"))
                                              for line in board.console.lines), DECISION_S)

    def judge(self, device: Device, lines: list[str]) -> str | None:
        for line in lines:
            if line.startswith(("state: waiting", "state: fault")):
                return f"lost: {line}; {'; '.join(each for each in lines if 'error' in each)}"
            if line.startswith("credentials: ok"):
                return self._provisioned(device)
        return None

    def _provisioned(self, device: Device) -> str:
        """Every chunk opens on the host, and no clear copy is left: the whole provisioning came to its end."""
        scheme, credentials = self.defence.scheme, device.provisioning.credentials
        if not isinstance(scheme, Vaulted):
            return NEW
        flash = device.board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
        try:
            chip = chip_of(device)
            for chunk in scheme.kept:
                _, held = scheme.open_chunk(self.defence.medium, storage_of(device), chip, chunk)
                if held != content(chunk, credentials.entries()):
                    return f"lost: another {chunk.value} is sealed"
        except (VaultError, OffchipError) as error:
            return f"lost: {error}"
        left = [form for form in key_forms(credentials) if form in flash]
        if left and not scheme.on_chip:
            return "lost: the key in clear is left in flash"
        return NEW


class Tamper(Operation):
    """The lid is opened: secret and keys are destroyed, and stay so whenever the supply comes back."""

    name, shows = "tamper", "lid opened: device secret and keys erased"
    good = (ERASED,)
    connects_again = False

    def build(self) -> Device:
        device = Scene(self.seed, things=(THING,)).build(THING, self.defence, elf=self.elf, publish_interval_ms=2000,
                                                         device_secret=SECRET, tamper=True)
        device.board.power_on()
        run_while_powered(device, lambda: any(line.text.startswith("credentials: ok")
                                              for line in device.board.console.lines), DECISION_S)
        return device

    def perform(self, device: Device) -> None:
        start = len(device.board.console.lines)
        device.board.hall.open_case()
        run_while_powered(device, lambda: self.judge(device, [line.text for line in device.board.console.lines[start:]])
                          is not None, DECISION_S)

    def power_up(self, device: Device) -> None:
        device.board.hall.open_case()
        device.board.power_on()

    def judge(self, device: Device, lines: list[str]) -> str | None:
        for line in lines:
            if line.startswith("credentials: ok"):
                return "lost: the lid is open, and the device goes on with its credentials"
            if line.startswith("state: fault"):
                return self._left_over(device)
        return None

    def _left_over(self, device: Device) -> str:
        """Neither the secret nor a key in clear is found in flash, medium, SRAM or CCM."""
        engine, defence = device.board.engine, self.defence
        forms = [SECRET, *key_forms(device.provisioning.credentials)]
        places = {region: engine.read_memory(start.start, start.size) for region, start in (
            ("flash", chip_map.DATA), ("SRAM", chip_map.SRAM), ("CCM", chip_map.CCM),
            ("backup SRAM", chip_map.BACKUP_SRAM))}
        if defence.off_chip:
            places["the medium"] = storage_of(device).image
        left = [name for name, content in places.items() if any(form in content for form in forms)]
        return f"lost: secret or key left in {', '.join(left)}" if left else ERASED


def chip_of(device: Device) -> Chip:
    """Secret and identity, as the factory's tool would read them. Raises VaultError when there is no secret."""
    engine = device.board.engine
    sectors = engine.read_memory(chip_map.sector(chip_map.VAULT_SECTORS[0]).start, SIZE)
    return Chip(Counters.parse(sectors).secret, engine.read_memory(chip_map.UID.start, chip_map.UID.size))


def storage_of(device: Device) -> RemovableMedium:
    """The medium of the device's defence."""
    return device.board.sd if device.defence.medium is SD else device.board.eeprom


OPERATIONS: dict[str, type[Operation]] = {each.name: each for each in (Provision, Tamper)}
