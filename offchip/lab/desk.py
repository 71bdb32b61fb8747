# SPDX-License-Identifier: Apache-2.0
"""The owner's desk: everything he may ask of, and do to, a running lab, by name, with JSON in and out.

Each act is one indivisible step of the broker; what is wrong is a BrokerError with one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from offchip.broker.audit import audit
from offchip.broker.registry import CertificateRecord, Status
from offchip.broker.topics import topic_fault
from offchip.broker.world import NARROW, World, enrol
from offchip.errors import BrokerError, OffchipError
from offchip.lab.decisions import Decisions
from offchip.lab.flash import Flash
from offchip.pki import Identity

Answer = dict[str, Any]


class Desk:
    """``acts``: what there is. ``on_change``: called after each act that changed something."""

    def __init__(self, world: World, decisions: Decisions, flash: Flash) -> None:
        self._world, self._decisions, self._flash = world, decisions, flash
        self.on_change: Callable[[], None] | None = None
        self._asks: dict[str, Callable[..., Answer]] = {
            "list": self._list, "log": self._log, "policies": self._policies, "audit": self._audit,
            "shadow": self._shadow, "flash": self._what_to_flash}
        self._acts: dict[str, Callable[..., Answer]] = {
            "deactivate": self._status(Status.INACTIVE), "activate": self._status(Status.ACTIVE),
            "revoke": self._status(Status.REVOKED), "add": self._add, "policy-edit": self._edit,
            "policy-create": self._create, "policy-attach": self._attach, "policy-detach": self._detach,
            "job": self._job, "publish": self._publish, "rotate": self._rotate}

    @property
    def acts(self) -> list[str]:
        """Names of everything :meth:`do` knows."""
        return sorted((*self._asks, *self._acts))

    def do(self, name: str, arguments: dict[str, str]) -> Answer:
        """Do one thing. Raises OffchipError."""
        act = self._asks.get(name) or self._acts.get(name)
        if act is None:
            raise BrokerError(f"a lab cannot '{name}'; it can {', '.join(self.acts)}")
        try:
            with self._world.broker.turns.step():
                answer = act(**arguments)
                self._world.tick()
        except TypeError as error:
            raise BrokerError(f"'{name}': {str(error).split(') ', 1)[-1]}") from None
        if name in self._acts and self.on_change:
            self.on_change()
        return answer

    # questions -----------------------------------------------------------------------------------------------------
    def _list(self) -> Answer:
        registry, sessions = self._world.registry, self._world.broker.sessions
        live = {each.certificate_id: each.client_id for each in sessions.values() if each.link}
        things = [{"thing": thing, "certificate": identifier, "status": record.status.value,
                   "policies": list(record.policies), "connected": identifier in live,
                   "banned": self._world.reactions.banned.get(identifier, "")}
                  for thing in registry.things for identifier, record in registry.certificates.items()
                  if thing in record.things]
        return {"things": things, "profile": self._world.broker.profile.name}

    def _log(self, since: str = "0") -> Answer:
        if not since.isascii() or not since.isdecimal():
            raise BrokerError(f"'since' must be a number, not '{since[:40]}'")
        return {"lines": [{**each.content(), "text": str(each)} for each in self._decisions.since(int(since))]}

    def _policies(self, policy: str = "") -> Answer:
        versions = self._world.registry.versions
        if policy and policy not in versions:
            raise BrokerError(f"there is no policy '{policy}'; there are {', '.join(versions)}")
        return {"policies": [{"policy": name, "version": each.default, "versions": sorted(each.versions),
                              "document": json.loads(each.versions[each.default].document)}
                             for name, each in versions.items() if policy in ("", name)]}

    def _audit(self) -> Answer:
        return {"findings": [{"check": each.check, "severity": each.severity.value, "resource": each.resource,
                              "reason": each.reason} for each in audit(self._world.broker)],
                "looks_back_s": self._world.broker.profile.audit_delay_seconds}

    def _shadow(self, thing: str, name: str = "") -> Answer:
        state = self._world.shadows.state(thing, name)
        if not state:  # a shadow may be of a thing that the registry does not know
            self._known(thing)
        return {"state": state}

    def _text(self, thing: str, identity: Identity) -> str:
        return self._flash.text(thing, identity, self._world.registry.certificate(identity.certificate_id).policies)

    def _what_to_flash(self, thing: str) -> Answer:
        if thing not in self._world.devices:
            raise BrokerError(f"there is no thing '{thing}' with a key that was made here; "
                              f"there are {', '.join(self._world.devices)}")
        return {"text": self._text(thing, self._world.devices[thing])}

    # acts ----------------------------------------------------------------------------------------------------------
    def _status(self, status: Status) -> Callable[..., Answer]:
        def act(name: str) -> Answer:
            changed = [identifier for identifier, _ in self._certificates(name)]
            for identifier in changed:
                self._world.registry.update_certificate(identifier, status)
            return {"certificates": changed, "status": status.value}
        return act

    def _add(self, thing: str, policy: str = NARROW) -> Answer:
        world = self._world
        if policy not in world.registry.versions:
            raise BrokerError(f"there is no policy '{policy}'; there are {', '.join(world.registry.versions)}")
        identity = enrol(world.authority, world.registry, thing, policy)
        world.devices[thing] = identity
        world.processor.things.add(thing)
        return {"certificate": identity.certificate_id, "text": self._text(thing, identity)}

    def _edit(self, policy: str, document: str) -> Answer:
        self._world.registry.update_policy(policy, document)
        return {"policy": policy, "version": self._world.registry.versions[policy].default}

    def _create(self, policy: str, document: str) -> Answer:
        self._world.registry.create_policy(policy, document)
        return {"policy": policy, "version": 1}

    def _attach(self, policy: str, name: str) -> Answer:
        for identifier, _ in (found := self._certificates(name)):
            self._world.registry.attach_policy(identifier, policy)
        return {"policy": policy, "certificates": [identifier for identifier, _ in found]}

    def _detach(self, policy: str, name: str) -> Answer:
        found = [each for each in self._certificates(name) if policy in each[1].policies]
        if not found:
            raise BrokerError(f"'{name}' does not have a policy '{policy}'")
        for identifier, _ in found:
            self._world.registry.detach_policy(identifier, policy)
        return {"policy": policy, "certificates": [identifier for identifier, _ in found]}

    def _publish(self, topic: str, payload: str = "") -> Answer:
        if fault := topic_fault(topic, self._world.broker.profile):
            raise BrokerError(fault)
        return {"receivers": self._world.broker.publish(topic, payload.encode(), 1)}

    def _job(self, job: str, thing: str, document: str) -> Answer:
        try:
            content = json.loads(document)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise BrokerError(f"job '{job}': its document is no JSON object")
        self._known(thing)
        self._world.jobs.create(job, content, [thing])
        return {"job": job, "status": self._world.jobs.status(job, thing)}

    def _rotate(self, thing: str) -> Answer:
        self._world.rotation.ask(thing)
        return {"thing": thing}

    def _known(self, thing: str) -> None:
        if thing not in self._world.registry.things:
            raise BrokerError(f"there is no thing '{thing}'; there are {', '.join(self._world.registry.things)}")

    def _certificates(self, name: str) -> list[tuple[str, CertificateRecord]]:
        """Of a thing, or the one that begins so."""
        registry = self._world.registry
        if name in registry.things:
            found = [(each, registry.certificates[each]) for each in registry.principals_of(name)]
            if not found:
                raise BrokerError(f"thing '{name}' has no certificate")
            return found
        found = [each for each in registry.certificates.items() if len(name) >= 8 and each[0].startswith(name)]
        if len(found) != 1:
            raise BrokerError(f"there is no thing '{name}', and no certificate that begins so (8 digits at least); "
                              f"there are {', '.join(registry.things)}")
        return found


def refusal(error: OffchipError) -> str:
    """One line."""
    return " ".join(str(error).split())
