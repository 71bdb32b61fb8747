# SPDX-License-Identifier: Apache-2.0
"""Schemes and media by name, and what each scheme puts where."""

from __future__ import annotations

import pytest

from offchip import vault
from offchip.errors import MediumError, VaultError
from offchip.vault import fat
from offchip.vault.chunk import AREA_SIZE
from offchip.vault.credentials import pem
from offchip.vault.fat import Image
from offchip.vault.records import Tag
from offchip.vault.vaulted import Vaulted
from tests.test_factory import CREDENTIALS

SIZES = {vault.SD: 8 << 20, vault.EEPROM: 32768}
PAIRS = [(scheme, medium) for scheme in vault.SCHEMES.values() for medium in scheme.media if medium.device]


def test_names_and_codes() -> None:
    for registry in (vault.SCHEMES, vault.MEDIA):
        assert all(name == each.name for name, each in registry.items())
        assert len({each.code for each in registry.values()}) == len(registry)
    assert vault.scheme("plain") is vault.PLAIN and vault.medium("sd") is vault.SD
    with pytest.raises(VaultError, match=r"no scheme 'open'; schemes are internal, plain"):
        vault.scheme("open")
    with pytest.raises(VaultError, match=r"no medium 'tape'; media are none, sd, eeprom"):
        vault.medium("tape")


def test_credentials_are_in_the_page_or_on_the_medium() -> None:
    assert vault.INTERNAL.page_entries(CREDENTIALS) == CREDENTIALS.entries()
    assert vault.PLAIN.page_entries(CREDENTIALS) == []
    for act in (lambda: vault.INTERNAL.read(vault.SD, Image(b"")), lambda: vault.INTERNAL.place(vault.SD, Tag.SCHEME),
                lambda: vault.INTERNAL.write(vault.SD, Image(b""), [])):
        with pytest.raises(MediumError, match="keeps nothing on a medium"):
            act()
    with pytest.raises(VaultError):
        vault.INTERNAL.image(vault.SD, 8 << 20, CREDENTIALS)
    with pytest.raises(VaultError):
        vault.NONE.image(1, {}, b"")


@pytest.mark.parametrize("medium", vault.PLAIN.media, ids=lambda medium: medium.name)
def test_plain_is_read_and_rewritten_by_whoever_holds_the_medium(medium: vault.MediumKind) -> None:
    storage = Image(vault.PLAIN.image(medium, SIZES[medium], CREDENTIALS))
    assert storage.size == SIZES[medium]
    entries = vault.PLAIN.read(medium, storage)
    assert entries == CREDENTIALS.entries()
    place = vault.PLAIN.place(medium, Tag.TRUST_ANCHOR)
    before = place.read(storage)
    vault.PLAIN.write(medium, storage, [(Tag.TRUST_ANCHOR, b"rogue" * 40), *entries])
    assert vault.PLAIN.read(medium, storage)[:2] == [(Tag.TRUST_ANCHOR, b"rogue" * 40), entries[0]]
    assert place.read(storage) != before


def test_plain_reports_what_is_damaged() -> None:
    storage = Image(vault.PLAIN.image(vault.SD, SIZES[vault.SD], CREDENTIALS))
    fat.write_file(storage, "/CREDS/DEVICE.CRT", pem("CERTIFICATE", b"x" * 60).replace(b"eHh4", b"e!h4"))
    with pytest.raises(MediumError, match="DEVICE.CRT: the PEM text is not base64"):
        vault.PLAIN.read(vault.SD, storage)
    with pytest.raises(MediumError):
        vault.PLAIN.read(vault.EEPROM, Image(bytes(64)))
    with pytest.raises(VaultError, match="EEPROM of 512"):
        vault.PLAIN.image(vault.EEPROM, 512, CREDENTIALS)


@pytest.mark.parametrize(("name", "believed"), [("sealed", True), ("labelled", True), ("encrypted", True),
                                                ("fresh", False), ("fleet-key", False)])
def test_an_update_that_was_not_committed_counts_only_where_the_medium_is_believed(name: str, believed: bool) -> None:
    """SPEC 9, reading: one above the committed version is tried last."""
    scheme, chip, chunk = vault.scheme(name), vault.Chip(bytes(range(32)), bytes(12)), vault.Chunk.DEVICE_KEY
    assert isinstance(scheme, Vaulted)
    area = Image(b"\xFF" * AREA_SIZE)
    records = {slot: scheme.sealer(chip).seal(chunk, slot + 1, slot + 5, slot, b"content %d" % slot) for slot in (0, 1)}
    area.write(chunk.offset + chunk.slot_size, records[1])
    if believed:
        assert scheme.open_chunk(vault.EEPROM, area, chip, chunk, 0) == (2, b"content 1"), "there is nothing else"
    else:
        with pytest.raises(VaultError, match="missing"):
            scheme.open_chunk(vault.EEPROM, area, chip, chunk, 0)
    area.write(chunk.offset, records[0])
    assert scheme.open_chunk(vault.EEPROM, area, chip, chunk, 1) == (1, b"content 0")
    assert scheme.open_chunk(vault.EEPROM, area, chip, chunk, 2) == (2, b"content 1")
