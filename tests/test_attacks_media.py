# SPDX-License-Identifier: Apache-2.0
"""Attacks that move, restore, open or search what is stored, each under a scheme that falls and one that stops it.

The verdict is the test's own: what the device says it loaded, and the owner's knowledge of his keys.
"""

from __future__ import annotations

import pytest

from offchip import vault
from offchip.attacks.dissection import DissectAnotherUnit, Gain, OpenTheChip
from offchip.attacks.moving import Part, RestoreOlderImage, SwapChunks, TransplantMedium
from offchip.attacks.reach import AttackFailed
from offchip.attacks.remains import SearchRemains
from offchip.scene.renewal import renew, storage
from tests.attack_play import Make

MEDIA = pytest.mark.parametrize("kind", [vault.SD, vault.EEPROM], ids=lambda kind: str(kind.name))



# A05 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "kind", "taken"), [
    ("sealed", vault.EEPROM, True), ("labelled", vault.SD, False), ("encrypted", vault.EEPROM, False)], ids=str)
def test_a_piece_passes_for_another_only_without_a_label(play: Make, scheme: str, kind: vault.MediumKind,
                                                         taken: bool) -> None:
    live = play(scheme, kind)
    evidence = live.fire(SwapChunks(kind))
    words = [each.detail.partition("; ")[0] for each in evidence]
    # three exchanges, and each of three records into both slots of the two other chunks
    assert len(set(words)) == len(words) == 3 + 3 * 2 * 2 and sum("exchanged" in each for each in words) == 3
    assert {f"device-certificate/1 copied to {chunk}/{slot}" for chunk in ("device-key", "broker-ca")
            for slot in (0, 1)} <= set(words), words
    passed = [each for each in evidence if "storage: error" not in each.detail]
    assert bool(passed) is taken, [each.detail for each in evidence]
    assert all(each.changed for each in evidence)


@MEDIA
def test_a_swap_leaves_the_medium_as_it_was(play: Make, kind: vault.MediumKind) -> None:
    passes = {vault.SD: "/CREDS/DEVICE.CRT copied to /CREDS/ROOTCA.CRT",
              vault.EEPROM: "certificate field 1 copied to anchor field 0"}
    live = play("plain", kind)
    before = storage(live.device).image
    evidence = live.fire(SwapChunks(kind))
    assert storage(live.device).image == before and len(evidence) == 9
    # the device's certificate is a certificate, so it passes for the CA's; nothing else passes
    assert {each.detail.partition(";")[0] for each in evidence if "credentials: ok" in each.detail} \
        == {passes[kind]}


# A06 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "kind", "taken"), [
    ("plain", vault.SD, True), ("fleet-key", vault.EEPROM, True), ("sealed", vault.EEPROM, False),
    ("labelled", vault.SD, False)], ids=str)
def test_a_foreign_medium_is_taken_in_clear_or_under_a_fleet_s_key(play: Make, scheme: str, kind: vault.MediumKind,
                                                                   taken: bool) -> None:
    live = play(scheme, kind, units=2)
    (evidence,) = live.fire(TransplantMedium(kind))
    foreign = storage(live.others[0]).image
    assert live.loaded(live.others[0].identity) is taken, evidence.detail
    assert evidence.after == foreign and evidence.changed


# A07 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "kind", "taken"), [
    ("plain", vault.SD, True), ("plain", vault.EEPROM, True), ("labelled", vault.EEPROM, True),
    ("fresh", vault.SD, False), ("fleet-key", vault.EEPROM, False)], ids=str)
def test_an_older_image_is_taken_unless_the_chip_counts(play: Make, scheme: str, kind: vault.MediumKind,
                                                        taken: bool) -> None:
    live = play(scheme, kind)
    (evidence,) = live.fire(RestoreOlderImage(kind))
    assert live.loaded(live.device.identity) is taken, evidence.detail
    assert live.renewed and not live.loaded(live.renewed[0])
    assert ("record-stale" in evidence.detail) is not taken


@pytest.mark.parametrize(("scheme", "taken"), [("labelled", True), ("fresh", False)])
def test_one_older_piece_among_new_ones(play: Make, scheme: str, taken: bool) -> None:
    live = play(scheme, vault.EEPROM)
    evidence = live.fire(RestoreOlderImage(vault.EEPROM, Part.EACH))
    assert [each.place for each in evidence] == ["eeprom:device-key", "eeprom:device-certificate", "eeprom:broker-ca"]
    assert all(("record-stale" in each.detail) is not taken for each in evidence)


def test_nothing_is_older_where_nothing_was_renewed(play: Make) -> None:
    live = play("plain", vault.SD)
    live.reach.meanwhile = lambda: None
    with pytest.raises(AttackFailed, match="nothing on it was renewed"):
        RestoreOlderImage(vault.SD).fire(live.reach)


# A20, A30 ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "kind", "opened"), [
    ("fleet-key", vault.SD, True), ("fresh", vault.EEPROM, False), ("encrypted", vault.SD, False)], ids=str)
def test_another_unit_s_secret_opens_only_a_fleet_s_media(play: Make, scheme: str, kind: vault.MediumKind,
                                                          opened: bool) -> None:
    live = play(scheme, kind, units=2)
    evidence = live.fire(DissectAnotherUnit(kind))
    assert live.found(live.device.identity) is opened
    assert any("device-key" in each.detail for each in evidence) is opened


@pytest.mark.parametrize(("scheme", "kind"), [
    ("internal", vault.NONE), ("split", vault.SD), ("fresh", vault.EEPROM), ("encrypted", vault.SD)], ids=str)
def test_with_the_chip_opened_everything_falls(play: Make, scheme: str, kind: vault.MediumKind) -> None:
    live = play(scheme, kind)
    live.fire(OpenTheChip())
    identity = live.reach.loot.identity
    assert live.found(live.device.identity) and identity is not None
    assert identity.certificate_id == live.device.identity.certificate_id


def test_who_has_the_secret_seals_his_own_anchor(play: Make) -> None:
    live = play("fresh", vault.EEPROM)
    evidence = live.fire(OpenTheChip(Gain.FORGE))
    live.device.board.console.wait_for("^mqtt: published", 20)
    assert live.reach.rogue is not None and live.reach.rogue.messages
    assert [each.action for each in evidence] == ["open the chip", "forge", "answer for the server"]


# A26 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "kind"), [("plain", vault.SD), ("fresh", vault.EEPROM)], ids=str)
def test_what_was_overwritten_is_gone(play: Make, scheme: str, kind: vault.MediumKind) -> None:
    live = play(scheme, kind)
    live.fire(SearchRemains(kind))
    assert not live.found(live.device.identity) and live.found(live.renewed[0]) is (scheme == "plain")


def test_a_deleted_file_lies_on_in_free_clusters(play: Make) -> None:
    live = play("plain", vault.SD)
    card = live.device.board.sd
    live.reach.meanwhile = lambda: [card.delete_file(path) for path in card.files()]  # type: ignore[assignment]
    evidence = live.fire(SearchRemains(vault.SD))
    assert live.found(live.device.identity) and card.files() == []
    assert evidence[-1].action == "compare" and not evidence[-1].detail.startswith("0 of")


@pytest.mark.parametrize(("kind", "erased"), [(vault.SD, True), (vault.EEPROM, False)], ids=str)
def test_a_superseded_record_is_found_once_the_chip_is_open(play: Make, kind: vault.MediumKind, erased: bool) -> None:
    live = play("fresh", kind)
    live.reach.meanwhile = lambda: live.renewed.append(renew(live.scene, live.device, erase_old=erased))
    live.fire(SearchRemains(kind, open_chip=True))
    assert live.found(live.renewed[0]) and live.found(live.device.identity) is not erased
