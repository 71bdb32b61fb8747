# SPDX-License-Identifier: Apache-2.0
"""A registry in a file: one SQLite database, written whole or not at all."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from offchip.broker.profile import Profile
from offchip.broker.registry import Registry, Status
from offchip.errors import BrokerError

_FORMAT = 2
_SCHEMA = """
CREATE TABLE account (format INTEGER NOT NULL, region TEXT NOT NULL, account TEXT NOT NULL);
CREATE TABLE thing_group (name TEXT PRIMARY KEY, parent TEXT NOT NULL);
CREATE TABLE thing (name TEXT PRIMARY KEY, type TEXT NOT NULL, attributes TEXT NOT NULL);
CREATE TABLE membership (thing TEXT NOT NULL REFERENCES thing, thing_group TEXT NOT NULL REFERENCES thing_group);
CREATE TABLE policy (name TEXT NOT NULL, version INTEGER NOT NULL, is_default INTEGER NOT NULL, document TEXT NOT NULL,
                     PRIMARY KEY (name, version));
CREATE TABLE template (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE authority (pem TEXT NOT NULL, auto_registration INTEGER NOT NULL, template TEXT NOT NULL);
CREATE TABLE certificate (id TEXT PRIMARY KEY, pem TEXT NOT NULL, status TEXT NOT NULL, exclusive TEXT NOT NULL,
                          own_authority INTEGER NOT NULL);
CREATE TABLE attached_thing (certificate TEXT NOT NULL REFERENCES certificate, thing TEXT NOT NULL REFERENCES thing);
CREATE TABLE attached_policy (certificate TEXT, thing_group TEXT, policy TEXT NOT NULL);
"""


def save(registry: Registry, path: Path, more: Callable[[sqlite3.Connection], None] | None = None) -> None:
    """Write everything, and with ``more`` what else belongs to the file, for its owner's eyes. Raises BrokerError."""
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(temporary)) as database, database:
            database.executescript(_SCHEMA)
            for table, rows in _rows(registry).items():
                for row in rows:
                    database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            if more:
                more(database)
        os.replace(temporary, path)
    except (OSError, sqlite3.Error) as error:
        raise BrokerError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error


def load(path: Path, profile: Profile | None = None) -> Registry:
    """Read what :func:`save` wrote. Raises BrokerError naming the file and what is wrong in it."""
    if not path.is_file():
        raise BrokerError(f"{path}: cannot be read: there is no such file")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return _read(database, profile)
    except sqlite3.Error as error:
        raise BrokerError(f"{path}: no registry: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise BrokerError(f"{path}: a damaged registry: {error}") from error
    except BrokerError as error:
        raise BrokerError(f"{path}: {error}") from error


def _rows(registry: Registry) -> dict[str, Iterable[tuple[object, ...]]]:
    certificates = registry.certificates.items()
    return {
        "account": [(_FORMAT, registry.region, registry.account)],
        "thing_group": [(each.name, each.parent) for each in registry.groups.values()],
        "thing": [(each.name, each.type_name, json.dumps(dict(each.attributes))) for each in registry.things.values()],
        "membership": [(each.name, group) for each in registry.things.values() for group in sorted(each.groups)],
        "policy": [(name, number, number == each.default, policy.document) for name, each in registry.versions.items()
                   for number, policy in each.versions.items()],
        "template": [(each.name, json.dumps(dict(each.content))) for each in registry.templates.values()],
        "authority": [(_pem(each.certificate), each.auto_registration, each.template)
                      for each in registry.authorities.values()],
        "certificate": [(identifier, _pem(each.certificate), each.status.value, each.exclusive, each.own_authority)
                        for identifier, each in certificates],
        "attached_thing": [(identifier, thing) for identifier, each in certificates for thing in sorted(each.things)],
        "attached_policy": [*((identifier, None, policy) for identifier, each in certificates
                              for policy in each.policies),
                            *((None, each.name, policy) for each in registry.groups.values()
                              for policy in each.policies)],
    }


def _read(database: sqlite3.Connection, profile: Profile | None) -> Registry:
    (number, region, account), = database.execute("SELECT * FROM account").fetchall()
    if number != _FORMAT:
        raise BrokerError(f"format {number} of a registry; this laboratory reads {_FORMAT}")
    registry = Registry(region, account, profile)
    for name, parent in database.execute("SELECT * FROM thing_group ORDER BY rowid"):
        registry.create_thing_group(name, parent)
    for name, kind, attributes in database.execute("SELECT * FROM thing ORDER BY rowid"):
        registry.create_thing(name, kind, json.loads(attributes))
    for thing, group in database.execute("SELECT * FROM membership"):
        registry.add_thing_to_group(thing, group)
    _read_policies(database, registry)
    for name, document in database.execute("SELECT * FROM template ORDER BY rowid"):
        registry.create_provisioning_template(name, document)
    for pem, automatic, template in database.execute("SELECT * FROM authority ORDER BY rowid"):
        registry.register_ca_certificate(x509.load_pem_x509_certificate(pem.encode()), bool(automatic), template)
    _read_certificates(database, registry)
    return registry


def _read_policies(database: sqlite3.Connection, registry: Registry) -> None:
    defaults: dict[str, int] = {}
    for name, number, is_default, document in database.execute("SELECT * FROM policy ORDER BY name, version"):
        if name not in registry.versions:
            registry.create_policy(name, document)
            made = 1
        else:
            made = registry.create_policy_version(name, document, as_default=False)
        versions = registry.versions[name].versions
        versions[number] = versions.pop(made)
        registry.versions[name].default = number
        if is_default:
            defaults[name] = number
    for name, number in defaults.items():
        registry.set_default_policy_version(name, number)


def _read_certificates(database: sqlite3.Connection, registry: Registry) -> None:
    rows = database.execute("SELECT * FROM certificate ORDER BY rowid")
    for identifier, pem, status, exclusive, own_authority in rows:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        register = registry.register_certificate_without_ca if own_authority else registry.register_certificate
        if register(certificate, Status(status)) != identifier:
            raise BrokerError(f"certificate {identifier[:8]}: is another one")
        registry.certificates[identifier].exclusive = exclusive
    for identifier, thing in database.execute("SELECT * FROM attached_thing ORDER BY rowid"):
        registry.attach_thing(identifier, thing)
    for identifier, group, policy in database.execute("SELECT * FROM attached_policy ORDER BY rowid"):
        if identifier:
            registry.attach_policy(identifier, policy)
        else:
            registry.attach_policy_to_group(group, policy)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
