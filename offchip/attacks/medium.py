# SPDX-License-Identifier: Apache-2.0
"""Attacks with the SD card or the EEPROM in the attacker's own reader."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.pieces import Fields, Piece, Pieces, Slots, taken_apart
from offchip.attacks.reach import Reach
from offchip.attacks.rogue import RogueBroker
from offchip.board.console import ConsoleLine
from offchip.board.media import Eeprom, SdCard
from offchip.errors import BoardError, MediumError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import EEPROM, PLAIN, SD, Chunk, MediumKind
from offchip.vault.chunk import VAULT_FILE
from offchip.vault.plain import FILES
from offchip.vault.records import Tag

_CONTACT_S = 60.0
#: until a device has another key, has tried it and keeps it
_CONFIGURED_S = 4.0
#: bytes from the start of a key to within its private value, in PKCS#8 as in SEC1
_INSIDE_KEY = 37
#: bytes from the end of a certificate to within its signature
_INSIDE_SIGNATURE = 20
#: what a device says that has no usable credentials
COMPLAINTS = ("storage: error", "credentials: error")
#: what the device says of its credentials, good or bad
REACTIONS = ("credentials: ", "storage: error")


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
    FLIP_ANCHOR = "flip-anchor"
    TRUNCATE = "truncate"
    EACH = "each"

    @property
    def chunk(self) -> Chunk:
        """What it is done to."""
        return _CHANGED[self]


_CHANGED = {Change.FLIP: Chunk.DEVICE_KEY, Change.FLIP_ANCHOR: Chunk.BROKER_CA,
            Change.TRUNCATE: Chunk.DEVICE_CERTIFICATE, Change.EACH: Chunk.DEVICE_CERTIFICATE}


@dataclass(frozen=True)
class ChangeRecord(Attack):
    """Change what is stored, without knowing any key. The device is off meanwhile.

    | =how= | =Description= |
    | flip | bit 0 of a byte in the middle of the private key is inverted |
    | flip-anchor | bit 0 of a byte in the signature of the CA certificate, which no device looks at, is inverted |
    | truncate | the device certificate is cut to its first half |
    | each | one field of the device certificate's record after the other, by a bit; the tag also as a whole (zeros, FF,
    backwards, a bit in two bytes); the device is started each time |

    Where it is encrypted, the same is done to the byte that stands for it. ``repair_crc``: also put a checksum right,
    as anybody would.
    """

    id, title, keyword = "A03", "flip bits or truncate a record", "Change The Record"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108", (353, 354, 345)
    medium: MediumKind
    how: Change = Change.FLIP
    repair_crc: bool = True

    def applies(self, defence: Defence) -> Applies:
        fits = holds_credentials(defence, self.medium)
        if fits and self.how.chunk in defence.scheme.on_chip:
            return Applies(False, f"under {defence.scheme.name} the {self.how.chunk.value} is not on the medium")
        return fits

    def fire(self, scene: Reach) -> list[Evidence]:
        medium, chunk = scene.medium(self.medium), self.how.chunk
        pieces, there = holding(medium, chunk)
        switch_off(scene)
        if self.how is Change.EACH:
            return [self._one_field(scene, pieces, piece, field) for piece in there for field in pieces.fields(piece)]
        before = {piece: pieces.read(piece) for piece in there}
        after = {piece: self._cut(pieces, piece) if self.how is Change.TRUNCATE else self._flip(scene, pieces, piece)
                 for piece in there}
        if self.repair_crc or not isinstance(pieces, Fields):
            pieces.put(after)
        else:
            for piece in there:
                medium.write(medium.image.index(before[piece]), after[piece].ljust(len(before[piece]), b"\xFF"))
        return [self.note(scene, "truncate" if self.how is Change.TRUNCATE else "flip bit",
                          f"{medium.name}:{piece.name} byte {_first_difference(before[piece], after[piece])}",
                          f"in the {chunk.value}, {len(before[piece])} bytes became {len(after[piece])}",
                          before=before[piece], after=after[piece]) for piece in there]

    def _one_field(self, scene: Reach, pieces: Pieces, piece: Piece, field: tuple[str, int, bytes]) -> Evidence:
        """Change one field, let the device look at it, put the medium back as it was."""
        name, at, mask = field
        medium = scene.medium(self.medium)
        image, before = medium.image, pieces.read(piece)
        changed = bytes(byte ^ bits for byte, bits in zip(before[at:], mask, strict=False))
        after = before[:at] + changed + before[at + len(changed):]
        pieces.put({piece: after})
        told = start_and_listen(scene)
        switch_off(scene)
        medium.replace(image)
        return self.note(scene, "flip bit", f"{medium.name}:{piece.name} byte {at}", f"{name}; {told}", before=before,
                         after=after)

    def _flip(self, scene: Reach, pieces: Pieces, piece: Piece) -> bytes:
        at = _INSIDE_KEY
        if self.how is Change.FLIP_ANCHOR:
            public = len(scene.trusted.public_bytes(Encoding.DER))
            at = pieces.value_size(piece, public) - _INSIDE_SIGNATURE
        content = bytearray(pieces.read(piece))
        content[pieces.spot(piece, at)] ^= 1
        return bytes(content)

    @staticmethod
    def _cut(pieces: Pieces, piece: Piece) -> bytes:
        content = pieces.read(piece)
        return content[:len(content) // 2]


@dataclass(frozen=True)
class ReplaceTrustAnchor(Attack):
    """Put the attacker's CA certificate on the medium and answer under the server's name.

    What lies there is replaced; where nothing lies, the certificate is planted as the device would expect it (file
    or record, checksum put right). Then the name is spoofed, the device started, and its first contact awaited.
    ``configure``: as the owner would, the server also asks the device for another key, and certifies what it gets.
    """

    id, title, keyword = "A04", "replace the CA, run a rogue server", "Replace The Trust Anchor"
    needs = (Need.MEDIUM, Need.NETWORK)
    psa, emb3d, cwe = "T.DIRECT_WRITE", "TID-108 -> TID-316", (295, 296, 345)
    medium: MediumKind
    configure: bool = False

    def applies(self, defence: Defence) -> Applies:
        return Applies(True, "anybody can write a CA certificate to a medium; what matters is whether it is believed")

    def fire(self, scene: Reach) -> list[Evidence]:
        switch_off(scene)
        evidence = [self._plant(scene, scene.authority.root.certificate_der)]
        rogue = scene.answer_as_server(scene.authority.issue_server([scene.host]))
        if self.configure:
            _ask_for_another_key(scene, rogue)
        complaint = start_and_await_reaction(scene)
        if complaint:
            told = self.note(scene, "start the device", scene.medium(self.medium).name, "it does not call",
                             received=complaint.encode())
        else:
            told = self.note(scene, "answer for the server", scene.address, "the device called",
                             sent=rogue.identity.certificate_der, received=rogue.visits[0].received)
            if self.configure and rogue.clients:
                scene.board.run(_CONFIGURED_S)
        return [*evidence, told]

    def _plant(self, scene: Reach, anchor: bytes) -> Evidence:
        medium = scene.medium(self.medium)
        try:
            pieces, there = holding(medium, Chunk.BROKER_CA)
        except AttackFailed:
            return self._plant_in_clear(scene, anchor)
        before = b"".join(pieces.read(piece) for piece in there)
        # one is enough, unless they are two slots of which either may count
        forged = {piece: pieces.forged(piece, anchor) if at == 0 or isinstance(pieces, Slots) else b""
                  for at, piece in enumerate(there)}
        pieces.put(forged)
        return self.note(scene, "replace trust anchor", f"{medium.name}:{', '.join(piece.name for piece in there)}",
                         "the attacker's CA certificate", before=before, after=b"".join(forged.values()))

    def _plant_in_clear(self, scene: Reach, anchor: bytes) -> Evidence:
        """Where no anchor lies: as a device without protection would expect it."""
        medium, held = scene.medium(self.medium), PLAIN.place(self.medium, Tag.TRUST_ANCHOR)
        try:
            before = held.read(medium)
        except MediumError:
            before = b""
        try:
            if isinstance(medium, SdCard):
                medium.format()  # a card of the attacker's own
            PLAIN.write(self.medium, medium, [(Tag.TRUST_ANCHOR, anchor)])
            after = held.read(medium)
        except MediumError as error:
            raise AttackFailed(f"{medium.name}: the trust anchor cannot be replaced: {error}") from error
        return self.note(scene, "plant a trust anchor", f"{medium.name}:{held}", "the attacker's CA certificate",
                         before=before, after=after)


def _ask_for_another_key(scene: Reach, rogue: RogueBroker) -> None:
    """The owner's request (SPEC.md section 11), to whoever subscribes to it; a certificate for whatever key comes back.
    """
    topic = f"offchip/things/{scene.thing}/rotate"
    ours: dict[str, str] = {}

    def reply(where: str, payload: bytes) -> list[tuple[str, bytes]]:
        if where == f"{topic}/done" and not ours:
            return [(topic, payload)]  # asked about a certificate it does not have, it has told which it has
        if where != f"{topic}/csr":
            return []
        certificate = scene.authority.sign_request(json.loads(payload)["certificateSigningRequest"].encode())
        ours.update(certificateId=certificate.fingerprint(hashes.SHA256()).hex(),
                    certificatePem=certificate.public_bytes(Encoding.PEM).decode())
        return [(f"{topic}/accepted", json.dumps(ours).encode())]

    rogue.replies = reply
    rogue.pushes = [(topic, json.dumps({"certificateId": 64 * "0"}).encode())]


class Damage(Enum):
    """How a medium is made useless."""

    WIPE = "wipe"
    NOISE = "noise"
    BOOT_SECTOR = "boot-sector"
    FILE = "file"
    PULL = "pull"
    SHORT = "short"
    OPEN = "open"
    STUCK = "stuck"


@dataclass(frozen=True)
class DamageMedium(Attack):
    """Take the medium's service away from the device.

    | =how= | =Description= |
    | wipe, noise | the whole content erased, or replaced by noise |
    | boot-sector | block 0 of the card replaced by noise |
    | file | the key's file, or the one that holds everything, deleted from the card |
    | pull | out of its socket, at once; whatever it was doing is cut |
    | short, open | a probe holds its answers: the card's output at 0 or 1, the EEPROM's data line at 0, or the EEPROM \
silent; the device is started |
    | stuck | as short, from now on: a card that was about to be written stays busy for ever |
    """

    id, title, keyword = "A09", "wipe, fill, pull or short the medium", "Damage The Medium"
    needs = (Need.MEDIUM,)
    psa, emb3d, cwe = "-", "~", (703, 636, 400)
    medium: MediumKind
    how: Damage = Damage.WIPE

    def applies(self, defence: Defence) -> Applies:
        if self.medium is EEPROM and self.how in (Damage.BOOT_SECTOR, Damage.FILE):
            return Applies(False, f"'{self.how.value}' is a damage of a card")
        return holds_credentials(defence, self.medium)

    def fire(self, scene: Reach) -> list[Evidence]:
        if self.how in (Damage.SHORT, Damage.OPEN, Damage.STUCK):
            return self._hold(scene)
        medium = scene.medium(self.medium)
        place, before = medium.name, medium.image
        after = b""
        if self.how is Damage.PULL:
            medium.eject()
        elif self.how is Damage.FILE and isinstance(medium, SdCard):
            path = _most_valued(medium)
            place, before = f"{medium.name}:{path}", medium.read_file(path)
            medium.delete_file(path)
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
            board.spi_tap.stuck_miso(0xFF if self.how is Damage.OPEN else 0x00)
        elif self.how is Damage.OPEN:
            board.i2c_tap.drop_address(0x50)
        else:
            board.i2c_tap.hold_sda()
        if self.how is not Damage.STUCK:
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
    await_or_fail(scene, lambda: _called(scene), "a call to the rogue server")


def noise(size: int) -> bytes:
    """``size`` bytes without any structure, the same every time."""
    return random.Random(size).randbytes(size)


def switch_off(scene: Reach) -> None:
    """Take the supply away, if it is there: a medium is changed at rest."""
    if scene.board.powered:
        scene.board.power_off()


def start_and_await_reaction(scene: Reach) -> str:
    """Start the device; returns what it complains of in its credentials, or '' when it has called the rogue instead.

    Raises:
        AttackFailed: it did neither.
    """
    scene.start()
    said = len(scene.board.console.lines)

    def complaints() -> list[str]:
        return [line.text for line in scene.board.console.lines[said:] if line.text.startswith(COMPLAINTS)]

    await_or_fail(scene, lambda: bool(complaints()) or _called(scene), "the device's reaction")
    return "" if _called(scene) else complaints()[0]


def start_and_listen(scene: Reach, words: tuple[str, ...] = REACTIONS, seconds: float = _CONTACT_S) -> str:
    """Start the device anew and let it run until it has said what it thinks of its credentials; returns that line.

    ``words``: how such a line begins. Raises AttackFailed when there is none within ``seconds`` of virtual time.
    """
    scene.start()
    said = len(scene.board.console.lines)

    def reactions() -> list[ConsoleLine]:
        return [line for line in scene.board.console.lines[said:] if line.text.startswith(words)]

    await_or_fail(scene, lambda: bool(reactions()), "a word of the device about its credentials", seconds)
    return reactions()[0].text


def _called(scene: Reach) -> bool:
    visits = scene.rogue.visits if scene.rogue else []
    return bool(visits and (visits[0].alert or visits[0].client or len(visits) > 1))


def holding(medium: SdCard | Eeprom, chunk: Chunk) -> tuple[Pieces, list[Piece]]:
    """The medium piece by piece, and the places that hold this chunk. Raises AttackFailed when none does."""
    try:
        pieces = taken_apart(medium)
    except MediumError as error:
        raise AttackFailed(f"{medium.name}: no record is found here, so none can be changed: {error}") from error
    there = pieces.of(chunk)
    if not there:
        raise AttackFailed(f"{medium.name}: no {chunk.value} is found here, so it cannot be changed")
    return pieces, there


def _most_valued(card: SdCard) -> str:
    """The file whose loss hurts most. Raises AttackFailed when the card holds none of them."""
    there = set(card.files())
    for path in ("/CREDS/DEVICE.KEY", VAULT_FILE, *FILES):
        if path in there:
            return path
    raise AttackFailed(f"{card.name}: none of the device's files is on the card")


def _first_difference(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
