# SPDX-License-Identifier: Apache-2.0
"""Whether an attacker did all of what he says, with what he had got himself; oracles of several goals.

Who tries half of the ways in, or is handed what he should have found, is beaten or wins for no reason of the defence's.
What there was to try follows from what the owner knows of his device and from SPEC.md, never from the attacker's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from offchip.evidence import Evidence
from offchip.vault.chunk import CREDENTIAL_CHUNKS, SLOTS
from offchip.vault.vaulted import Vaulted
from OffchipLibrary.lab import Lab

OPENED, TOOK_OUT = "open with the secret", "open the chip"
#: SPEC.md section 9: where the fields of a record's head begin, and bytes of head and tag
_FIELDS, _HEAD, _TAG = (0, 4, 5, 6, 7, 8, 12, 16, 28), 32, 16
_MAGIC, _CHUNK_AT, _LENGTH_AT, _VERSION_AT, _NONCE_AT = b"OCV1", 6, 8, 12, 16
#: of a record in which no field can be seen: parts that must each have been touched
_PARTS = 3
#: first halfwords from here on begin an instruction of four bytes (ARMv7-M ARM, A5.1)
_LARGEST_FIRST = 0xE800
#: the part of a path that runs on without a branch taken
_RUNS_ON = 0.6


def swaps_there_are(lab: Lab) -> int:
    """Ways to let one piece of the device's medium pass for another: each pair exchanged, each copied to each place
    of each other."""
    scheme = lab.device.defence.scheme
    outside = len(CREDENTIAL_CHUNKS - scheme.on_chip)
    places = SLOTS if isinstance(scheme, Vaulted) else 1
    return len(list(combinations(range(outside), 2))) + outside * (outside - 1) * places


def all_swaps_tried(lab: Lab) -> None:
    """An oracle: as many different ones as there are."""
    tried, ways = {(each.place, each.before, each.after) for each in lab.evidence()}, swaps_there_are(lab)
    if len(tried) < ways:
        raise AssertionError(f"{len(tried)} pieces were moved, there are {ways} ways")
    lab.saw(f"{len(tried)} pieces were moved, of {ways} ways there are at least")


def all_fields_tried(lab: Lab) -> None:
    """An oracle: each field of the record was changed; where none can be seen, each part of it."""
    changed = [each for each in lab.evidence() if each.action == "flip bit" and each.before]
    found = {_field_of(each) for each in changed}
    wanted = {name for each in changed for name in _fields_of(each.before)}
    if not wanted or wanted - found:
        raise AssertionError(f"nobody has changed {', '.join(sorted(wanted - found)) or 'anything'}")
    lab.saw(f"changed, one after the other: {', '.join(sorted(found))}")


def _field_of(evidence: Evidence) -> str:
    """The field a change hit."""
    at = next((at for at, pair in enumerate(zip(evidence.before, evidence.after, strict=False))
               if pair[0] != pair[1]), -1)
    return next((name for name, (start, end) in _fields_of(evidence.before).items() if start <= at < end), "")


def _fields_of(record: bytes) -> dict[str, tuple[int, int]]:
    """Name -> where it begins and ends."""
    if not record.startswith(_MAGIC):
        edges = [len(record) * part // _PARTS for part in range(_PARTS + 1)]
        return {f"part {number} of {_PARTS}": pair for number, pair in
                enumerate(zip(edges, edges[1:], strict=False), 1)}
    end = _HEAD + int.from_bytes(record[_LENGTH_AT:_VERSION_AT], "little")
    edges = [*_FIELDS, _HEAD, end, end + _TAG]
    return {f"bytes {start} to {stop - 1}": (start, stop) for start, stop in zip(edges, edges[1:], strict=False)}


def renumbered(lab: Lab) -> None:
    """An oracle: of some record the medium then held an older content under the number of the one that replaced it."""
    before, after = ({(head[_CHUNK_AT], head[_VERSION_AT:_NONCE_AT]): rest for head, rest in records(image)}
                     for image in (b"".join(each.before for each in lab.evidence()),
                                   b"".join(each.after for each in lab.evidence())))
    forged = [name for name, rest in after.items() if name in before and before[name] != rest]
    if not forged:
        raise AssertionError("no older record has the number of the one that replaced it")
    lab.saw(f"{len(forged)} older records lie there under the number of those that replaced them")


def records(image: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Head, and nonce with content and tag, of everything in an image that begins as a record does."""
    at = image.find(_MAGIC)
    while at >= 0:
        head = image[at:at + _HEAD]
        if len(head) == _HEAD:
            size = int.from_bytes(head[_LENGTH_AT:_VERSION_AT], "little")
            yield head, image[at + _NONCE_AT:at + _HEAD + size + _TAG]
        at = image.find(_MAGIC, at + 1)


def path_without_gaps(lab: Lab, addresses: Iterable[int]) -> None:
    """An oracle: the instructions that were skipped follow each other, as in a path that nobody has thinned out."""
    tried = set(addresses)
    engine = lab.board.engine
    follow = sum(at + (4 if int.from_bytes(engine.read_memory(at, 2), "little") >= _LARGEST_FIRST else 2) in tried
                 for at in tried)
    if follow < _RUNS_ON * len(tried):
        raise AssertionError(f"of {len(tried)} instructions that were skipped, the next one was skipped, too, in "
                             f"{follow} cases only: the path has gaps")


def first_boot(lab: Lab) -> None:
    """An oracle: the device had never said anything when the attacker came."""
    if lab.begun.lines:
        raise AssertionError("the device had started before the attack: this was no first boot")


def dissected(lab: Lab) -> None:
    """An oracle: the secret that was tried came out of another unit's chip, where it lies."""
    other = lab.others[0] if lab.others else None
    got = {each.received for each in lab.evidence() if other and each.action == TOOK_OUT
           and each.place == f"flash of {other.thing}" and each.received in other.secrets()}
    used = {each.sent for each in lab.evidence() if each.action == OPENED}
    if not got or not used <= got:
        raise AssertionError("the secret that was tried is not from the chip of another unit")
    lab.saw(f"flash of {other.thing if other else ''}: its secret was tried")


def earned(lab: Lab, evidence: Evidence) -> bool:
    """What was got was there; what was opened was opened with a secret that does open it."""
    return evidence.action != OPENED or evidence.sent in lab.device.secrets()
