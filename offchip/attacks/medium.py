# SPDX-License-Identifier: Apache-2.0
"""Attacks with the SD card or the EEPROM in the attacker's own reader."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.carving import carve
from offchip.attacks.reach import Reach
from offchip.board.media import Eeprom, RemovableMedium, SdCard
from offchip.errors import BoardError, MediumError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import EEPROM, PLAIN, SD, MediumKind
from offchip.vault.records import Entries, Tag

_CONTACT_S = 60.0
#: from the start of a key in DER or PEM to within its private value
_INSIDE_KEY = 60


def holds_credentials(defence: Defence, medium: MediumKind) -> Applies:
    """Whether an attack on this medium meets credentials there."""
    if defence.medium is medium:
        return Applies(True, f"the credentials, or some of them, lie on the {medium.name} medium")
    return Applies(False, f"under {defence.scheme.name} nothing of the credentials lies on the {medium.name} medium")


@dataclass(frozen=True)
class ReadMedium(Attack):
    """Read the whole medium in the attacker's own reader and search it for keys and certificates.

    On a card with a file system also file by file, as a file may be fragmented.
    """

    id, title, keyword = "A01", "read the medium, take the private key", "Read The Medium"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.DIRECT_READ", "TID-108", (312, 522, 922)
    medium: MediumKind

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, "whatever lies on a medium can be read by who holds it")

    def fire(self, scene: Reach) -> list[Evidence]:
        return [self.note(scene, "read", place, scene.loot.search(content, place), received=content)
                for place, content in contents(scene.medium(self.medium)) if content]


class Change(Enum):
    """What is done to a record."""

    FLIP = "flip"
    TRUNCATE = "truncate"


@dataclass(frozen=True)
class ChangeRecord(Attack):
    """Change what is stored, without knowing any key.

    | =how= | =Description= |
    | flip | bit 0 of a byte in the middle of the private key is inverted |
    | truncate | the device certificate's file, or the second half of the EEPROM's record, is cut off |
    """

    id, title, keyword = "A03", "flip bits or truncate a record", "Change The Record"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108", (353, 354, 345)
    medium: MediumKind
    how: Change = Change.FLIP

    def applies(self, defence: Defence) -> Applies:
        return holds_credentials(defence, self.medium)

    def fire(self, scene: Reach) -> list[Evidence]:
        return [self._flip(scene) if self.how is Change.FLIP else self._truncate(scene)]

    def _flip(self, scene: Reach) -> Evidence:
        medium = scene.medium(self.medium)
        keys, _ = carve(medium.image, medium.name)
        if not keys:
            raise AttackFailed(f"{medium.name}: no private key is found here, so no bit of it can be flipped")
        offset = keys[0].offset + _INSIDE_KEY
        before = medium.read(offset, 1)
        after = bytes([before[0] ^ 1])
        medium.write(offset, after)
        return self.note(scene, "flip bit", f"{medium.name}:{offset}", "in the private key", before=before, after=after)

    def _truncate(self, scene: Reach) -> Evidence:
        medium = scene.medium(self.medium)
        held = PLAIN.place(self.medium, Tag.DEVICE_CERTIFICATE)
        try:
            before = held.read(medium)
            kept = before[:len(before) // 2]
            if isinstance(medium, SdCard):
                medium.write_file(held.path, kept)
            else:
                medium.write(held.offset, kept.ljust(len(before), b"\xFF"))
        except MediumError as error:
            raise AttackFailed(f"{medium.name}: there is no record to cut: {error}") from error
        return self.note(scene, "truncate", f"{medium.name}:{held}", f"{len(before)} bytes became {len(kept)}",
                         before=before, after=kept)


@dataclass(frozen=True)
class ReplaceTrustAnchor(Attack):
    """Put the attacker's CA certificate on the medium and answer under the server's name.

    What lies there is replaced; where nothing lies, the certificate is planted as the device would expect it (file
    or record, checksum put right). Then the name is spoofed, the device started, and its first contact awaited.
    """

    id, title, keyword = "A04", "replace the CA, run a rogue server", "Replace The Trust Anchor"
    needs = (Need.MEDIUM, Need.NETWORK)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108 -> TID-316", (295, 296, 345)
    medium: MediumKind

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, "anybody can write a CA certificate to a medium; what matters is whether it is believed")

    def fire(self, scene: Reach) -> list[Evidence]:
        evidence = [self._plant(scene, scene.authority.root.certificate_der)]
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        scene.start()
        await_contact(scene)
        evidence.append(self.note(scene, "answer for the server", scene.address, "the device called",
                                  sent=rogue.identity.certificate_der, received=rogue.visits[0].received))
        return evidence

    def _plant(self, scene: Reach, anchor: bytes) -> Evidence:
        medium, held = scene.medium(self.medium), PLAIN.place(self.medium, Tag.TRUST_ANCHOR)
        before = _read(held.read, medium)
        kept = [entry for entry in _entries(self.medium, medium) if entry[0] != Tag.TRUST_ANCHOR]
        try:
            if not kept and isinstance(medium, SdCard):
                medium.format()  # a card of the attacker's own
            PLAIN.write(self.medium, medium, [(Tag.TRUST_ANCHOR, anchor), *kept])
            after = held.read(medium)
        except MediumError as error:
            raise AttackFailed(f"{medium.name}: the trust anchor cannot be replaced: {error}") from error
        return self.note(scene, "replace trust anchor", f"{medium.name}:{held}", "the attacker's CA certificate",
                         before=before, after=after)


class Damage(Enum):
    """How a medium is made useless."""

    WIPE = "wipe"
    NOISE = "noise"
    BOOT_SECTOR = "boot-sector"
    FILE = "file"
    PULL = "pull"
    SHORT = "short"
    OPEN = "open"


@dataclass(frozen=True)
class DamageMedium(Attack):
    """Take the medium's service away from the device.

    | =how= | =Description= |
    | wipe, noise | the whole content erased, or replaced by noise |
    | boot-sector | block 0 of the card replaced by noise |
    | file | the key's file deleted from the card |
    | pull | out of its socket, at once; whatever it was doing is cut |
    | short, open | a probe holds its answers: the card's output at 0 or 1, the EEPROM silent; the device is started |
    """

    id, title, keyword = "A09", "wipe, fill, pull or short the medium", "Damage The Medium"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "-", "~", (703, 636, 400)
    medium: MediumKind
    how: Damage = Damage.WIPE

    def applies(self, defence: Defence) -> Applies:
        if self.medium is EEPROM and self.how in (Damage.BOOT_SECTOR, Damage.FILE, Damage.SHORT):
            return Applies(False, f"'{self.how.value}' is a damage of a card")
        return holds_credentials(defence, self.medium)

    def fire(self, scene: Reach) -> list[Evidence]:
        if self.how in (Damage.SHORT, Damage.OPEN):
            return self._hold(scene)
        medium = scene.medium(self.medium)
        place, before = medium.name, medium.image
        after = b""
        if self.how is Damage.PULL:
            medium.eject()
        elif self.how is Damage.FILE and isinstance(medium, SdCard):
            held = PLAIN.place(self.medium, Tag.DEVICE_PRIVATE_KEY)
            place, before = f"{medium.name}:{held}", held.read(medium)
            medium.delete_file(held.path)
        else:
            if self.how is Damage.WIPE:
                medium.wipe()
            else:
                medium.write(0, noise(512 if self.how is Damage.BOOT_SECTOR else medium.size))
            after = medium.image
        return [self.note(scene, self.how.value, place, before=before, after=after)]

    def _hold(self, scene: Reach) -> list[Evidence]:
        board = scene.board
        if self.medium is SD:
            board.spi_tap.stuck_miso(0x00 if self.how is Damage.SHORT else 0xFF)
        else:
            board.i2c_tap.drop_address(0x50)
        scene.start()
        probe = board.spi_tap if self.medium is SD else board.i2c_tap
        await_or_fail(scene, lambda: bool(probe.fired()), "the device asking the medium for anything")
        return Evidence.of_tap(self.id, probe.fired())


def contents(medium: SdCard | Eeprom) -> list[tuple[str, bytes]]:
    """Everything on a medium as (place, bytes): file by file, as a file may be fragmented, then as a whole."""
    found: list[tuple[str, bytes]] = []
    if isinstance(medium, SdCard):
        try:
            found += [(f"{medium.name}:{path}", medium.read_file(path)) for path in medium.files()]
        except MediumError:
            pass  # no file system: the bytes themselves are left
    return [*found, (medium.name, medium.image)]


def await_or_fail(scene: Reach, reached: Callable[[], bool], what: str, seconds: float = _CONTACT_S) -> None:
    """Let the device run until ``reached``. Raises AttackFailed when it has not within ``seconds`` of virtual time."""
    try:
        scene.board.run_until(reached, seconds, what)
    except BoardError as error:
        raise AttackFailed(f"the attack did not reach its target: {error}") from error


def await_contact(scene: Reach) -> None:
    """Let the device run until it has called the rogue and that call is over or has come to a session.

    Raises:
        AttackFailed: it did not call.
    """
    def called() -> bool:
        visits = scene.rogue.visits if scene.rogue else []
        return bool(visits and (visits[0].alert or visits[0].client or len(visits) > 1))

    await_or_fail(scene, called, "a call to the rogue server")


def noise(size: int) -> bytes:
    """``size`` bytes without any structure, the same every time."""
    return random.Random(size).randbytes(size)


def _read(read: Callable[[RemovableMedium], bytes], medium: RemovableMedium) -> bytes:
    try:
        return read(medium)
    except MediumError:
        return b""


def _entries(kind: MediumKind, medium: RemovableMedium) -> Entries:
    try:
        return PLAIN.read(kind, medium)
    except MediumError:
        return []
