# SPDX-License-Identifier: Apache-2.0
"""The attack that makes the core pass over one instruction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from offchip.attacks.base import Applies, Attack, AttackFailed, Need
from offchip.attacks.medium import holding, holds_credentials, start_and_listen, switch_off
from offchip.attacks.pieces import Piece, taken_apart
from offchip.attacks.reach import Reach
from offchip.campaign.injections import Outcome
from offchip.campaign.skips import CodePath, Skip
from offchip.campaign.sources import Line
from offchip.errors import BoardError, EngineError, MediumError
from offchip.evidence import Evidence
from offchip.scene.defence import Defence
from offchip.vault import Chunk, MediumKind
from offchip.vault.vaulted import Vaulted

#: what a device says of its credentials comes in a tenth of this
_TOLD_S = 0.5
#: action of the evidence of a core that was made to pass over one
SKIP = "skip an instruction"
#: where the path is decided: the device's own vault, and the library's checks it may lean on
_OWN = ("firmware/src/vault/", "firmware/src/storage/")
_LIBRARY = frozenset({"mbedtls_gcm_auth_decrypt", "mbedtls_gcm_crypt_and_tag", "mbedtls_ct_memcmp"})
#: so many of those that look as if they had opened something are tried to the end
_MOST_TRIED = 12


class Offered(Enum):
    """What the device is not to take."""

    FORGED = "forged"
    STALE = "stale"


@dataclass(frozen=True)
class SkipTheCheck(Attack):
    """Offer a CA certificate that does not count, and let the core skip one instruction of the path that opens it.

    Each instruction of the device's own code on that path is skipped once, and of the library's functions that decide.
    A glitch on supply or clock does this on silicon, with luck; here each place is hit. The firmware is known: makers
    publish it, or it was taken from another unit. What looks opened is tried to the end: the device goes on from there.

    | =offered= | =Description= |
    | forged | one bit of the record is inverted, in the signature of the CA certificate, which no device looks at |
    | stale | the record as it was before the owner has replaced it |
    """

    id, title, keyword = "A12", "skip the verify branch", "Skip The Check"
    needs = (Need.LABORATORY, Need.MEDIUM)
    psa, emb3d, cwe = "T.GLITCH_READ", "TID-105", (1332, 1247, 1319)
    medium: MediumKind
    offered: Offered = Offered.FORGED

    def applies(self, defence: Defence) -> Applies:
        fits, scheme = holds_credentials(defence, self.medium), defence.scheme
        if not fits:
            return fits
        if not (isinstance(scheme, Vaulted) and scheme.format.authenticated):
            return Applies(False, f"under {scheme.name} no check of a record could be skipped")
        if self.offered is Offered.STALE and not scheme.format.fresh:
            return Applies(False, f"under {scheme.name} no check of a version could be skipped")
        return Applies(True, "the check is code, and code can be made to pass over an instruction")

    def fire(self, scene: Reach) -> list[Evidence]:
        evidence = [self._forge(scene) if self.offered is Offered.FORGED else self._restore(scene)]
        told = start_and_listen(scene)
        evidence.append(self.note(scene, "start without a fault", scene.medium(self.medium).name, told,
                                  received=told.encode()))
        path = self._path(scene)
        skips = self._skip_each(scene, path)
        evidence += self._table(scene, skips)
        for each in [skip for skip in skips if skip.success][:_MOST_TRIED]:
            evidence.append(self._try(scene, path, each))
        switch_off(scene)
        return evidence

    # what is offered -------------------------------------------------------------------------------------------------
    def _forge(self, scene: Reach) -> Evidence:
        medium = scene.medium(self.medium)
        pieces, (piece, *_) = holding(medium, Chunk.BROKER_CA)
        switch_off(scene)
        before = pieces.read(piece)
        after = bytearray(before)
        after[len(before) - 17] ^= 1  # the last byte before the tag
        pieces.put({piece: bytes(after)})
        return self.note(scene, "forge a record", f"{medium.name}:{piece.name}", before=before, after=bytes(after))

    def _restore(self, scene: Reach) -> Evidence:
        medium, (pieces, there) = scene.medium(self.medium), holding(scene.medium(self.medium), Chunk.BROKER_CA)
        older = {piece: pieces.read(piece) for piece in there}
        scene.wait_for_the_owner()
        switch_off(scene)
        now, held = holding(medium, Chunk.BROKER_CA)
        before = b"".join(now.read(piece) for piece in held)
        put: dict[Piece, bytes] = {**dict.fromkeys(held, b""), **older}
        if before == b"".join(older.values()):
            raise AttackFailed(f"{medium.name}: the owner has not replaced the CA certificate")
        now.put(put)
        return self.note(scene, "put back a record", f"{medium.name}:{', '.join(each.name for each in older)}",
                         before=before, after=b"".join(older.values()))

    # the path --------------------------------------------------------------------------------------------------------
    def _path(self, scene: Reach) -> CodePath:
        """From the opening of the CA's record, the last one that is opened, to the end of the loading."""
        try:
            pieces = taken_apart(scene.medium(self.medium))
        except MediumError as error:
            raise AttackFailed(f"there is no record to forge: {error}") from error
        kept = {piece.group for piece in pieces.filled() if pieces.chunk(piece) is not Chunk.BROKER_CA}
        return CodePath(scene.firmware, "credentials_load", "record_open", len(kept) + 1, _is_read)

    def _skip_each(self, scene: Reach, path: CodePath) -> list[Skip]:
        switch_off(scene)
        scene.board.power_on()
        try:
            return path.skip_each(scene.board, _decides)
        except EngineError as error:
            raise AttackFailed(f"the path was not reached: {error}") from error

    def _try(self, scene: Reach, path: CodePath, skip: Skip) -> Evidence:
        """The same skip on the device as a whole, which goes on from there."""
        board = scene.board
        switch_off(scene)
        board.power_on()
        path.reach(board)
        board.faults.skip_instruction(skip.address, 1, 1)
        said = len(board.console.lines)
        words = ("credentials: ", "storage: error", "state: ")

        def told() -> list[str]:
            return [line.text for line in board.console.lines[said:] if line.text.startswith(words)]

        with suppress(BoardError):
            board.run_until(lambda: bool(told()), _TOLD_S, "a word of the device")
        fired = board.faults.fired()
        board.faults.clear()
        return self.note(scene, SKIP, f"{skip.line} 0x{skip.address:08X}",
                         told()[0] if told() else "no word: the device hangs or crashed",
                         before=fired[0].before if fired else b"?", after=fired[0].after if fired else b"")

    def _table(self, scene: Reach, skips: Sequence[Skip]) -> list[Evidence]:
        """What became of the skips, by line of the source; one piece of evidence for each file."""
        if not skips:
            raise AttackFailed("no instruction of the path was ever executed")
        rows: dict[Line, Counter[str]] = defaultdict(Counter)
        for each in skips:
            rows[each.line]["let through" if each.success else _WORDS[each.outcome]] += 1
        table: dict[str, list[str]] = defaultdict(list)
        for line, found in sorted(rows.items()):
            words = ", ".join(f"{count} {word}" for word, count in sorted(found.items()))
            table[line.file].append(f"{line.number} ({line.function}): {words}")
        addresses = {file: b"".join(each.address.to_bytes(4, "big") for each in skips if each.line.file == file)
                     for file in table}
        return [self.note(scene, "skip each instruction once", file or "?", "line " + "; ".join(lines),
                          sent=addresses[file]) for file, lines in table.items()]


_WORDS = {Outcome.SAME: "refused", Outcome.OTHER: "refused otherwise", Outcome.FAULT: "crashed",
          Outcome.RESET: "reset", Outcome.LOCKUP: "locked up", Outcome.HANG: "hung"}


def _is_read(unit: str) -> bool:
    """Whose lines are needed; all of the firmware's take seconds to read."""
    return "vault/" in unit or "storage/" in unit or unit.endswith(("gcm.c", "constant_time.c"))


def _decides(line: Line) -> bool:
    return line.file.startswith(_OWN) or line.function in _LIBRARY
