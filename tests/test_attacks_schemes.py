# SPDX-License-Identifier: Apache-2.0
"""Records changed and trust anchors replaced, under every scheme; what the device says of it is the judge."""

from __future__ import annotations

import pytest

from offchip import vault
from offchip.attacks.bus import ReplaceOnTheBus
from offchip.attacks.client import CloneIdentity, Who
from offchip.attacks.medium import Change, ChangeRecord, Damage, DamageMedium, ReplaceTrustAnchor
from offchip.scene import Defence
from tests.attack_play import Make, Play

MEDIA = pytest.mark.parametrize("kind", [vault.SD, vault.EEPROM], ids=lambda kind: str(kind.name))
#: on both sides of each edge; all others are cells of the matrix
LADDER = ("split-plain", "encrypted", "sealed")
#: nothing notices what is changed where nobody looks
UNNOTICED = {"plain", "split-plain", "encrypted"}


def words(live: Play) -> str:
    """What the device says of its credentials when it is started."""
    said = len(live.device.board.console.lines)
    live.device.board.power_on()
    live.device.board.console.wait_for("^(credentials: |storage: error)", 10)
    live.device.board.power_off()
    return next(line for line in live.said()[said:] if line.startswith(("credentials: ", "storage: error")))


@MEDIA
@pytest.mark.parametrize("scheme", LADDER)
def test_a_bit_in_the_anchor_is_noticed_from_sealed_on(play: Make, scheme: str, kind: vault.MediumKind) -> None:
    live = play(scheme, kind)
    evidence = live.fire(ChangeRecord(kind, Change.FLIP_ANCHOR))
    assert all(sum(a != b for a, b in zip(each.before, each.after, strict=True)) == 1 for each in evidence)
    told = words(live)
    assert told.startswith("credentials: ok") if scheme in UNNOTICED else told.endswith("record-forged broker-ca"), told


@MEDIA
@pytest.mark.parametrize(("scheme", "how"), [("plain", Change.TRUNCATE), ("encrypted", Change.FLIP)])
def test_a_changed_key_or_a_cut_certificate_is_never_used(play: Make, scheme: str, kind: vault.MediumKind,
                                                          how: Change) -> None:
    live = play(scheme, kind)
    live.fire(ChangeRecord(kind, how))
    assert "error" in words(live)


@MEDIA
def test_a_cut_certificate_goes_unnoticed_where_nothing_is_authenticated(play: Make, kind: vault.MediumKind) -> None:
    """What is cut off decrypts to noise in the certificate's signature, which the device itself never checks."""
    live = play("encrypted", kind)
    live.fire(ChangeRecord(kind, Change.TRUNCATE))
    assert words(live).startswith("credentials: ok")


@pytest.mark.parametrize("scheme", ["split-plain", "split"])
def test_a_key_that_is_not_there_cannot_be_changed(scheme: str) -> None:
    attack = ChangeRecord(vault.SD)
    applies = attack.applies(Defence(vault.scheme(scheme), vault.SD))
    assert not applies and "device-key is not on the medium" in applies.reason


@MEDIA
@pytest.mark.parametrize("scheme", LADDER)
def test_a_foreign_anchor_is_believed_where_nothing_is_sealed(play: Make, scheme: str, kind: vault.MediumKind) -> None:
    live = play(scheme, kind)
    planted, told = live.fire(ReplaceTrustAnchor(kind))
    assert planted.changed
    rogue = live.reach.rogue
    assert rogue is not None
    assert bool(rogue.clients) is (scheme in {"plain", "split-plain"}), told
    if not rogue.clients:
        assert b"storage: error record-" in told.received and b"broker-ca" in told.received


@pytest.mark.parametrize(("scheme", "from_read"), [("plain", 2), ("encrypted", 1), ("sealed", 2)])
def test_a_foreign_anchor_on_the_bus(play: Make, scheme: str, from_read: int) -> None:
    live = play(scheme, vault.SD)
    before = live.device.board.sd.image
    live.fire(ReplaceOnTheBus(from_read=from_read))
    assert live.reach.rogue is not None and bool(live.reach.rogue.clients) is (scheme == "plain")
    assert live.device.board.sd.image == before


@pytest.mark.parametrize(("scheme", "lost"), [("plain", "DEVICE.KEY"), ("split-plain", "ROOTCA.CRT"),
                                              ("fresh", "VAULT.BIN")])
def test_the_file_that_hurts_most_is_deleted(play: Make, scheme: str, lost: str) -> None:
    live = play(scheme, vault.SD)
    (evidence,) = live.fire(DamageMedium(vault.SD, Damage.FILE))
    assert evidence.place == f"sdcard:/CREDS/{lost}"
    assert "error" in words(live)


def test_an_impostor_has_a_key_and_a_certificate_of_his_own(play: Make) -> None:
    live = play("fresh", vault.SD)
    (evidence,) = live.fire(CloneIdentity(who=Who.IMPOSTOR))
    assert b"alert" in evidence.received
    assert not live.scene.accepted_publishes("offchip/feed", live.device.thing)
