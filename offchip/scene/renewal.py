# SPDX-License-Identifier: Apache-2.0
"""The owner's bench: a device's credentials renewed by hand.

It stands for a rotation over the air: the medium and the chip's counters are as the device itself would leave them.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

from offchip import chip_map, vault
from offchip.board.factory import data_image
from offchip.board.media import Eeprom, SdCard
from offchip.errors import VaultError
from offchip.pki import Authority, Identity
from offchip.scene.scene import Device, Scene
from offchip.scene.seeds import derive
from offchip.vault.chunk import AREA_SIZE, CREDENTIAL_CHUNKS, CREDENTIAL_TAGS, SLOTS, VAULT_FILE, content
from offchip.vault.counters import SIZE, Counters
from offchip.vault.sealed import Sealer
from offchip.vault.vaulted import Vaulted

_VAULT = chip_map.sector(chip_map.VAULT_SECTORS[0]).start


def storage(device: Device) -> SdCard | Eeprom:
    """The device's medium."""
    return device.board.sd if device.defence.medium is vault.SD else device.board.eeprom


def renew(scene: Scene, device: Device, *, erase_old: bool = True, restart_seals: bool = False) -> Identity:
    """A new key and certificate for the device, registered; the old certificate deactivated. The board is off after.

    ``erase_old``: superseded records are overwritten, as SPEC.md section 9 has it. ``restart_seals``: against it, the
    number of the seal begins anew.
    """
    if device.board.powered:
        device.board.power_off()
    identity = scene.authority.issue_device(device.thing)
    identifier = scene.registry.register_certificate(identity)
    scene.registry.attach_thing(identifier, device.thing)
    scene.registry.attach_policy(identifier, device.defence.policy)
    scene.deactivate(device.identity)
    credentials = replace(device.provisioning.credentials, certificate=identity.certificate_der,
                          private_key=identity.key_der)
    provisioning = replace(device.provisioning, credentials=credentials)
    scheme, engine = provisioning.scheme, device.board.engine
    page = data_image(provisioning, bytes(12))[:chip_map.CONFIGURATION.size]
    engine.program(chip_map.CONFIGURATION.start, page)
    if isinstance(scheme, Vaulted):
        _seal_anew(device, scheme, credentials, erase_old, restart_seals)
    elif device.defence.off_chip:
        tags = {CREDENTIAL_TAGS[chunk] for chunk in CREDENTIAL_CHUNKS - scheme.on_chip}
        entries = [entry for entry in credentials.entries() if entry[0] in tags]
        scheme.write(device.defence.medium, storage(device), entries)
    return identity


def retire_authority(scene: Scene, device: Device) -> bytes:
    """The device is to trust another CA from now on, whose certificate (DER) is returned: the one before is retired.

    Its own key and certificate stay. The board is off after.
    """
    if device.board.powered:
        device.board.power_off()
    anchor = Authority(derive(scene.seed, "the owner's next"), "owner's next").root.certificate_der
    credentials = replace(device.provisioning.credentials, anchors=(anchor,))
    scheme, engine = device.provisioning.scheme, device.board.engine
    if isinstance(scheme, Vaulted):
        _seal_anew(device, scheme, credentials, True, False, {vault.Chunk.BROKER_CA})
    elif device.defence.off_chip:
        tags = {CREDENTIAL_TAGS[chunk] for chunk in CREDENTIAL_CHUNKS - scheme.on_chip}
        entries = [entry for entry in credentials.entries() if entry[0] in tags]
        scheme.write(device.defence.medium, storage(device), entries)
    else:
        page = data_image(replace(device.provisioning, credentials=credentials), bytes(12))
        engine.program(chip_map.CONFIGURATION.start, page[:chip_map.CONFIGURATION.size])
    return anchor


def _seal_anew(device: Device, scheme: Vaulted, credentials: vault.Credentials, erase_old: bool,
               restart_seals: bool, only: Collection[vault.Chunk] = tuple(vault.Chunk)) -> None:
    engine, medium = device.board.engine, storage(device)
    counters = Counters.parse(engine.read_memory(_VAULT, SIZE))
    chip = vault.Chip(counters.secret, engine.read_memory(chip_map.UID.start, chip_map.UID.size))
    area = bytearray(medium.read_file(VAULT_FILE) if isinstance(medium, SdCard) else medium.read(0, AREA_SIZE))
    seals, versions = 0 if restart_seals else counters.seals, dict(counters.versions)
    for chunk in (each for each in scheme.kept if each in only):
        seals, version = seals + 1, versions.get(chunk, 1) + 1
        slot = 1 - _slot_in_use(scheme.sealer(chip), chunk, area)
        record = scheme.sealer(chip).seal(chunk, version, seals, slot, content(chunk, credentials.entries()))
        start = chunk.offset + slot * chunk.slot_size
        area[start:start + chunk.slot_size] = record.ljust(chunk.slot_size, b"\xFF")
        if erase_old:
            old = chunk.offset + (1 - slot) * chunk.slot_size
            area[old:old + chunk.slot_size] = b"\xFF" * chunk.slot_size
        versions[chunk] = version
    if isinstance(medium, SdCard):
        medium.write_file(VAULT_FILE, bytes(area))
    else:
        medium.write(0, bytes(area))
    engine.program(_VAULT, Counters(counters.secret, seals, versions).image())


def _slot_in_use(sealer: Sealer, chunk: vault.Chunk, area: bytearray) -> int:
    """The slot with the newest record."""
    found = []
    for slot in range(SLOTS):
        start = chunk.offset + slot * chunk.slot_size
        with suppress(VaultError):
            found.append((sealer.open(chunk, slot, bytes(area[start:start + chunk.slot_size]))[0], slot))
    return max(found)[1]
