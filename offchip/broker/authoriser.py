# SPDX-License-Identifier: Apache-2.0
"""The registry's policies asked about what a client wants to do, through a cache as stale as the profile has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from offchip.broker.policy import Decision, Policy, Request, Value, decide
from offchip.broker.profile import Profile
from offchip.broker.registry import Registry, Thing

#: certificates whose policies are remembered
_MOST = 4096
#: decisions that are remembered
_MOST_DECISIONS = 16384


class Authoriser:
    """Decides for certificates."""

    def __init__(self, profile: Profile, registry: Registry, now: Callable[[], datetime]) -> None:
        self._profile, self._registry, self._now = profile, registry, now
        #: what was asked before and would be answered alike; of one revision of the registry
        self._decisions: dict[tuple[str, ...], Decision] = {}
        self._revision = registry.revision
        self._policies: dict[tuple[str, str], tuple[datetime, list[Policy]]] = {}
        #: told (certificate id, client id, action, resource's name, decision) of every question, for a live view
        self.witness: Callable[[str, str, str, str, Decision], object] | None = None

    def ask(self, certificate_id: str, client_id: str, peer_name: str, action: str, kind: str, name: str,
            extra: dict[str, Value] | None = None) -> Decision:
        """Whether the policies of a certificate allow ``action``; ``kind``: client, topic or topicfilter."""
        if self._revision != self._registry.revision:
            self._revision = self._registry.revision
            self._decisions.clear()
        question = certificate_id, client_id, peer_name, action, kind, name
        asked = (*question, *map(str, extra.items())) if extra else question
        decision = self._decisions.get(asked)
        if decision is None:
            decision = self._decide(asked, question, extra or {})
        if self.witness:
            self.witness(certificate_id, client_id, action, name, decision)
        return decision

    def _decide(self, asked: tuple[str, ...], question: tuple[str, str, str, str, str, str],
                extra: dict[str, Value]) -> Decision:
        certificate_id, client_id, *_ = question
        policies = self._policies_of(certificate_id, client_id, self._registry.thing_of(certificate_id, client_id))
        decision = self._judge(policies, *question, extra)
        if not (self._profile.policy_cache_seconds or any(each.of_time for each in policies)):
            if len(self._decisions) >= _MOST_DECISIONS:
                self._decisions.clear()
            self._decisions[asked] = decision
        return decision

    def _judge(self, policies: Sequence[Policy], certificate_id: str, client_id: str, peer_name: str, action: str,
               kind: str, name: str, extra: dict[str, Value]) -> Decision:
        now = self._now()
        context: dict[str, Value] = {
            **self._registry.context(certificate_id, client_id), "aws:SourceIp": peer_name, "aws:SecureTransport": True,
            "aws:CurrentTime": now.isoformat(), "aws:EpochTime": str(int(now.timestamp())), **extra}
        return decide(policies, Request(action, self._registry.arn(kind, name), context))

    def _policies_of(self, certificate_id: str, client_id: str, thing: Thing | None) -> list[Policy]:
        keep = self._profile.policy_cache_seconds
        if not keep:
            return self._registry.policies_of(certificate_id, thing)
        now = self._now()
        key = certificate_id, client_id
        read, policies = self._policies.get(key, (None, []))
        if read is None or (now - read).total_seconds() >= keep:
            policies = self._registry.policies_of(certificate_id, thing)
            if len(self._policies) >= _MOST:
                self._policies.clear()
            self._policies[key] = (now, policies)
        return policies
