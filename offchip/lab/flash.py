# SPDX-License-Identifier: Apache-2.0
"""What to put on a board of one's own: endpoint, CA, certificate and key as files, and a line that proves them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offchip.broker.processor import THING_TOPIC
from offchip.broker.world import NARROW
from offchip.errors import OffchipError
from offchip.pki import Identity


@dataclass(frozen=True, slots=True)
class Flash:
    """``folder``: where the files go; ``host``, ``port``: where the broker listens."""

    folder: Path
    ca: Path
    host: str
    port: int

    def text(self, thing: str, identity: Identity, policies: Sequence[str] = (NARROW,)) -> str:
        """Write a thing's files and say what they are for. Raises OffchipError when they cannot be written."""
        certificate, key = self.folder / f"{thing}.crt", self.folder / f"{thing}.key"
        write_private(certificate, identity.chain_pem)
        write_private(key, identity.key_pem)
        topic = THING_TOPIC + thing
        return "\n".join((
            f"flash into '{thing}' (throw-away keys):",
            f"  endpoint     {self.host}:{self.port}   (names in its certificate: iot.offchip.test, localhost)",
            f"  client id    {thing}   ({_who(policies)})",
            f"  root CA      {self.ca}",
            f"  certificate  {certificate}",
            f"  private key  {key}",
            f"  publish to   {topic}",
            "prove it from here:",
            f"  mosquitto_pub -h localhost -p {self.port} --cafile {_quoted(self.ca)} --cert {_quoted(certificate)} "
            f"--key {_quoted(key)} -i {thing} -q 1 -t {topic} -m hello"))


def _who(policies: Sequence[str]) -> str:
    if list(policies) == [NARROW]:
        return f"the policy '{NARROW}' lets it connect as nothing else"
    return f"its policies: {', '.join(policies) or 'none, so it may not connect'}"


def write_private(path: Path, content: bytes) -> None:
    """A file that its owner alone may read. Raises OffchipError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise OffchipError(f"{path}: the certificates cannot be written here ({error.strerror}); give another "
                           "--folder.") from None


def _quoted(path: Path) -> str:
    """As a shell takes it, so that the printed line works in a folder with a space."""
    return shlex.quote(str(path))
