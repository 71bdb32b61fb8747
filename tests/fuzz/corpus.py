# SPDX-License-Identifier: Apache-2.0
"""The well-formed inputs the fuzzers begin with: ``python -m tests.fuzz.corpus FOLDER`` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

from offchip.board.factory import configuration_page
from offchip.vault import SCHEMES, Chip, Chunk, fat
from offchip.vault.vaulted import Vaulted
from tests.test_factory import CREDENTIALS, PROVISIONING

_SECRET = b"a device secret of 32 bytes ...."


def seeds() -> dict[str, dict[str, bytes]]:
    """By target and name."""
    record = {f"sealed-{n}": bytes([8 | n | 16 * n, 0, 0]) + b"content " * (1 + 30 * n) for n in range(5)}
    record |= {f"flipped-{n}": bytes([8 | n, 10 * n + 1, n]) + b"content " * 40 for n in range(5)}
    for n, name in enumerate(("encrypted", "sealed", "labelled", "fresh", "fleet-key")):
        scheme = SCHEMES[name]
        assert isinstance(scheme, Vaulted)
        sealer = scheme.sealer(Chip(_SECRET, b"identity...."))
        record[f"record-{n}"] = bytes([n, 0, 0]) + sealer.seal(Chunk.DEVICE_KEY, 1, 1, 0, b"content" * 20)
    page = configuration_page(PROVISIONING)
    tlv = {"area": b"\1" + page[8:-4], "page": b"\2" + page, "key": b"\4" + b"\5\0hello",
           "anchors": b"\0" + b"\2\0ab" * 3}
    volumes = {"fat16": fat.make_volume(fat.FAT16_MINIMUM, _files()),
               "partitioned": fat.make_volume(fat.FAT16_MINIMUM + (2 << 20), _files(), partitioned=True),
               "fat32": fat.make_volume(fat.FAT32_MINIMUM - (2 << 20) + (2 << 20), _files())}
    return {"record": record, "tlv": tlv, "fat": {name: _pieces(image) for name, image in volumes.items()}}


def _files() -> dict[str, bytes]:
    return {"/CREDS/DEVICE.KEY": b"key" * 300, "/CREDS/VAULT.BIN": b"\xFF" * 3000, "/ROOT.TXT": CREDENTIALS.certificate}


def _pieces(image: bytes) -> bytes:
    found = [(at // 512, image[at:at + 512]) for at in range(0, min(len(image), 512 << 16), 512)
             if any(image[at:at + 512])]
    return b"".join(block.to_bytes(2, "little") + content for block, content in found[:40])


def main(folder: Path) -> None:
    """Write them, a folder for each target."""
    for target, inputs in seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in inputs.items():
            (folder / target / name).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
