# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Core policies: the IAM grammar as far as a device's certificate can carry it.

Wildcards are ``*`` and ``?``; ``+`` and ``#`` are plain characters; what a variable brings in is plain text too. An
explicit Deny wins, and what nobody allows is denied. (AWS IoT Core developer guide, "AWS IoT Core policies"; IAM user
guide, "Policy evaluation logic".) Keys and variables are not case-sensitive (IAM user guide, "Condition"), but for the
name of an attribute in brackets. The value of a certificate or thing that has one of ``* $ + ? #`` in it, or more than
1024 characters, is not put in: the variable stays in the text as it was written ("X.509 Certificate policy variable
limitations").
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from offchip.errors import BrokerError

VERSION = "2012-10-17"
#: characters of a document, white space not counted (AWS IoT Core quotas)
MAXIMUM_LENGTH = 2048

#: what a request knows: keys such as ``iot:ClientId``; absent keys have no value
Value = str | bool | Sequence[str]
Context = Mapping[str, Value]

_STAR, _ANY = object(), object()  # the wildcards of a compiled pattern
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_ACTION = re.compile(r"\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+")
_STATEMENT_FIELDS = {"Sid", "Effect", "Action", "Resource", "Condition"}


_NAME_PARTS = ("distinguishednamequalifier|country|organization|organizationalunit|state|commonname|serialnumber|title"
               "|surname|givenname|initials|pseudonym|generationqualifier")
#: condition keys there are: AWS IoT Core's own (its developer guide and the service authorization reference) and AWS's
#: global ones; in lower case
_KEYS = re.compile(
    r"iot:(clientid|connectattributes|lastwilltopic|clientmode|delete|thinggrouparn|tunneldestinationservice|domainname"
    r"|certificateid|certificate\.(certificateid|serialnumber|availablekeys)"
    r"|certificate\.(subject|issuer)\.(" + _NAME_PARTS + r")(\.(\d+|list))?"
    r"|certificate\.(subject|issuer)\.alternativename\.(rfc822name|dnsname|directoryname|uniformresourceidentifier"
    r"|ipaddress)(\.(\d+|list))?"
    r"|thing\.thingname|connection\.thing\.(thingname|thingtypename|isattached|attributes\[[^\]]+\]))"
    r"|aws:(sourceip|sourcevpce|sourcevpc|vpcsourceip|sourcearn|sourceaccount|sourceorgid|sourceorgpaths|sourceidentity"
    r"|viaawsservice|calledvia|calledviafirst|calledvialast|currenttime|epochtime|tokenissuetime|securetransport"
    r"|useragent|referer|requestedregion|userid|username|federatedprovider|multifactorauthage|multifactorauthpresent"
    r"|principal(arn|account|orgid|orgpaths|type|isawsservice|servicename|servicenameslist)"
    r"|resource(account|orgid|orgpaths)|tagkeys|(resource|request|principal)tag/.+)")
#: whose values come from outside the account's policies, and may not widen a pattern
_GUARDED = ("iot:certificate.", "iot:connection.thing.", "iot:thing.")
_UNSAFE = re.compile(r"[*$+?#]")
_LONGEST_VALUE = 1024


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
class Condition:
    """One operator applied to one key; all conditions of a statement must hold."""

    operator: str
    quantifier: str  # "", "ForAllValues" or "ForAnyValue"
    if_exists: bool
    key: str
    values: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """Whether it holds for a request of this context."""
        value = context.get(self.key)
        if self.operator == "Null":
            return (value is None) == (self.values == () or self.values[0].lower() == "true")
        test, negated = _OPERATORS[self.operator]
        wanted = [pattern for text in self.values if (pattern := _expand(text, context)) is not None]
        if value is None:
            return self.if_exists or negated or self.quantifier == "ForAllValues"
        given = [value] if isinstance(value, str | bool) else list(value)

        def one(each: str | bool) -> bool:
            text = str(each).lower() if isinstance(each, bool) else each
            return any(test(text, pattern) for pattern in wanted) != negated

        return any(map(one, given)) if self.quantifier == "ForAnyValue" else all(map(one, given))


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
        return (any(_glob(_literal(action.lower()), request.action.lower()) for action in self.actions)
                and any(pattern is not None and _glob(pattern, request.resource)
                        for pattern in (_expand(resource, request.context) for resource in self.resources))
                and all(condition.holds(request.context) for condition in self.conditions))


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy document."""

    name: str
    document: str
    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, name: str, document: str | Mapping[str, Any], most: int = MAXIMUM_LENGTH) -> Policy:
        """From JSON text or what it decodes to; ``most``: characters. Raises BrokerError naming policy, statement and
        field."""
        where = f"policy '{name}'"
        text = document if isinstance(document, str) else json.dumps(document)
        try:
            content = json.loads(text)
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
        return cls(name, text, tuple(_statement(f"{where}: statement {number}", f"{name}[{number}]", each)
                                     for number, each in enumerate(statements)))


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
                     tuple(_conditions(where, content.get("Condition", {}))))


def _texts(where: str, field: str, value: object, may_be_empty: bool = False) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not (texts or may_be_empty) or not all(isinstance(each, str) for each in texts):
        raise BrokerError(f"{where}: {field} must be a text or a list of at least one text")
    for text in texts:
        if "${" in _VARIABLE.sub("", text):
            raise BrokerError(f"{where}: {field} '{text}' has a ${{ without its }}")
    return tuple(texts)


def _conditions(where: str, block: object) -> list[Condition]:
    if not isinstance(block, dict):
        raise BrokerError(f"{where}: Condition must be an object of operators")
    conditions = []
    for name, tests in block.items():
        quantifier, _, rest = name.rpartition(":")
        operator = rest.removesuffix("IfExists")
        if operator not in _OPERATORS and operator != "Null" or quantifier not in ("", "ForAllValues", "ForAnyValue"):
            raise BrokerError(f"{where}: Condition operator '{name}' is not supported")
        if not isinstance(tests, dict) or not tests:
            raise BrokerError(f"{where}: Condition {name} must be an object of keys and values")
        for key, value in tests.items():
            field = f"Condition {name} {key}"
            if not _KEYS.fullmatch(key.lower()):
                raise BrokerError(f"{where}: {field}: AWS has no condition key '{key}'")
            values = _texts(where, field, str(value).lower() if isinstance(value, bool) else value, may_be_empty=True)
            if operator.endswith("IpAddress"):
                for text in values:
                    _network(f"{where}: {field}", text)
            conditions.append(Condition(operator, quantifier, rest != operator, canonical(key), values))
    return conditions


def _network(where: str, text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BrokerError(f"{where}: '{text}' is no IP address or network") from None


# matching ----------------------------------------------------------------------------------------------------------
def canonical(key: str) -> str:
    """A key or variable in lower case, but for what stands in brackets: the name of a thing's attribute."""
    head, bracket, attribute = key.partition("[")
    return head.lower() + bracket + attribute


def _literal(pattern: str) -> list[object]:
    return [_STAR if each == "*" else _ANY if each == "?" else each for each in pattern]


def _expand(text: str, context: Context) -> list[object] | None:
    """Compile a pattern with its variables filled in; None when a variable has no single value."""
    tokens: list[object] = []
    position = 0
    for variable in _VARIABLE.finditer(text):
        tokens += _literal(text[position:variable.start()])
        name = variable.group(1)
        value = name if name in ("*", "?", "$") else context.get(canonical(name))
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, str):
            return None
        guarded = name.lower().startswith(_GUARDED)
        if guarded and (_UNSAFE.search(value) or len(value) > _LONGEST_VALUE):
            value = variable.group()
        tokens += value
        position = variable.end()
    return tokens + _literal(text[position:])


def _glob(pattern: list[object], text: str) -> bool:
    """Wildcard match in at most len(pattern) * len(text) steps, whatever the pattern."""
    at = position = 0
    star = mark = -1
    while position < len(text):
        if at < len(pattern) and pattern[at] is _STAR:
            star, mark = at, position
            at += 1
        elif at < len(pattern) and (pattern[at] is _ANY or pattern[at] == text[position]):
            at += 1
            position += 1
        elif star >= 0:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(each is _STAR for each in pattern[at:])


def _plain(pattern: list[object]) -> str:
    return "".join("*" if each is _STAR else "?" if each is _ANY else str(each) for each in pattern)


def _equals(text: str, pattern: list[object]) -> bool:
    return text == _plain(pattern)


def _equals_ignoring_case(text: str, pattern: list[object]) -> bool:
    return text.lower() == _plain(pattern).lower()


def _like(text: str, pattern: list[object]) -> bool:
    return _glob(pattern, text)


def _in_network(text: str, pattern: list[object]) -> bool:
    try:
        return ipaddress.ip_address(text) in ipaddress.ip_network(_plain(pattern), strict=False)
    except ValueError:
        return False


#: operator -> (test, negated)
_OPERATORS: dict[str, tuple[Callable[[str, list[object]], bool], bool]] = {
    "StringEquals": (_equals, False), "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False), "StringNotLike": (_like, True),
    "ArnEquals": (_like, False), "ArnNotEquals": (_like, True), "ArnLike": (_like, False), "ArnNotLike": (_like, True),
    "Bool": (_equals_ignoring_case, False),
    "IpAddress": (_in_network, False), "NotIpAddress": (_in_network, True),
}
