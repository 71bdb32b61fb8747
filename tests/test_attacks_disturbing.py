# SPDX-License-Identifier: Apache-2.0
"""Attackers who disturb: the noise source, the supply in an update, single instructions, a write-protect pin."""

from __future__ import annotations

from typing import Any

import pytest

from offchip import vault
from offchip.attacks.disturbing import Noise, SpoilTheNoise
from offchip.attacks.locks import LiftTheLock
from offchip.attacks.reach import AttackFailed
from offchip.attacks.skipping import SkipTheCheck
from offchip.attacks.updates import CutTheUpdate, ReuseNonces, Then
from offchip.scene.renewal import renew
from tests.attack_play import Make

SECRET = bytes(range(60, 92))


# A15 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("noise", [Noise.STUCK, Noise.ALTERNATING, Noise.REPEATING])
def test_a_device_without_noise_makes_no_secret(play: Make, noise: Noise) -> None:
    live = play("fresh", vault.EEPROM, units=2, booted=False)
    told, *tried = live.fire(SpoilTheNoise(vault.EEPROM, noise))
    assert "rng: error" in told.detail and not live.device.board.console.find("secret created")
    assert tried and not live.reach.loot.keys


@pytest.mark.parametrize("injected", [False, True])
def test_noise_that_only_looks_good_gives_the_secret_away_unless_the_factory_injects_it(play: Make,
                                                                                        injected: bool) -> None:
    live = play("fresh", vault.EEPROM, units=2, booted=False, **({"device_secret": SECRET} if injected else {}))
    if injected:  # each device its own
        own = live.others[0].board.engine
        _secret_of_its_own(own)
    live.fire(SpoilTheNoise(vault.EEPROM, Noise.PREDICTABLE))
    assert live.found(live.device.identity) is not injected


def _secret_of_its_own(engine: Any) -> None:
    from offchip import chip_map
    from offchip.vault.counters import SIZE, Counters
    start = chip_map.sector(chip_map.VAULT_SECTORS[0]).start
    counters = Counters.parse(engine.read_memory(start, SIZE))
    engine.program(start, Counters(bytes(reversed(counters.secret)), counters.seals, counters.versions).image())


# A16 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("restarted", [False, True])
def test_a_nonce_comes_twice_only_where_the_count_restarts(play: Make, restarted: bool) -> None:
    live = play("labelled", vault.EEPROM)
    live.reach.meanwhile = lambda: live.renewed.append(renew(live.scene, live.device, restart_seals=restarted))
    *_, collected = live.fire(ReuseNonces(vault.EEPROM))
    assert (collected.action == "add two ciphertexts") is restarted, collected.detail


# A11 -----------------------------------------------------------------------------------------------------------------
def test_an_update_that_is_never_made_cannot_be_cut(play: Make) -> None:
    live = play("fresh", vault.EEPROM)
    with pytest.raises(AttackFailed, match="wrote fewer than 1 times"):
        CutTheUpdate(vault.EEPROM).fire(live.reach)


@pytest.mark.parametrize(("kind", "then"), [(vault.EEPROM, Then.OLDER), (vault.SD, Then.TORN)], ids=str)
def test_a_cut_first_filling_is_made_anew(play: Make, kind: vault.MediumKind, then: Then) -> None:
    """The first boot is an update, too: the device seals what the factory left it."""
    live = play("fresh", kind, booted=False)
    live.reach.meanwhile = lambda: live.boot(live.device)
    cut, chosen = live.fire(CutTheUpdate(kind, 2, then))
    assert cut.action == "cut_power" and "credentials: ok" in chosen.detail


# A12 -----------------------------------------------------------------------------------------------------------------
def test_which_skipped_instructions_let_a_forgery_through(play: Make) -> None:
    live = play("fresh", vault.EEPROM)
    forged, refused, *rest = SkipTheCheck(vault.EEPROM).fire(live.reach)
    assert forged.changed and "record-forged broker-ca" in refused.detail
    table = [each for each in rest if each.action == "skip each instruction once"]
    assert {"firmware/src/vault/record.c", "firmware/src/vault/slots.c"} <= {each.place for each in table}
    assert sum(len(each.sent) // 4 for each in table) > 150
    assert not [each for each in rest if each.detail.startswith("credentials: ok")], "one skip opens what is forged"


# A29 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "believed"), [("plain", True), ("fresh", False)])
def test_a_lifted_lock_matters_only_where_nothing_else_protects(play: Make, scheme: str, believed: bool) -> None:
    live = play(scheme, vault.EEPROM, booted=False)
    with pytest.raises(AttackFailed, match="no lock to lift"):
        LiftTheLock().fire(live.reach)
    live.boot(live.device)  # the firmware holds the pin high
    lifted, planted, _ = live.fire(LiftTheLock())
    assert lifted.changed and planted.changed
    assert live.reach.rogue is not None and bool(live.reach.rogue.clients) is believed
