# SPDX-License-Identifier: Apache-2.0
"""Test vectors of the vault's records with their derivation (SPEC.md section 9): ``python -m tests.vectors.make``."""

from __future__ import annotations

import json
from pathlib import Path

from offchip.vault import SCHEMES, Chip, Chunk
from offchip.vault.vaulted import Vaulted

PATH = Path(__file__).parent / "vault.json"
SECRET, IDENTITY = bytes(range(32)), bytes.fromhex("4200330011513531373436ff")
CASES = ((Chunk.DEVICE_KEY, 1, 1, 0, b"\x05\0hello"), (Chunk.DEVICE_CERTIFICATE, 2, 7, 1, b"\x2C\x01" + b"c" * 300),
         (Chunk.BROKER_CA, 0xFFFFFFFF, 0xFFFFFFFE, 1, b"\x01\0a\x02\0bb"), (Chunk.OWNER_DATA, 3, 300, 0, b"\x01\0\0"))


def vectors() -> list[dict[str, object]]:
    """Inputs, every step in between, and the record."""
    found: list[dict[str, object]] = []
    for scheme in SCHEMES.values():
        if not isinstance(scheme, Vaulted):
            continue
        sealer = scheme.sealer(Chip(SECRET, IDENTITY))
        for chunk, version, seal, slot, content in CASES:
            label = chunk if scheme.format.labelled else None
            info = b"offchip vault 1\0" + scheme.name.encode() + b"\0" + bytes([chunk.number if label else 0])
            record = sealer.seal(chunk, version, seal, slot, content)
            found.append({
                "scheme": scheme.name, "code": scheme.code, "chunk": chunk.value, "number": chunk.number,
                "version": version, "seal": seal, "slot": slot, "secret": SECRET.hex(),
                "identity": bytes(12).hex() if scheme.format.shared else IDENTITY.hex(), "content": content.hex(),
                "hkdf_info": info.hex(), "key": sealer.key(label, 32 if scheme.format.authenticated else 64).hex(),
                **({"nonce": record[16:28].hex()} if scheme.format.authenticated else
                   {"first_tweak": (chunk.offset + slot * chunk.slot_size) // 512}),
                "record": record.hex()})
    return found


def main() -> None:
    """Write them."""
    lines = ",\n".join(json.dumps(each) for each in vectors())
    PATH.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
