# SPDX-License-Identifier: Apache-2.0
"""A device with the kind of key AWS IoT hands out, RSA-2048: it publishes, and who finds which half of it where."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from offchip import chip_map, vault
from offchip.attacks.loot import Loot
from offchip.paths import FIRMWARE
from offchip.pki import Identity
from offchip.scene import Defence, Device, Scene
from offchip.scene.scene import THING
from offchip.scene.secrets import Secret

KEY = rsa.generate_private_key(65537, 2048)
PLACES = [(vault.INTERNAL, vault.NONE), (vault.scheme("plain"), vault.SD), (vault.scheme("plain"), vault.EEPROM),
          (vault.scheme("fresh"), vault.SD), (vault.scheme("fresh"), vault.EEPROM)]


@pytest.fixture
def scene() -> Iterator[Scene]:
    one = Scene(things=(THING,))
    yield one
    one.close()


def running(scene: Scene, scheme: vault.Scheme, medium: vault.MediumKind) -> Device:
    """A device that has published with the RSA key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, THING)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(KEY, hashes.SHA256())
    identity = Identity(scene.authority.sign_request(request.public_bytes(Encoding.PEM)), KEY)
    identifier = scene.registry.register_certificate(identity)
    scene.registry.attach_thing(identifier, THING)
    scene.registry.attach_policy(identifier, "narrow")
    device = scene.build(THING, Defence(scheme, medium), identity, elf=FIRMWARE)
    device.board.power_on()
    for _ in range(40):
        device.board.run(0.1)
        if device.board.console.find("^mqtt: published topic=offchip/feed"):
            return device
    raise AssertionError([line.text for line in device.board.console.lines])


@pytest.mark.parametrize(("scheme", "medium"), PLACES, ids=lambda each: each.name)
def test_a_device_with_an_rsa_key_publishes_and_its_key_lies_where_the_scheme_says(
        scene: Scene, scheme: vault.Scheme, medium: vault.MediumKind) -> None:
    device = running(scene, scheme, medium)
    engine, secret = device.board.engine, Secret.of_key("the key", device.identity)
    places = {"flash": engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)}
    if medium.device:
        places["medium"] = (device.board.sd if medium is vault.SD else device.board.eeprom).image
    carved = {}
    for where, data in places.items():
        loot = Loot()
        loot.search(data, where)
        carved[where] = loot.identity is not None or any(key.key.private_numbers() == KEY.private_numbers()
                                                         for key in loot.keys)
        assert bool(secret.form_in(data)) == carved[where], where
    assert carved == {"flash": scheme.name == "internal"} | (
        {"medium": scheme.name == "plain"} if medium.device else {})
    # in RAM lie its primes, as the library keeps them: one of them, with the certificate, is the key
    loot = Loot()
    loot.search(device.identity.certificate_der, "the certificate that everybody sees")
    loot.search_numbers(engine.read_memory(chip_map.SRAM.start, chip_map.SRAM.size), "sram")
    assert [key.form for key in loot.keys] == ["prime"] and loot.identity is not None
    assert loot.identity.key.private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(("scheme", "medium"), [(vault.PLAIN, vault.SD), (vault.scheme("fresh"), vault.EEPROM)],
                         ids=lambda each: each.name)
def test_a_device_in_an_open_network_with_a_root_it_does_not_know_publishes(
        scene: Scene, scheme: vault.Scheme, medium: vault.MediumKind) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a root of another curve")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    key = ec.generate_private_key(ec.SECP521R1())
    stranger = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2030)).sign(
        key, hashes.SHA512()).public_bytes(Encoding.DER)
    usual = scene.provisioning(THING, Defence(scheme, medium)).credentials
    device = scene.build(THING, Defence(scheme, medium), elf=FIRMWARE, wifi_passphrase="",
                         credentials=dataclasses.replace(usual, anchors=(stranger, *usual.anchors)))
    device.board.power_on()
    device.board.console.wait_for("^mqtt: published")
    lines = [line.text for line in device.board.console.find("^credentials: ")]
    assert lines == [f"credentials: skipped anchor={hashlib.sha256(stranger).hexdigest()[:8]}",
                     f"credentials: ok source={medium.name} certificate={device.identity.certificate_id[:8]}"]
    assert not [each for each in scene.secrets() if "passphrase" in each.name]
