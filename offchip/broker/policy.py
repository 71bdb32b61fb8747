# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Core policies: the IAM grammar as far as a device's certificate can carry it.

An explicit Deny wins, and what nobody allows is denied; ``+`` and ``#`` are plain characters. (AWS IoT Core developer
guide, "AWS IoT Core policies"; IAM user guide, "Policy evaluation logic", "Grammar of the IAM JSON policy language".)
Wildcards and variables: :mod:`offchip.broker.patterns`; conditions: :mod:`offchip.broker.conditions`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from offchip.broker.conditions import Condition, Context, Value, read_conditions
from offchip.broker.patterns import canonical, expand, glob, literal, unclosed_variable
from offchip.broker.payload import unique
from offchip.errors import BrokerError

__all__ = ["Condition", "Context", "Decision", "Effect", "Policy", "Request", "Statement", "Value", "decide"]

VERSION = "2012-10-17"
#: characters of a document, white space not counted (AWS IoT Core quotas)
MAXIMUM_LENGTH = 2048

_ACTION = re.compile(r"\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+")
#: whose values change by themselves: nothing that rests on them may be remembered
_OF_TIME = ("aws:currenttime", "aws:epochtime")
_STATEMENT_FIELDS = {"Sid", "Effect", "Action", "Resource", "Condition"}


class Effect(Enum):
    """What a statement does with the requests it matches."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Request:
    """``action`` such as ``iot:Publish`` on ``resource``, an ARN such as ``arn:aws:iot:us-east-1:1234:topic/a/b``."""

    action: str
    resource: str
    context: Context


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason`` names the statement that decided, or says that none matched."""

    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy."""

    label: str
    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...]

    def matches(self, request: Request) -> bool:
        """Action, resource and all conditions fit. A variable without a value fits nothing."""
        return (any(glob(literal(action.lower()), request.action.lower()) for action in self.actions)
                and any(pattern is not None and glob(pattern, request.resource)
                        for pattern in (expand(resource, request.context) for resource in self.resources))
                and all(condition.holds(request.context) for condition in self.conditions))


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy document; ``of_time``: it may decide one question otherwise a moment later."""

    name: str
    document: str
    statements: tuple[Statement, ...]
    of_time: bool

    @classmethod
    def parse(cls, name: str, document: str | Mapping[str, Any], most: int = MAXIMUM_LENGTH) -> Policy:
        """From JSON text or what it decodes to; ``most``: characters. Raises BrokerError naming policy, statement and
        field."""
        where = f"policy '{name}'"
        text = document if isinstance(document, str) else json.dumps(document)
        try:
            content = json.loads(text, object_pairs_hook=unique)
        except (ValueError, RecursionError) as error:
            raise BrokerError(f"{where}: not JSON: {error}") from error
        length = len("".join(text.split()))
        if length > most:
            raise BrokerError(f"{where}: {length} characters without white space; AWS allows {most}")
        if not isinstance(content, dict):
            raise BrokerError(f"{where}: the document is no JSON object")
        unknown = set(content) - {"Version", "Id", "Statement"}
        if unknown:
            raise BrokerError(f"{where}: unknown field '{min(unknown)}'; there are Version, Id and Statement")
        if content.get("Version") != VERSION:
            raise BrokerError(f"{where}: Version must be \"{VERSION}\"")
        statements = content.get("Statement")
        statements = [statements] if isinstance(statements, dict) else statements
        if not isinstance(statements, list) or not statements:
            raise BrokerError(f"{where}: Statement must be an object or a list of at least one")
        checked = tuple(_statement(f"{where}: statement {number}", f"{name}[{number}]", each)
                        for number, each in enumerate(statements))
        # as a condition's key or as a variable, of a resource too; written anew, JSON's escapes are gone
        said = json.dumps(statements).lower()
        return cls(name, text, checked, any(key in said for key in _OF_TIME))


def decide(policies: Sequence[Policy], request: Request) -> Decision:
    """IAM's evaluation logic over all policies of one certificate."""
    request = replace(request, context={canonical(key): value for key, value in request.context.items()})
    allowed: Statement | None = None
    for policy in policies:
        for statement in policy.statements:
            if statement.matches(request):
                if statement.effect is Effect.DENY:
                    return Decision(False, f"denied by {statement.label}")
                allowed = allowed or statement
    if allowed:
        return Decision(True, f"allowed by {allowed.label}")
    return Decision(False, f"no statement allows {request.action} on {request.resource}")


# reading -----------------------------------------------------------------------------------------------------------
def _statement(where: str, label: str, content: object) -> Statement:
    if not isinstance(content, dict):
        raise BrokerError(f"{where}: not a JSON object")
    unknown = set(content) - _STATEMENT_FIELDS
    if unknown:
        raise BrokerError(f"{where}: unknown field '{min(unknown)}'; there are {', '.join(sorted(_STATEMENT_FIELDS))}")
    try:
        effect = Effect(content.get("Effect"))
    except ValueError:
        raise BrokerError(f"{where}: Effect must be \"Allow\" or \"Deny\"") from None
    actions = _texts(where, "Action", content.get("Action"))
    resources = _texts(where, "Resource", content.get("Resource"))
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise BrokerError(f"{where}: Action '{action}' is no service:Name such as iot:Connect")
    for resource in resources:
        if resource != "*" and not resource.startswith("arn:"):
            raise BrokerError(f"{where}: Resource '{resource}' is neither an ARN nor *")
    sid = content.get("Sid")
    if sid is not None and not isinstance(sid, str):
        raise BrokerError(f"{where}: Sid must be a text")
    return Statement(f"{label} {sid}" if sid else label, effect, actions, resources,
                     tuple(read_conditions(where, content.get("Condition", {}))))


def _texts(where: str, field: str, value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        raise BrokerError(f"{where}: {field} must be a text or a list of at least one text")
    for text in texts:
        if unclosed_variable(text):
            raise BrokerError(f"{where}: {field} '{text}' has a ${{ without its }}")
    return tuple(texts)
