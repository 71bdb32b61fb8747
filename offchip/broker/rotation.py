# SPDX-License-Identifier: Apache-2.0
"""Credentials replaced over the air: the owner asks, the device makes a new key, the owner's CA signs (SPEC.md, 11).

The owner's side of it hangs on topic rules, which tell with which certificate something was published. Until a device
has proved, with its new certificate, that this is the one it will use from now on, both are good.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding

from offchip.broker import events
from offchip.broker.payload import json_object
from offchip.broker.processor import THING_TOPIC
from offchip.broker.registry import Registry, Status
from offchip.broker.services import Request
from offchip.broker.session import Message
from offchip.errors import BrokerError, PkiError
from offchip.pki import Authority

#: filters of the rules: what devices publish
CSR_FILTER, DONE_FILTER = f"{THING_TOPIC}+/rotate/csr", f"{THING_TOPIC}+/rotate/done"


def rotate_topic(thing: str) -> str:
    """Where the owner's request waits for the thing; the answers are below it."""
    return f"{THING_TOPIC}{thing}/rotate"


@dataclass(slots=True)
class _Open:
    """A rotation the owner has asked for. ``old``: certificate ids it is to end; ``issued``: for it, so far."""

    old: list[str]
    issued: list[str] = field(default_factory=list)


class _Refused(Exception):
    """The device gets this answer on ``rejected``."""


class Rotation:
    """``route`` publishes. Devices of which no rotation was asked get no certificate."""

    def __init__(self, registry: Registry, authority: Authority, route: Callable[[Message], int],
                 log: Callable[[events.Event], None]) -> None:
        self._registry, self._authority, self._route, self._log = registry, authority, route, log
        self._open: dict[str, _Open] = {}

    def ask(self, thing: str) -> None:
        """Ask a thing for a new key. The request is retained: a thing that is away finds it when it comes back.

        Raises:
            BrokerError: there is no such thing, or it has no ACTIVE certificate.
        """
        old = list(self._active(thing))
        if not old:
            raise BrokerError(f"thing '{thing}' has no ACTIVE certificate that could be replaced")
        self._open[thing] = _Open(old)
        self._log(events.RotationAsked(thing, old[-1]))
        self._request(thing, old[-1])

    def pending(self, thing: str) -> bool:
        """Asked for, and not confirmed yet."""
        return thing in self._open

    def on_request(self, request: Request) -> None:
        """Rule action for CSR_FILTER: a certificate for the key, or the reason why there is none."""
        thing = _thing(request.topic)
        try:
            answer, kind = self._issue(thing, request), "accepted"
        except (_Refused, PkiError, BrokerError) as error:
            self._log(events.RotationRefused(request.client_id, thing, str(error)))
            answer, kind = {"errorMessage": str(error)}, "rejected"
        self._route(Message(f"{rotate_topic(thing)}/{kind}", _json(**answer), 1))

    def on_done(self, request: Request) -> None:
        """Rule action for DONE_FILTER: the thing's other certificates end, if the new one itself says it is in use.

        A thing that uses another one of its old certificates than was thought is asked to replace that one.
        """
        thing, open_ = _thing(request.topic), self._open.get(_thing(request.topic))
        said = _content(request.payload).get("certificateId")
        if open_ is None:
            return  # said again, or by a device that found a request another one had left
        if said != request.certificate_id or said not in open_.issued:
            if said == request.certificate_id and said in open_.old:
                self._request(thing, said)
            else:
                self._log(events.RotationRefused(request.client_id, thing, "not said with a certificate issued for it"))
            return
        del self._open[thing]
        self._route(Message(rotate_topic(thing), b"", 1, retain=True))
        ended = [each for each in (*open_.old, *open_.issued) if each != said]
        for each in ended:
            self._registry.update_certificate(each, Status.INACTIVE)
        self._log(events.CertificateReplaced(thing, said, tuple(ended)))

    # inside --------------------------------------------------------------------------------------------------------
    def _request(self, thing: str, certificate_id: str) -> None:
        self._route(Message(rotate_topic(thing), _json(certificateId=certificate_id), 1, retain=True))

    def _active(self, thing: str) -> Iterator[str]:
        for each in self._registry.principals_of(thing):
            if self._registry.certificate(each).status is Status.ACTIVE:
                yield each

    def _issue(self, thing: str, request: Request) -> Mapping[str, str]:
        open_ = self._open.get(thing)
        if open_ is None:
            raise _Refused("nobody asked for a new certificate")
        if request.certificate_id not in open_.old:
            raise _Refused("the request was not made with the certificate that is to be replaced")
        text = _content(request.payload).get("certificateSigningRequest")
        if not isinstance(text, str):
            raise _Refused("certificateSigningRequest is missing")
        certificate = self._authority.sign_request(text.encode())
        identifier = self._registry.register_certificate(certificate)
        self._registry.attach_thing(identifier, thing)
        for policy in self._registry.certificate(request.certificate_id).policies:
            self._registry.attach_policy(identifier, policy)
        open_.issued.append(identifier)
        self._log(events.CertificateRegistered(identifier, "rotation"))
        return {"certificateId": identifier, "certificatePem": certificate.public_bytes(Encoding.PEM).decode()}


def _thing(topic: str) -> str:
    return topic.removeprefix(THING_TOPIC).partition("/")[0]


def _json(**content: str) -> bytes:
    return json.dumps(content).encode()


def _content(payload: bytes) -> Mapping[str, object]:
    try:
        return json_object(payload)
    except ValueError:
        return {}
