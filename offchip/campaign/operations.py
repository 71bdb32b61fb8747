# SPDX-License-Identifier: Apache-2.0
"""What a device does while the supply goes, and how to tell what became of it.

An operation prepares a device, starts what is to be cut, and judges the device that was powered again: from outside,
by its console and by what :mod:`offchip.vault` finds in flash and medium.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from offchip import chip_map
from offchip.engines.fork import forked
from offchip.engines.protocol import StorageEvent
from offchip.errors import OffchipError, VaultError
from offchip.scene import Defence, Scene
from offchip.scene.renewal import storage
from offchip.scene.scene import THING, Device
from offchip.vault import SD, Chip, Credentials
from offchip.vault.chunk import CREDENTIAL_CHUNKS, Chunk, content
from offchip.vault.counters import SIZE, Counters, filled
from offchip.vault.records import Tag
from offchip.vault.scheme import Place
from offchip.vault.sealed import HEAD_SIZE, chunk_number
from offchip.vault.vaulted import Vaulted

#: virtual seconds within which a device has come to a decision after the supply is back
DECISION_S = 20.0
_STEP_S = 0.002
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
    #: :meth:`examine` looks at more than flash and media
    looks_at_memory = False

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

    @classmethod
    def goes_with(cls, defence: Defence) -> bool:
        """Whether a device with this defence ever does it."""
        return True

    @abstractmethod
    def judge(self, device: Device, lines: list[str]) -> str | None:
        """What the device that runs again says it has become, by the console ``lines`` since then; None: nothing yet.

        One of ``good``, or a sentence.
        """

    def examine(self, device: Device, decision: str) -> str:
        """Whether that is true of what flash and medium hold: the decision, or a sentence."""
        return decision

    def decide(self, device: Device, start: int | None = None) -> str:
        """Let a device with its supply back run until it says what became of it; ``start``: lines of the console
        before it began (None: it begins now)."""
        start = len(device.board.console.lines) if start is None else start
        verdict: list[str] = []

        def decided() -> bool:
            found = self.judge(device, lines_since(device, start))
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

    def published() -> bool:
        return any(line.startswith(PUBLISHED) for line in lines_since(device, start))

    run_while_powered(device, published, limit_s)
    return published()


def key_forms(credentials: Credentials) -> list[bytes]:
    """The secret numbers of the private key, as they lie in memory."""
    key = load_der_private_key(credentials.private_key, None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        scalar = key.private_numbers().private_value
        return [scalar.to_bytes(-(-key.key_size // 8), "big")]
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    return [each.to_bytes(key.key_size // 16, "big") for each in (numbers.p, numbers.q)]


def in_clear(forms: list[bytes], content: bytes) -> bool:
    """Whether one of these numbers lies there, as bytes or in the base64 of a PEM file."""
    return any(form in content or base64.b64encode(form)[4:-4] in content for form in forms)


def lines_since(device: Device, start: int) -> list[str]:
    """Of the console."""
    return [line.text for line in device.board.console.lines[start:]]


def by_credentials(lines: list[str], verdict: Callable[[str], str]) -> str | None:
    """What the line says in which the device has taken credentials; a sentence when it waits or stops before."""
    for line in lines:
        if line.startswith("credentials: ok"):
            return verdict(line)
        if line.startswith(("state: waiting", "state: fault")):
            return f"lost: {line}; {'; '.join(each for each in lines if 'error' in each)}"
    return None


def run_to(device: Device, *wanted: str, limit_s: float = DECISION_S) -> None:
    """Run until a new line begins with one of these, or the supply is lost.

    Raises:
        OffchipError: none came.
    """
    start = len(device.board.console.lines)
    run_while_powered(device, lambda: any(line.startswith(wanted) for line in lines_since(device, start)), limit_s)
    lines = lines_since(device, start)
    if device.board.powered and not any(line.startswith(wanted) for line in lines):
        raise OffchipError(f"the device said none of {', '.join(wanted)} within {limit_s:g} s; its last lines: "
                           f"{' | '.join(lines[-5:])}")


def run_to_first_write(device: Device, limit_s: float = 60.0) -> None:
    """Let time pass up to the moment at which the device begins to write to flash or a medium.

    Raises:
        OffchipError: it writes nothing.
    """
    board = device.board

    def written() -> int:
        return sum(board.faults.events(event) for event in StorageEvent)

    def steps() -> int:
        before = written()
        for count in range(round(limit_s / _STEP_S)):
            board.run(_STEP_S)
            if written() != before:
                return count
        raise OffchipError(f"the device wrote nothing within {limit_s:g} s; its last lines: "
                           f"{' | '.join(lines_since(device, 0)[-5:])}")

    for _ in range(forked(steps)):
        board.run(_STEP_S)


def _blanked(content: bytes, place: Place) -> bytes:
    """The file without what lies at a place: a part of it blank, or a text without a line."""
    if not place.length:
        return b"\n" * len(content)
    return content[:place.offset] + b"\xFF" * place.length + content[place.offset + place.length:]


def remains(device: Device, chip: Chip, versions: Mapping[Chunk, int]) -> list[str]:
    """The records on the medium that open with the secret of ``chip`` though they are of none of these versions.

    What chunk a record is of its head says: under `sealed` it would open as any.
    """
    scheme = device.defence.scheme
    if not isinstance(scheme, Vaulted):
        return []
    sealer, found, image = scheme.sealer(chip), [], storage(device).image
    at = image.find(scheme.format.magic)
    while at >= 0:
        number = chunk_number(image[at:at + HEAD_SIZE])
        for chunk in (each for each in CREDENTIAL_CHUNKS if each.number == number):
            with suppress(VaultError):
                version, _ = sealer.open(chunk, 0, image[at:at + chunk.slot_size])
                if versions.get(chunk) != version:
                    found.append(f"{chunk.value} version {version} at 0x{at:X}")
        at = image.find(scheme.format.magic, at + 1)
    return found


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
        return by_credentials(lines, lambda line: NEW)

    def examine(self, device: Device, decision: str) -> str:
        """Every chunk opens on the host, and no clear copy is left: the whole provisioning came to its end."""
        scheme, credentials = self.defence.scheme, device.provisioning.credentials
        if not isinstance(scheme, Vaulted) or decision != NEW:
            return decision
        flash = device.board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
        try:
            chip = chip_of(device)
            for chunk in scheme.kept:
                _, held = scheme.open_chunk(self.defence.medium, storage(device), chip, chunk)
                if held != content(chunk, credentials.entries()):
                    return f"lost: another {chunk.value} is sealed"
        except (VaultError, OffchipError) as error:
            return f"lost: {error}"
        left = [form for form in key_forms(credentials) if form in flash]
        if left and not scheme.on_chip:
            return "lost: the key in clear is left in flash"
        return NEW


class _Renewal(Operation):
    """A device of a scene whose server is there for it, up to its first write."""

    def _power_on(self, **provisioning: Any) -> tuple[Scene, Device]:
        scene = Scene(self.seed, things=(THING,))
        device = scene.build(THING, self.defence, elf=self.elf, publish_interval_ms=2000, **provisioning)
        device.board.power_on()
        return scene, device

    def _stale(self, device: Device) -> list[str]:
        """What of an old version is left: records that still open, the factory's key in clear."""
        left = []
        if isinstance(self.defence.scheme, Vaulted):
            left = remains(device, chip_of(device), self._versions(device, self.defence.scheme))
        forms = key_forms(device.provisioning.credentials) if device.provisioning.credentials.private_key else []
        places = {"flash": device.board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)}
        if self.defence.off_chip:
            places["the medium"] = storage(device).image
        return left + [f"the key in clear in {place}" for place, content in places.items() if in_clear(forms, content)]

    def _versions(self, device: Device, scheme: Vaulted) -> Mapping[Chunk, int]:
        """What counts of each chunk: what the chip says, or what is on a medium that is believed."""
        versions = counters_of(device).versions
        if scheme.format.fresh:
            return versions
        counted = {}
        for chunk in scheme.kept:
            with suppress(VaultError):
                counted[chunk] = scheme.open_chunk(self.defence.medium, storage(device), chip_of(device), chunk,
                                                   versions.get(chunk, 0))[0]
        return counted


class Update(_Renewal):
    """Key, certificate and anchors a newcomer was issued are kept: every chunk in one update."""

    name, shows = "update", "a newcomer keeps what it was issued: all chunks in one update"
    good = (OLD, NEW)

    def build(self) -> Device:
        _, device = self._power_on(newcomer=True)
        run_to(device, "enrolment: issued", limit_s=60)
        run_to_first_write(device)
        return device

    def perform(self, device: Device) -> None:
        run_to(device, "enrolment: complete", "storage: error", "state: waiting")

    def judge(self, device: Device, lines: list[str]) -> str | None:
        return by_credentials(lines, lambda line: OLD if "source=claim" in line else NEW)

    def examine(self, device: Device, decision: str) -> str:
        if decision == NEW:
            left = self._stale(device)
            return f"lost: left over: {', '.join(left)}" if left else NEW if device.kept() else "lost: not what is kept"
        return decision


class Rotation(_Renewal):
    """Key and certificate are replaced because the owner asked for it over MQTT."""

    name, shows = "rotation", "the owner asks for another key over MQTT: key and certificate replaced"
    good = (OLD, NEW)

    def build(self) -> Device:
        scene, device = self._power_on(rotation=True)
        run_to(device, PUBLISHED, limit_s=60)
        self._prepare(device)
        scene.rotate(device)
        run_to(device, "credentials: ok source=issued", limit_s=60)
        run_to_first_write(device)
        return device

    def _prepare(self, device: Device) -> None:
        """What comes before the owner asks."""

    def perform(self, device: Device) -> None:
        run_to(device, "rotation: complete", "storage: error", "state: waiting")

    def judge(self, device: Device, lines: list[str]) -> str | None:
        old = f"certificate={device.identity.certificate_id[:8]}"
        return by_credentials(lines, lambda line: OLD if old in line else NEW)

    def examine(self, device: Device, decision: str) -> str:
        identity = device.kept()
        old = identity is not None and identity.certificate_id == device.identity.certificate_id
        if decision == NEW:
            left = self._stale(device)
            return f"lost: left over: {', '.join(left)}" if left else NEW if identity and not old else "lost: not kept"
        return "lost: the old one is not what is kept" if decision == OLD and not old else decision


class Turn(Rotation):
    """A rotation that no longer fits into the log of the vault's flash: the other sector is begun for it."""

    name, shows = "turn", "a rotation for which the counters' sector is full: state and secret move to the other one"

    @classmethod
    def goes_with(cls, defence: Defence) -> bool:
        return isinstance(defence.scheme, Vaulted)  # the others count nothing before their first update

    def _prepare(self, device: Device) -> None:
        device.board.power_off()
        start = chip_map.sector(chip_map.VAULT_SECTORS[0]).start
        device.board.engine.program(start, filled(device.board.engine.read_memory(start, SIZE), 1))
        device.board.power_on()
        run_to(device, PUBLISHED, limit_s=60)


class Reset(_Renewal):
    """Credentials that are lost are given up: secret, keys and records erased, then the claim identity is used."""

    name, shows = "reset", "lost credentials given up: secret and records erased, the claim identity used"
    good = (RESET,)

    def __init__(self, defence: Defence, elf: Path, seed: int) -> None:
        super().__init__(defence, elf, seed)
        self._chip: Chip | None = None  # what its records opened with before

    @classmethod
    def goes_with(cls, defence: Defence) -> bool:
        return defence.off_chip

    def build(self) -> Device:
        _, device = self._power_on(enrol_lost=True)
        run_to(device, "credentials: ok", limit_s=60)
        if isinstance(self.defence.scheme, Vaulted):
            with suppress(VaultError):  # it makes its secret only when something is stored
                self._chip = chip_of(device)
        device.board.power_off()
        self._damage(device)
        device.board.power_on()
        run_to_first_write(device)
        return device

    def _damage(self, device: Device) -> None:
        """The device's certificate is not on the medium any more."""
        scheme, medium = self.defence.scheme, self.defence.medium
        place = scheme.place(medium, Tag.DEVICE_CERTIFICATE)
        if not isinstance(scheme, Vaulted) and medium is not SD:
            storage(device).write(0, b"\xFF" * 4)  # the record's magic; what was in it lies there still
        elif medium is SD:
            device.board.sd.write_file(place.path, _blanked(device.board.sd.read_file(place.path), place))
        else:
            storage(device).write(place.offset, b"\xFF" * place.length)

    def perform(self, device: Device) -> None:
        run_to(device, "vault: reset")

    def judge(self, device: Device, lines: list[str]) -> str | None:
        for line in lines:
            if line.startswith("credentials: ok"):
                return RESET if "source=claim" in line else f"lost: {line}"
            if line.startswith("state: fault"):
                return f"lost: {line}"
        return None

    def examine(self, device: Device, decision: str) -> str:
        """Nothing on the medium opens with the secret it had; no key in clear is left."""
        if decision != RESET:
            return decision
        left = remains(device, self._chip, {}) if self._chip else []
        if isinstance(self.defence.scheme, Vaulted):
            flash = device.board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
            keeps = self.defence.scheme.fleet_secret is not None
            left += ["the secret"] if self._chip and self._chip.secret in flash and not keeps else []
        forms = key_forms(device.provisioning.credentials)
        image = storage(device).image
        left += ["the key in clear"] if in_clear(forms, image) else []
        return f"lost: left over: {', '.join(left)}" if left else RESET


class Tamper(Operation):
    """The lid is opened: secret and keys are destroyed, and stay so whenever the supply comes back."""

    name, shows = "tamper", "lid opened: device secret and keys erased"
    good = (ERASED,)
    connects_again = False
    looks_at_memory = True

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
        run_while_powered(device, lambda: self.judge(device, lines_since(device, start)) is not None, DECISION_S)

    def power_up(self, device: Device) -> None:
        device.board.hall.open_case()
        device.board.power_on()

    def judge(self, device: Device, lines: list[str]) -> str | None:
        for line in lines:
            if line.startswith("credentials: ok"):
                return "lost: the lid is open, and the device goes on with its credentials"
            if line.startswith("state: fault"):
                return ERASED
        return None

    def examine(self, device: Device, decision: str) -> str:
        """Neither the secret nor a key in clear is found in flash, medium, SRAM or CCM."""
        if decision != ERASED:
            return decision
        engine, defence = device.board.engine, self.defence
        forms = [SECRET, *key_forms(device.provisioning.credentials)]
        places = {region: engine.read_memory(start.start, start.size) for region, start in (
            ("flash", chip_map.DATA), ("SRAM", chip_map.SRAM), ("CCM", chip_map.CCM),
            ("backup SRAM", chip_map.BACKUP_SRAM))}
        if defence.off_chip:
            places["the medium"] = storage(device).image
        left = [name for name, content in places.items() if any(form in content for form in forms)]
        return f"lost: secret or key left in {', '.join(left)}" if left else ERASED


def chip_of(device: Device) -> Chip:
    """Secret and identity, as the factory's tool would read them. Raises VaultError when there is no secret."""
    identity = device.board.engine.read_memory(chip_map.UID.start, chip_map.UID.size)
    return Chip(counters_of(device).secret, identity)


def counters_of(device: Device) -> Counters:
    """What the chip has counted. Raises VaultError when there is no secret."""
    start = chip_map.sector(chip_map.VAULT_SECTORS[0]).start
    return Counters.parse(device.board.engine.read_memory(start, SIZE))


OPERATIONS: dict[str, type[Operation]] = {each.name: each for each in (Provision, Update, Rotation, Turn, Reset,
                                                                       Tamper)}
