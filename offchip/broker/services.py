# SPDX-License-Identifier: Apache-2.0
"""What answers on AWS IoT's reserved topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from offchip.broker.session import Message


@dataclass(frozen=True, slots=True)
class Request:
    """A message a client published to a reserved topic it may publish to."""

    client_id: str
    certificate_id: str
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """``private``: nobody but the client that asked gets it, whoever subscribes to the topic."""

    message: Message
    private: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A topic rule with its action (developer guide, "Rules for AWS IoT"): told of what is published where it looks.

    ``topic_filter``: of its SQL's FROM; ``action`` knows the publisher's certificate, as ``principal()`` does.
    """

    topic_filter: str
    action: Callable[[Request], None]


class Service(Protocol):
    """One of :class:`offchip.broker.reserved.Family`."""

    def answer(self, request: Request) -> Sequence[Reply]:
        """Do what was asked; the replies are published in this order."""
