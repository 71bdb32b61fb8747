# SPDX-License-Identifier: Apache-2.0
"""Attackers on the network: what an imposter can push, forward and compute, believed by the device or not."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from offchip import chip_map, vault
from offchip.attacks.carving import P256_ORDER
from offchip.attacks.impostor import (
    Downgrade,
    DowngradeTls,
    PushFirmware,
    StandBetween,
    Upstream,
    without_safe_renegotiation,
)
from offchip.attacks.medium import ReadMedium
from offchip.attacks.rogue import RogueBroker
from offchip.attacks.signatures import Signature, recover
from offchip.pki import Authority
from OffchipLibrary.goals.between import offered
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
@pytest.mark.parametrize("how", sorted(set(Downgrade) - {Downgrade.SIGNATURES, Downgrade.RESUMPTION}, key=str))
def test_nothing_worse_than_tls_1_2_with_forward_secrecy_is_agreed(play: Make, how: Downgrade) -> None:
    live = play("plain", vault.SD)
    own_server = how in (Downgrade.OLD_SERVER, Downgrade.WEAK_CURVE)
    evidence = live.fire(DowngradeTls(how, vault.SD if own_server else vault.NONE))
    begun = max(number for number, line in enumerate(live.said()) if line.startswith("boot: "))
    words = [line for line in live.said()[begun:] if line.startswith(("tls: ", "mqtt: "))]
    assert words and not any(line.startswith(("tls: connected", "mqtt: ")) for line in words), words
    assert evidence[-1].received and (own_server or evidence[-1].changed)


def test_the_sign_of_safe_renegotiation_is_all_that_is_taken_out() -> None:
    client = ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), client, server_hostname="x").do_handshake()
    hello = client.read()
    changed = without_safe_renegotiation(hello)
    assert hello.count(b"\x00\xff") >= 1 and len(changed) == len(hello)
    assert [pair for pair in zip(hello, changed, strict=True) if pair[0] != pair[1]] == [(0x00, 0x0A), (0xFF, 0x0A)]


@pytest.mark.parametrize(("curve", "agreed"), [("prime192v1", True), ("prime256v1", False)])
def test_a_client_with_the_weak_curve_agrees_with_the_weak_server(curve: str, agreed: bool) -> None:
    rogue = RogueBroker(Authority(1, "rogue", keys="rsa").issue_server(["broker"]))
    rogue.agree_on_a_weak_curve()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_ecdh_curve(curve)
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = context.wrap_bio(into, out), rogue.connect("judge")
    for _ in range(4):
        with suppress(ssl.SSLError):
            client.do_handshake()
        server.receive(out.read())
        into.write(server.take())
    assert bool(rogue.handshakes) is agreed, rogue.failures


def test_two_sessions_of_one_life_are_recorded(play: Make) -> None:
    live = play("plain", vault.SD)
    first, second = live.fire(DowngradeTls(Downgrade.RESUMPTION))
    assert first.received != second.received
    assert len([line for line in live.said() if line.startswith("tls: connected")]) >= 2
    assert live.said().count("boot: ") <= 1


def test_a_client_that_would_take_tickets_says_so() -> None:
    for version, kind in ((ssl.TLSVersion.TLSv1_2, 35), (ssl.TLSVersion.TLSv1_3, 45)):
        client, context = ssl.MemoryBIO(), ssl.create_default_context()
        context.minimum_version = context.maximum_version = version
        with pytest.raises(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), client, server_hostname="x").do_handshake()
        assert kind in offered(client.read())
    assert offered(b"\x17\x03\x03") == {}


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
