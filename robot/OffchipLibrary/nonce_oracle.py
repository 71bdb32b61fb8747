# SPDX-License-Identifier: Apache-2.0
"""Whether a nonce ever served two contents, in all records that crossed a bus or lay on a medium."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from robot.api.deco import keyword

from offchip.attacks.record_head import HEAD, MAGIC, At, length_of, nonce_of, records_in
from offchip.attacks.unsealing import without_its_tag
from offchip.attacks.wire import sd_blocks
from offchip.engines.protocol import Transfer
from offchip.vault import EEPROM, SD, Chip
from offchip.vault.chunk import CREDENTIAL_CHUNKS
from offchip.vault.vaulted import Vaulted
from OffchipLibrary.lab import Lab

#: the first block of AES behind the head: both lie in what a medium writes at once
_FIRST = 16
_BLANK = b"\xFF" * _FIRST
_CHUNKS = {chunk.number: chunk for chunk in CREDENTIAL_CHUNKS}


class NonceOracleKeywords:
    """Judging only, by the owner's knowledge of each secret there was."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("oracle",))
    def no_nonce_should_have_served_twice(self, at_least: int) -> None:
        """Under no key does one nonce belong to two contents (NIST SP 800-38D, 8).

        Looked at are all records that were written to a medium in this test, lay on a copy that was kept, or lie there
        now. ``at_least``: so many seals there were.

        A record whose secret is not known any more fails: `Note What Is Secret` before it goes.
        """
        scheme = self.lab.device.defence.scheme
        assert isinstance(scheme, Vaulted) and scheme.format.authenticated, f"{scheme.name} has no nonces"
        secrets = {each.values[0] for each in self.lab.keys() if each.name.startswith("the device secret of")}
        served: dict[tuple[bytes, bytes], set[bytes]] = defaultdict(set)
        for record in self._records():
            if record[HEAD:] == _BLANK:  # it is being overwritten, its head last
                continue
            key = next((key for key in _keys(scheme, secrets, record) if _opens(key, record)), None)
            if key is None:
                raise AssertionError(f"a record of chunk {record[At.CHUNK]} opens with no secret that is known")
            served[key, nonce_of(record)].add(record[HEAD:HEAD + _FIRST])
        twice = [nonce for (_, nonce), contents in served.items() if len(contents) > 1]
        if twice:
            raise AssertionError(f"{len(twice)} nonces served two contents under one key, {twice[0].hex()} is one")
        if len(served) < at_least:
            raise AssertionError(f"there were {len(served)} seals, not {at_least} or more")
        keys = {key for key, _ in served}
        self.lab.saw(f"{len(served)} seals under {len(keys)} keys, each nonce for one content")

    def _records(self) -> Iterator[bytes]:
        """Head and first ciphertext of each record, as often as it was seen."""
        contents = [self.lab.medium(kind).image for kind in (SD, EEPROM)] + list(self.lab.copies.values())
        for content in contents:
            for at, _ in records_in(content):
                yield content[at:at + HEAD + _FIRST]
        for written in (*_blocks(self.lab.heard(SD)), *_pages(self.lab.heard(EEPROM))):
            if written.startswith(MAGIC) and len(written) >= HEAD + _FIRST:
                yield written[:HEAD + _FIRST]


def _blocks(transfers: Iterable[Transfer]) -> Iterator[bytes]:
    return (block.data for block in sd_blocks(transfers) if block.written)


def _pages(transfers: Iterable[Transfer]) -> Iterator[bytes]:
    """What each transaction wrote to a 24xx256, behind its two bytes of address."""
    for transfer in transfers:
        tokens = transfer.text.split()
        if len(tokens) > 4 and tokens[1] == "A0+" and "Sr" not in tokens:
            yield bytes(int(token[:2], 16) for token in tokens[4:] if token.endswith("+"))


def _keys(scheme: Vaulted, secrets: set[bytes], record: bytes) -> Iterator[bytes]:
    chunk = _CHUNKS.get(record[At.CHUNK])
    return (scheme.sealer(Chip(secret)).key(chunk if scheme.format.labelled else None, 32) for secret in secrets)


def _opens(key: bytes, record: bytes) -> bool:
    """Its content begins with the length of a value that fits, and the value as DER does (a SEQUENCE)."""
    clear = without_its_tag(key, record, record[HEAD:])
    return clear[2] == 0x30 and int.from_bytes(clear[:2], "little") + 2 <= length_of(record)
