# SPDX-License-Identifier: Apache-2.0
"""What a lab remembers between two runs: one SQLite file with registry, identities, shadows and sessions."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import weakref
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from offchip.broker import store
from offchip.broker.profile import Profile
from offchip.broker.registry import Registry
from offchip.errors import BrokerError
from offchip.pki import Identity

_SCHEMA = """
CREATE TABLE lab (seed TEXT NOT NULL, stopped TEXT NOT NULL, content TEXT NOT NULL);
CREATE TABLE identity (thing TEXT PRIMARY KEY, chain TEXT NOT NULL, key TEXT NOT NULL);
"""


@dataclass(slots=True)
class State:
    """``identities``: thing name -> certificate and key; ``stopped``: the lab's time then, with a time zone;
    ``content``: shadows, sessions and retained messages."""

    registry: Registry
    seed: str
    stopped: datetime
    identities: dict[str, Identity] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)


class Hold:
    """One lab at a time: two on one file would each forget what the other did. ``release``: let others; the end of the
    process does, too."""

    def __init__(self, path: Path) -> None:
        """Raises BrokerError when another lab has it, or when it is a folder."""
        if path.is_dir():
            raise BrokerError(f"{path}: is a folder; a lab's state is a file.")
        lock = path.with_name(path.name + ".lock")
        try:
            file = lock.open("a")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not lock.exists() or not os.path.samestat(lock.stat(), os.fstat(file.fileno())):
                raise BlockingIOError  # whoever let go a moment ago took the name away from what was opened
        except BlockingIOError:
            raise BrokerError(f"{path}: another lab goes on from it; stop that one, or name another --state.") from None
        except OSError as error:
            raise BrokerError(f"{path}: cannot be written: {error.strerror}") from None
        self.release = weakref.finalize(self, _let_go, lock, file)


def _let_go(lock: Path, file: IO[str]) -> None:
    lock.unlink(missing_ok=True)
    file.close()


def save(state: State, path: Path) -> None:
    """Write everything, whole or not at all; the file holds keys and is its owner's alone. Raises BrokerError."""

    def more(database: sqlite3.Connection) -> None:
        database.executescript(_SCHEMA)
        database.execute("INSERT INTO lab VALUES (?, ?, ?)",
                         (state.seed, state.stopped.isoformat(), json.dumps(state.content)))
        for thing, identity in state.identities.items():
            database.execute("INSERT INTO identity VALUES (?, ?, ?)",
                             (thing, identity.chain_pem.decode(), identity.key_pem.decode()))

    store.save(state.registry, path, more)


def load(path: Path, profile: Profile | None = None) -> State:
    """Read what :func:`save` wrote. Raises BrokerError naming the file and what is wrong in it."""
    registry = store.load(path, profile)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (seed, stopped, content), = database.execute("SELECT * FROM lab").fetchall()
            identities = {thing: _identity(chain, key) for thing, chain, key in
                          database.execute("SELECT * FROM identity ORDER BY rowid")}
        return State(registry, seed, datetime.fromisoformat(stopped), identities, _object(content))
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise BrokerError(f"{path}: no state of a lab, or a damaged one: {error}") from error


def _identity(chain: str, key: str) -> Identity:
    leaf, *others = x509.load_pem_x509_certificates(chain.encode())
    private = load_pem_private_key(key.encode(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("neither an EC nor an RSA key")
    return Identity(leaf, private, tuple(others))


def _object(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, Mapping):
        raise ValueError("its content is no JSON object")
    return dict(content)
