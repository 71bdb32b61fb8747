# SPDX-License-Identifier: Apache-2.0
"""The registry's policies asked about what a client wants to do, through a cache as stale as the profile has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from offchip.broker.policy import Decision, Policy, Request, Value, decide
from offchip.broker.profile import Profile
from offchip.broker.registry import Registry

#: certificates whose policies are remembered
_MOST = 4096


class Authoriser:
    """Decides for certificates."""

    def __init__(self, profile: Profile, registry: Registry, now: Callable[[], datetime]) -> None:
        self._profile, self._registry, self._now = profile, registry, now
        self._policies: dict[tuple[str, str], tuple[datetime, list[Policy]]] = {}

    def ask(self, certificate_id: str, client_id: str, peer_name: str, action: str, kind: str, name: str,
            extra: dict[str, Value] | None = None) -> Decision:
        """Whether the policies of a certificate allow ``action``; ``kind``: client, topic or topicfilter."""
        context: dict[str, Value] = {**self._registry.context(certificate_id, client_id), "aws:SourceIp": peer_name,
                                     **(extra or {})}
        request = Request(action, self._registry.arn(kind, name), context)
        return decide(self._policies_of(certificate_id, client_id), request)

    def _policies_of(self, certificate_id: str, client_id: str) -> list[Policy]:
        keep = self._profile.policy_cache_seconds
        if not keep:
            return self._registry.policies_of(certificate_id, client_id)
        now = self._now()
        key = certificate_id, client_id
        read, policies = self._policies.get(key, (None, []))
        if read is None or (now - read).total_seconds() >= keep:
            policies = self._registry.policies_of(certificate_id, client_id)
            if len(self._policies) >= _MOST:
                self._policies.clear()
            self._policies[key] = (now, policies)
        return policies
