# SPDX-License-Identifier: Apache-2.0
"""Two brokers that behave like AWS IoT Core, each with its owner: ours, and ``ministack`` (PyPI), which knows nothing
of it. Both are asked in the words of AWS IoT's API."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from cryptography import x509

from offchip.broker.listener import Listener
from offchip.broker.registry import ACCOUNT, REGION, Registry, Status
from offchip.broker.world import build_world
from offchip.errors import OffchipError

HERE = Path(__file__).parent
_START_S = 90.0


@dataclass(frozen=True, slots=True)
class Broker:
    """``call``: an operation of AWS IoT's API with its arguments; returns the answer. Raises Refused.

    ``authority``: a PEM file of who vouches for the server.
    """

    name: str
    port: int
    authority: Path
    arn: str
    call: Callable[..., dict[str, Any]]


class Refused(Exception):
    """The owner was told no."""


@contextmanager
def ours(folder: Path) -> Iterator[Broker]:
    """The laboratory's, at a real port."""
    world = build_world(lambda: datetime.now(UTC), things=())
    authority = folder / "ours-ca.pem"
    authority.write_bytes(world.authority.root.certificate_pem)
    owner = _Owner(world.registry)
    with Listener(world.broker) as listener:
        yield Broker("offchip", listener.port, authority, f"arn:aws:iot:{REGION}:{ACCOUNT}:", owner.call)


@contextmanager
def ministack(python: str, folder: Path) -> Iterator[Broker]:
    """``python``: one that has it. Raises RuntimeError when it does not start."""
    port, gateway = _free_port(), _free_port()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "AUTH": "true",
                   "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "MINISTACK_ACCOUNT_ID": ACCOUNT,
                   "IOT_MTLS_PORT": str(port), "GATEWAY_PORT": str(gateway)}
    log = folder / "ministack.log"
    with log.open("w") as out:
        server = subprocess.Popen([python, "-m", "ministack"], cwd=folder, env=environment, stdout=out, stderr=out)
    owner = None
    try:
        authority = folder / "ministack-ca.pem"
        authority.write_bytes(_authority(gateway, port, server, log))
        owner = subprocess.Popen([python, HERE / "ministack_owner.py", f"http://127.0.0.1:{gateway}"], cwd=folder,
                                 env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        yield Broker("ministack", port, authority, f"arn:aws:iot:us-east-1:{ACCOUNT}:", _remote(owner))
    finally:
        for process in (owner, server):
            if process is not None:
                process.terminate()
                process.wait(30)
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        stream.close()


def _remote(owner: subprocess.Popen[str]) -> Callable[..., dict[str, Any]]:
    def call(operation: str, **arguments: Any) -> dict[str, Any]:
        assert owner.stdin and owner.stdout
        owner.stdin.write(json.dumps([operation, arguments]) + "\n")
        owner.stdin.flush()
        told: dict[str, Any] = json.loads(owner.stdout.readline())
        if "error" in told:
            raise Refused(told["error"])
        answer: dict[str, Any] = told["ok"]
        return answer
    return call


def _authority(gateway: int, port: int, server: subprocess.Popen[bytes], log: Path) -> bytes:
    deadline = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            pem = _get(gateway, "/_ministack/iot/ca.pem")
            socket.create_connection(("127.0.0.1", port), 1).close()
        except (OSError, HTTPException):
            time.sleep(0.2)
        else:
            if pem.startswith(b"-----BEGIN"):
                return pem
    raise RuntimeError(f"ministack does not start; see {log}")


def _get(port: int, path: str) -> bytes:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class _Owner:
    """AWS IoT's API in front of our registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Raises Refused."""
        try:
            return getattr(self, f"_{operation}")(**arguments) or {}
        except OffchipError as error:
            raise Refused(str(error)) from error

    def _certificate_answer(self, identifier: str) -> dict[str, Any]:
        return {"certificateId": identifier, "certificateArn": self._registry.arn("cert", identifier)}

    def _RegisterCertificateWithoutCA(self, certificatePem: str, status: str) -> dict[str, Any]:
        return self._certificate_answer(self._registry.register_certificate_without_ca(_load(certificatePem),
                                                                                       Status(status)))

    def _RegisterCACertificate(self, caCertificate: str, setAsActive: bool, allowAutoRegistration: bool,
                               certificateMode: str) -> dict[str, Any]:
        return self._certificate_answer(
            self._registry.register_ca_certificate(_load(caCertificate), allowAutoRegistration))

    def _DescribeCertificate(self, certificateId: str) -> dict[str, Any]:
        return {"certificateDescription": {"status": str(self._registry.certificate(certificateId).status)}}

    def _UpdateCertificate(self, certificateId: str, newStatus: str) -> None:
        self._registry.update_certificate(certificateId, newStatus)

    def _DeleteCertificate(self, certificateId: str) -> None:
        self._registry.delete_certificate(certificateId)

    def _CreateThingType(self, thingTypeName: str) -> None:
        """A type is but a name here."""

    def _CreateThing(self, thingName: str, thingTypeName: str = "",
                     attributePayload: dict[str, Any] | None = None) -> None:
        self._registry.create_thing(thingName, thingTypeName, (attributePayload or {}).get("attributes"))

    def _CreateThingGroup(self, thingGroupName: str, parentGroupName: str = "") -> dict[str, Any]:
        self._registry.create_thing_group(thingGroupName, parentGroupName)
        return {"thingGroupArn": self._registry.arn("thinggroup", thingGroupName)}

    def _AddThingToThingGroup(self, thingName: str, thingGroupName: str) -> None:
        self._registry.add_thing_to_group(thingName, thingGroupName)

    def _AttachThingPrincipal(self, thingName: str, principal: str, thingPrincipalType: str = "") -> None:
        self._registry.attach_thing(_name(principal), thingName, thingPrincipalType == "EXCLUSIVE_THING")

    def _DetachThingPrincipal(self, thingName: str, principal: str) -> None:
        self._registry.detach_thing(_name(principal), thingName)

    def _ListThingPrincipals(self, thingName: str) -> dict[str, Any]:
        return {"principals": self._registry.principals_of(thingName)}

    def _CreatePolicy(self, policyName: str, policyDocument: str) -> None:
        self._registry.create_policy(policyName, policyDocument)

    def _CreatePolicyVersion(self, policyName: str, policyDocument: str, setAsDefault: bool) -> dict[str, Any]:
        number = self._registry.create_policy_version(policyName, policyDocument, setAsDefault)
        return {"policyVersionId": str(number)}

    def _SetDefaultPolicyVersion(self, policyName: str, policyVersionId: str) -> None:
        self._registry.set_default_policy_version(policyName, int(policyVersionId))

    def _DeletePolicyVersion(self, policyName: str, policyVersionId: str) -> None:
        self._registry.delete_policy_version(policyName, int(policyVersionId))

    def _AttachPolicy(self, policyName: str, target: str) -> None:
        attach = self._registry.attach_policy_to_group if ":thinggroup/" in target else self._registry.attach_policy
        attach(_name(target), policyName)

    def _DetachPolicy(self, policyName: str, target: str) -> None:
        self._registry.detach_policy(_name(target), policyName)


def _load(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
