# SPDX-License-Identifier: Apache-2.0
"""What a device keeps by now, seen as nobody in the laboratory can see it: for judges, and for lists of secrets."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from offchip import chip_map, vault
from offchip.board.board import Board
from offchip.board.factory import Provisioning
from offchip.errors import MediumError, VaultError
from offchip.pki import Identity
from offchip.vault.chunk import CREDENTIAL_TAGS
from offchip.vault.counters import SIZE, Counters
from offchip.vault.vaulted import Vaulted


def kept(board: Board, provisioning: Provisioning) -> Identity | None:
    """Key and certificate the device would connect with; None: it has none, or what it has does not fit together."""
    try:
        key = load_der_private_key(stored_value(board, provisioning, vault.Chunk.DEVICE_KEY), None)
        certificate = x509.load_der_x509_certificate(stored_value(board, provisioning, vault.Chunk.DEVICE_CERTIFICATE))
    except (VaultError, MediumError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) \
            or key.public_key() != certificate.public_key():
        return None
    return Identity(certificate, key)


def stored_value(board: Board, provisioning: Provisioning, chunk: vault.Chunk) -> bytes:
    """What is kept as a chunk with one value, wherever its scheme puts it. Raises VaultError, MediumError: nothing."""
    scheme, tag = provisioning.scheme, CREDENTIAL_TAGS[chunk]
    if chunk in scheme.on_chip:
        flash = board.engine.read_memory(chip_map.sector(chip_map.VAULT_SECTORS[0]).start, SIZE)
        updated = Counters.parse(flash).contents.get(chunk) if b"OCS1" in (flash[:4], flash[SIZE // 2:][:4]) else None
        return _first(updated) if updated else dict(provisioning.credentials.entries()).get(tag, b"")
    storage = board.sd if provisioning.medium is vault.SD else board.eeprom
    if not isinstance(scheme, Vaulted):
        return dict(scheme.read(provisioning.medium, storage)).get(tag, b"")
    state = Counters.parse(board.engine.read_memory(chip_map.sector(chip_map.VAULT_SECTORS[0]).start, SIZE))
    chip = vault.Chip(state.secret, board.engine.read_memory(chip_map.UID.start, chip_map.UID.size))
    committed = state.versions.get(chunk, 0)
    return _first(scheme.open_chunk(provisioning.medium, storage, chip, chunk, committed)[1])


def _first(content: bytes) -> bytes:
    """The first value of a chunk's content."""
    return content[2:2 + int.from_bytes(content[:2], "little")]
