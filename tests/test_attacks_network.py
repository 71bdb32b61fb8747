# SPDX-License-Identifier: Apache-2.0
"""Attackers on the network: what an imposter can push, forward and compute, believed by the device or not."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from offchip import chip_map, vault
from offchip.attacks.carving import P256_ORDER
from offchip.attacks.impostor import Downgrade, DowngradeTls, PushFirmware, StandBetween, Upstream
from offchip.attacks.medium import ReadMedium
from offchip.attacks.signatures import Signature, recover
from tests.attack_play import Make


# A23 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "believed"), [("plain", True), ("fresh", False)])
def test_pushed_firmware_reaches_who_believes_and_nobody_runs_it(play: Make, scheme: str, believed: bool) -> None:
    live = play(scheme, vault.EEPROM, **({"subscribe_filters": ("offchip/things/thing-1/#",)} if believed else {}))
    engine = live.device.board.engine
    before = engine.read_memory(chip_map.FLASH.start, chip_map.FLASH.size)
    live.fire(PushFirmware(vault.EEPROM if believed else vault.NONE))
    took = live.device.board.console.find("^mqtt: message topic=")
    assert bool(took) is believed
    after = engine.read_memory(chip_map.FLASH.start, chip_map.FLASH.size)
    code = chip_map.DATA.end - chip_map.FLASH.start
    assert after[code:] == before[code:] and b"offchip was here" not in after
    assert len(live.device.board.console.find("^boot: ")) == 2


# A27 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("upstream", "stolen", "passed"), [  # the careless server has cells of its own
    (Upstream.MUTUAL, False, False), (Upstream.MUTUAL, True, True)])
def test_an_imposter_forwards_only_where_the_server_asks_for_no_key_or_he_has_it(
        play: Make, upstream: Upstream, stolen: bool, passed: bool) -> None:
    live = play("plain", vault.SD)
    if stolen:
        ReadMedium(vault.SD).fire(live.reach)
    wire, *_, forwarded = live.fire(StandBetween(vault.SD, upstream))
    assert wire.sent and wire.received and b"temperature" not in wire.sent + wire.received
    assert (b"temperature" in forwarded.sent) is passed, forwarded.detail
    if not passed:
        assert re.search("alert (116|42|40|48|46)", forwarded.detail), forwarded.detail


def test_a_device_that_keeps_its_anchor_gives_an_imposter_nothing(play: Make) -> None:
    live = play("fresh", vault.EEPROM)
    *_, forwarded = live.fire(StandBetween())
    assert live.reach.rogue is not None and not live.reach.rogue.clients and live.reach.rogue.failures
    assert b"temperature" not in forwarded.sent + forwarded.received


# A28 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", [Downgrade.NO_TLS_1_3, Downgrade.OLD_VERSION, Downgrade.WEAK_SUITE,
                                 Downgrade.OLD_SERVER])
def test_nothing_worse_than_tls_1_2_with_forward_secrecy_is_agreed(play: Make, how: Downgrade) -> None:
    live = play("plain", vault.SD)
    medium = vault.SD if how is Downgrade.OLD_SERVER else vault.NONE
    evidence = live.fire(DowngradeTls(how, medium))
    begun = max(number for number, line in enumerate(live.said()) if line.startswith("boot: "))
    words = [line for line in live.said()[begun:] if line.startswith(("tls: ", "mqtt: "))]
    assert words and not any(line.startswith(("tls: connected", "mqtt: ")) for line in words), words
    assert evidence[-1].received and (how is Downgrade.OLD_SERVER or evidence[-1].changed)


def test_no_private_key_follows_from_what_the_device_signs_for_an_imposter(play: Make) -> None:
    live = play("plain", vault.SD)
    *_, computed = live.fire(DowngradeTls(Downgrade.SIGNATURES, vault.SD))
    assert computed.detail.startswith("3 signatures of the device verified, 3 different nonces"), computed.detail
    assert not live.found(live.device.identity)


def _signed(key: ec.EllipticCurvePrivateKey, nonce: int, digest: int) -> Signature:
    point = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers()
    r, d = point.x % P256_ORDER, key.private_numbers().private_value
    return Signature(key.public_key(), r, pow(nonce, -1, P256_ORDER) * (digest + r * d) % P256_ORDER, digest, b"")


@pytest.mark.parametrize(("nonces", "given"), [((12345678901, 12345678901), True), ((77, 10**30), True),
                                               ((10**30, 10**31), False)])
def test_a_repeated_or_guessed_nonce_gives_the_key_away(nonces: tuple[int, int], given: bool) -> None:
    key = ec.derive_private_key(0x1234567890ABCDEF << 128 | 5, ec.SECP256R1())
    found = recover([_signed(key, nonce, 1000 + at) for at, nonce in enumerate(nonces)])
    assert (found is not None and found.private_numbers() == key.private_numbers()) is given
