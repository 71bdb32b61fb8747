# SPDX-License-Identifier: Apache-2.0
"""A device that makes its own key, on a whole board: enrolment, rotation, the way back from lost credentials, and the
supply lost in the middle of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from offchip import chip_map, vault
from offchip.attacks.rogue import RogueBroker
from offchip.attacks.wire import rebuild
from offchip.broker import events
from offchip.broker.registry import Status
from offchip.broker.rotation import rotate_topic
from offchip.broker.services import Request
from offchip.engines.fork import forked
from offchip.engines.protocol import StorageEvent
from offchip.paths import FIRMWARE
from offchip.pki import Authority, Identity
from offchip.scene import HOST, PORT, Defence, Device, Scene
from offchip.scene.secrets import Secret
from offchip.vault.chunk import VAULT_FILE

THING = "thing-1"
FEED = "mqtt: published topic=offchip/feed"
#: the claims of suite 08 have the others
PLACES = [("internal", "none"), ("plain", "eeprom"), ("fresh", "sd")]
OFF_CHIP = [("fresh", "sd"), ("fresh", "eeprom")]
CUTS = 3


@pytest.fixture
def scene() -> Iterator[Scene]:
    one = Scene(things=(THING,))
    yield one
    one.close()


def build(scene: Scene, scheme: str, medium: str, **changes: object) -> Device:
    device = scene.build(THING, Defence(vault.scheme(scheme), vault.medium(medium)), elf=FIRMWARE,
                         **changes)  # type: ignore[arg-type]
    for tap in (device.board.spi_tap, device.board.i2c_tap):
        tap.record()
    return device


def lines(device: Device) -> list[str]:
    return [line.text for line in device.board.console.lines]


def until(device: Device, *wanted: str, limit_s: float = 30.0) -> str:
    """Run until a new console line begins with one of these; that line. The supply may be lost meanwhile: ''."""
    seen = len(lines(device))
    for _ in range(int(limit_s * 100)):
        device.board.run(0.01)
        for text in lines(device)[seen:]:
            if text.startswith(wanted):
                return text
        if not device.board.powered:
            return ""
    raise AssertionError(f"none of {wanted} in {lines(device)[seen:]}")


def own(device: Device) -> Identity:
    identity = device.kept()
    assert identity is not None, lines(device)
    return identity


def status(scene: Scene, identity: Identity) -> Status:
    return scene.registry.certificate(identity.certificate_id).status


def where_seen(device: Device, identity: Identity) -> set[str]:
    """Where the private key can be found by somebody who has everything but the chip's registers and RAM."""
    board, secret = device.board, Secret.of_key("key", identity)
    flash = board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
    places = {"console": "\n".join(lines(device)).encode(), "modem": bytes(board.said_to_modem + board.said_by_modem),
              "flash": flash, "card": board.sd.image, "eeprom": board.eeprom.image,
              "spi": b"".join(each.data for each in rebuild(board.spi_tap.drain())),
              "i2c": b"".join(each.data for each in rebuild(board.i2c_tap.drain()))}
    return {place for place, data in places.items() if secret.form_in(data)}


# enrolment -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "medium"), PLACES)
def test_a_newcomer_makes_its_key_gets_a_certificate_and_publishes(scene: Scene, scheme: str, medium: str) -> None:
    before = scene.world.devices[THING]
    device = build(scene, scheme, medium, newcomer=True)
    assert device.kept() is None
    device.board.power_on()
    until(device, FEED)
    identity = own(device)
    assert identity.certificate.issuer == scene.authority.root.certificate.subject
    assert status(scene, identity) is Status.ACTIVE and status(scene, before) is Status.INACTIVE
    assert len(scene.accepted_publishes("offchip/feed", THING)) == 1 and not scene.processor.rogue
    assert [each.certificate_id for each in scene.broker.events.of(events.Connected)
            if each.client_id == THING] == [scene.claim().certificate_id, identity.certificate_id]
    # the key is where its scheme puts it and nowhere else
    seen = {"sd": {"card", "spi"}, "eeprom": {"eeprom", "i2c"}, "none": {"flash"}}[medium]
    assert where_seen(device, identity) == (seen if scheme in ("plain", "internal") else set())
    assert not any("state: waiting" in line for line in lines(device)) and device.board.engine.diagnostics() == []
    # it is its own from then on, also at the next boot
    device.board.power_cycle()
    assert identity.certificate_id[:8] in until(device, "credentials: ok source=" + medium.replace("none", "internal"))


def test_a_claim_that_ended_gets_nothing_and_the_device_keeps_asking(scene: Scene) -> None:
    device = build(scene, "internal", "none", newcomer=True)
    scene.deactivate(scene.claim())
    device.board.power_on()
    waits = [until(device, "state: waiting") for _ in range(2)]
    assert device.kept() is None and all("reason=tls" in wait or "reason=mqtt" in wait for wait in waits)


@pytest.mark.parametrize("how", ["another key", "no certificate"])
def test_a_certificate_that_is_not_for_its_key_is_not_taken(scene: Scene, how: str,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    device = build(scene, "fresh", "sd", newcomer=True)
    wrong = scene.authority.issue_device("wrong").certificate
    monkeypatch.setattr(scene.authority, "sign_request", lambda request: wrong)
    if how == "no certificate":
        answer = scene.world.provisioning.answer
        monkeypatch.setattr(scene.world.provisioning, "answer", lambda request: [
            replace(each, message=replace(each.message, payload=each.message.payload.replace(b"CERT", b"TRUST")))
            for each in answer(request)])
    device.board.power_on()
    until(device, "enrolment: error bad-answer")
    assert "reason=enrolment" in until(device, "state: waiting") and device.kept() is None


def test_a_failing_generator_makes_no_key(scene: Scene) -> None:
    device = build(scene, "fresh", "sd", newcomer=True)
    device.board.power_on()
    until(device, "tls: connected")
    device.board.engine.machine.platform.peripherals["rng"].fault = "stuck"  # type: ignore[attr-defined]
    assert until(device, "enrolment: ") == "enrolment: error rng"
    assert device.kept() is None and not scene.broker.events.of(events.CertificateRegistered)


# rotation ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "medium"), [("fresh", "sd"), ("plain", "eeprom")])
def test_the_owner_asks_for_a_new_key_and_the_old_one_ends(scene: Scene, scheme: str, medium: str) -> None:
    device = build(scene, scheme, medium, rotation=True)
    old = device.identity
    device.board.power_on()
    until(device, FEED)
    scene.rotate(device)
    until(device, "rotation: complete")
    assert status(scene, old) is Status.ACTIVE  # until the new one has spoken for itself
    until(device, FEED)
    new = own(device)
    assert new.key.public_key() != old.key.public_key()
    assert (status(scene, new), status(scene, old)) == (Status.ACTIVE, Status.INACTIVE)
    assert scene.broker.events.of(events.CertificateReplaced)[0].ended == (old.certificate_id,)
    assert not scene.broker.retained and not scene.broker.events.of(events.RotationRefused)
    # the old key is nowhere: neither on the medium, nor in the flash
    secret = Secret.of_key("old", old)
    flash = device.board.engine.read_memory(chip_map.DATA.start, chip_map.DATA.size)
    assert not any(secret.form_in(data) for data in (device.board.sd.image, device.board.eeprom.image, flash))
    assert where_seen(device, new) == (set() if scheme == "fresh" else {"eeprom", "i2c"})
    assert not scene.processor.rogue and device.board.engine.diagnostics() == []


def test_a_request_waits_for_a_device_that_is_away(scene: Scene) -> None:
    device = build(scene, "internal", "none", rotation=True)
    scene.rotate(device)
    device.board.power_on()
    until(device, "rotation: complete")
    until(device, FEED)
    assert status(scene, own(device)) is Status.ACTIVE and status(scene, device.identity) is Status.INACTIVE


def test_only_who_holds_a_new_certificate_ends_the_old_one(scene: Scene) -> None:
    rotation, old, log = scene.world.rotation, scene.world.devices[THING].certificate_id, scene.broker.events
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    asked = json.dumps({"certificateSigningRequest": csr.public_bytes(Encoding.PEM).decode()}).encode()

    def told(what: Callable[[Request], None], certificate: str, topic: str, payload: bytes) -> None:
        what(Request(THING, certificate, f"{rotate_topic(THING)}/{topic}", payload))

    told(rotation.on_request, old, "csr", asked)  # nobody has asked for it
    rotation.ask(THING)
    told(rotation.on_request, "a stranger's", "csr", asked)
    assert len(log.of(events.RotationRefused)) == 2 and len(scene.registry.principals_of(THING)) == 1
    told(rotation.on_request, old, "csr", asked)
    (new,) = set(scene.registry.principals_of(THING)) - {old}
    done = json.dumps({"certificateId": new}).encode()
    for certificate in (old, "a stranger's"):
        told(rotation.on_done, certificate, "done", done)
        assert rotation.pending(THING) and scene.registry.certificate(old).status is Status.ACTIVE
    told(rotation.on_done, new, "done", done)
    assert log.of(events.CertificateReplaced)[-1] == events.CertificateReplaced(THING, new, (old,))
    assert scene.registry.certificate(old).status is Status.INACTIVE and not rotation.pending(THING)


def test_a_certificate_the_server_does_not_take_costs_a_connection_and_not_the_device(
        scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    device = build(scene, "fresh", "sd", rotation=True)
    stranger = Authority(7, "somebody else")
    monkeypatch.setattr(scene.world.rotation, "_authority", stranger)
    device.board.power_on()
    until(device, FEED)
    scene.rotate(device)
    until(device, "credentials: ok source=issued")
    until(device, "state: waiting")
    monkeypatch.setattr(scene.world.rotation, "_authority", scene.authority)
    assert device.identity.certificate_id[:8] in until(device, "credentials: ok source=sd")
    until(device, "rotation: complete")  # asked again, by the request that is still there


def test_no_other_server_is_believed_by_a_newcomer(scene: Scene) -> None:
    device = build(scene, "internal", "none", newcomer=True)
    rogue = impostor(device)
    device.board.power_on()
    until(device, "credentials: ok source=claim")
    assert until(device, "tls: ", "mqtt: ") == "tls: refused reason=untrusted-ca"
    assert not rogue.handshakes and not rogue.clients


def test_no_other_server_is_believed_by_who_tries_a_new_certificate(scene: Scene) -> None:
    device = build(scene, "internal", "none", rotation=True)
    device.board.power_on()
    until(device, FEED)
    scene.rotate(device)
    until(device, "rotation: issued")
    rogue = impostor(device)
    until(device, "credentials: ok source=issued")
    assert until(device, "tls: ", "mqtt: ", "rotation: ") == "tls: refused reason=untrusted-ca"
    assert own(device).certificate_id == device.identity.certificate_id and not rogue.handshakes


def impostor(device: Device) -> RogueBroker:
    """Answers to the server's name from now on, with a certificate of nobody's authority."""
    rogue = RogueBroker(Authority(7, "somebody else").issue_server([HOST]))
    device.board.internet.redirect(HOST, PORT, rogue)
    return rogue


# lost credentials ----------------------------------------------------------------------------------------------------
def wipe(device: Device) -> None:
    if device.defence.medium is vault.SD:
        device.board.sd.write_file(VAULT_FILE, b"\xFF" * 32768)
    else:
        device.board.eeprom.write(0, b"\xFF" * 32768)


@pytest.mark.parametrize(("scheme", "medium"), OFF_CHIP)
def test_a_wiped_medium_ends_in_publishing_again_with_another_key(scene: Scene, scheme: str, medium: str) -> None:
    device = build(scene, scheme, medium, enrol_lost=True)
    old = device.identity
    device.board.power_on()
    until(device, FEED)
    device.board.power_off()
    image = device.board.sd.image if medium == "sd" else device.board.eeprom.image
    wipe(device)
    device.board.power_on()
    for _ in range(2):  # one bad reading is no loss
        assert "reason=storage" in until(device, "state: waiting")
    until(device, "vault: reset")
    until(device, f"credentials: ok source={medium}")
    new = own(device)
    assert new.key.public_key() != old.key.public_key()
    assert (status(scene, new), status(scene, old)) == (Status.ACTIVE, Status.INACTIVE)
    # last month's image is worth nothing: to the device, and at the server
    device.board.power_off()
    (device.board.sd if medium == "sd" else device.board.eeprom).write(0, image)
    device.board.power_on()
    assert "device-key" in until(device, "storage: error record")


def test_a_cut_between_reset_and_enrolment_costs_no_more_attempts(scene: Scene) -> None:
    """What was given up is not given up again: the device enrols at its first attempt, wherever the supply went."""
    device = build(scene, "fresh", "eeprom", enrol_lost=True)
    device.board.power_on()
    until(device, FEED)
    device.board.power_off()
    wipe(device)
    device.board.power_on()
    until(device, "vault: reset")
    for end in ("vault: secret created", FEED):
        device.board.power_cycle()
        start = len(device.board.console.lines)
        until(device, end)
        lines = [line.text for line in device.board.console.lines[start:]]
        assert not [line for line in lines if line.startswith(("state: waiting", "vault: reset"))], lines


def test_without_leave_a_wiped_medium_stops_the_device_until_it_comes_back(scene: Scene) -> None:
    device = build(scene, "fresh", "sd", claim=scene.credentials(scene.claim()))
    device.board.power_on()
    until(device, "credentials: ok")
    device.board.power_off()
    image = device.board.sd.image
    wipe(device)
    device.board.power_on()
    for _ in range(4):
        assert "reason=storage" in until(device, "state: waiting")
    device.board.sd.write(0, image)
    until(device, "credentials: ok source=sd")


def test_a_medium_that_is_away_is_waited_for(scene: Scene) -> None:
    device = build(scene, "fresh", "sd", enrol_lost=True)
    device.board.power_on()
    until(device, "credentials: ok")
    device.board.power_off()
    device.board.sd.eject()
    device.board.power_on()
    for _ in range(5):
        assert "reason=storage" in until(device, "state: waiting", limit_s=60)
    device.board.sd.insert()
    assert device.identity.certificate_id[:8] in until(device, "credentials: ok source=sd", limit_s=60)


# power ---------------------------------------------------------------------------------------------------------------
STEPS = {"sd": (StorageEvent.FLASH_WORD, StorageEvent.SD_BLOCK),
         "eeprom": (StorageEvent.FLASH_WORD, StorageEvent.EEPROM_PAGE)}


def counts(device: Device, end: str) -> dict[StorageEvent, int]:
    """How many steps of writing there are from here on."""
    before = {event: device.board.faults.events(event) for event in StorageEvent}
    until(device, end)
    return {event: device.board.faults.events(event) - before[event] for event in StorageEvent}


def outcome(scene: Scene, device: Device, event: StorageEvent, nth: int,
            ends: tuple[str, ...]) -> tuple[str, Status | None]:
    """Power lost in this step, and back: which credentials the device takes, and what the broker thinks of them."""
    device.board.faults.cut_power(event, nth)
    assert until(device, *ends) == "", "the cut did not come"
    device.board.power_on()
    source = until(device, "credentials: ok", "state: waiting").partition("source=")[2].partition(" ")[0]
    return source, None if source == "claim" else status(scene, own(device))


def sample(total: int) -> list[int]:
    """Some steps of so many, first and last among them."""
    return sorted({1 + n * (total - 1) // (CUTS - 1) for n in range(CUTS)}) if total else []


@pytest.mark.parametrize(("scheme", "medium"), [("fresh", "sd")])
def test_power_lost_while_the_first_key_is_kept(scene: Scene, scheme: str, medium: str) -> None:
    device = build(scene, scheme, medium, newcomer=True)
    device.board.power_on()
    until(device, "enrolment: issued")
    ends = ("enrolment: complete",)
    steps = forked(lambda: counts(device, *ends))
    found = [forked(partial(outcome, scene, device, event, nth, ends))
             for event in STEPS[medium] for nth in sample(steps[event])]
    assert len(found) > CUTS and ("claim", None) in found and set(found) <= {("claim", None), (medium, Status.ACTIVE)}


def test_a_cut_right_behind_the_commit_is_made_up_for_at_the_next_connection(scene: Scene) -> None:
    device = build(scene, "internal", "none", rotation=True)
    device.board.power_on()
    until(device, FEED)
    scene.rotate(device)
    until(device, "rotation: complete")
    device.board.power_cycle()
    new = own(device)
    assert new.certificate_id != device.identity.certificate_id
    until(device, FEED)
    until(device, FEED)
    assert (status(scene, new), status(scene, device.identity)) == (Status.ACTIVE, Status.INACTIVE)
    assert not scene.broker.retained and lines(device).count("rotation: issued") == 1
