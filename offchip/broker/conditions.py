# SPDX-License-Identifier: Apache-2.0
"""Conditions of a policy's statement: IAM's operators on the keys of a request (IAM user guide, "Condition operators").

Keys are not case-sensitive, but for the name of a thing's attribute in brackets. A key without a value meets no
operator but the negated ones, those that end in IfExists, ``Null`` and what begins with ForAllValues; a list without
members is a key without a value ("Multivalued context keys").
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from offchip.broker.patterns import Pattern, canonical, expand, glob, has_variable, plain, unclosed_variable
from offchip.errors import BrokerError

#: what a request knows: keys such as ``iot:ClientId``; absent keys have no value
Value = str | bool | Sequence[str]
Context = Mapping[str, Value]

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
    r"|resource(account|orgid|orgpaths)|tagkeys|(resource|request|principal)tag/.+)"
    r"|cognito-identity\.amazonaws\.com:(sub|aud|amr)")
_QUANTIFIERS = ("", "ForAllValues", "ForAnyValue")
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?", re.ASCII)

#: compares a request's value with one of the policy's
_Test = Callable[[str, Pattern], bool]


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
        given = _listed(value)
        if self.operator == "Null":
            return str(not given).lower() in map(str.lower, self.values)
        test, negated = OPERATORS[self.operator]
        if not given:
            return self.if_exists or self.quantifier == "ForAllValues" or negated and not self.quantifier
        wanted = [pattern for text in self.values if (pattern := expand(text, context)) is not None]

        def one(each: str) -> bool:
            return any(test(each, pattern) for pattern in wanted) != negated

        return any(map(one, given)) if self.quantifier == "ForAnyValue" else all(map(one, given))


def read_conditions(where: str, block: object) -> list[Condition]:
    """A statement's Condition. Raises BrokerError naming ``where``, operator and key."""
    if not isinstance(block, dict):
        raise BrokerError(f"{where}: Condition must be an object of operators")
    conditions = []
    for name, tests in block.items():
        quantifier, _, rest = name.rpartition(":")
        operator = rest.removesuffix("IfExists")
        if rest != "Null" and operator not in OPERATORS or quantifier not in _QUANTIFIERS:
            raise BrokerError(f"{where}: there is no condition operator '{name}'; there are Null, "
                              f"{', '.join(OPERATORS)}, each but Null with IfExists behind it too, and ForAllValues: "
                              "or ForAnyValue: before it")
        if not isinstance(tests, dict) or not tests:
            raise BrokerError(f"{where}: Condition {name} must be an object of keys and values")
        for key, value in tests.items():
            field = f"{where}: Condition {name} {key}"
            if not _KEYS.fullmatch(key.lower()):
                raise BrokerError(f"{field}: AWS has no condition key '{key}'")
            values = _values(field, value)
            for text in values:
                _check(field, operator, text)
            conditions.append(Condition(operator, quantifier, rest != operator, canonical(key), values))
    return conditions


def _listed(value: Value | None) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [str(value).lower()]
    return [value] if isinstance(value, str) else list(value)


def _values(field: str, value: object) -> tuple[str, ...]:
    """IAM's grammar: texts, numbers and truth values, alone or in a list, which may be empty."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str | bool | int | float) for each in values):
        raise BrokerError(f"{field}: a value must be a text, a number, true or false, or a list of them")
    texts = tuple(each if isinstance(each, str) else json.dumps(each) for each in values)
    for text in texts:
        if unclosed_variable(text):
            raise BrokerError(f"{field}: '{text}' has a ${{ without its }}")
    return texts


def _check(field: str, operator: str, text: str) -> None:
    """A value no request could ever be compared with is a mistake."""
    if has_variable(text):
        return
    for family, (read, what) in _READERS.items():
        if family in operator and read(text) is None:
            raise BrokerError(f"{field}: '{text}' is no {what}")


# values ------------------------------------------------------------------------------------------------------------
def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> float | None:
    """Seconds since 1970: of a W3C date (ISO 8601), or as they stand."""
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


#: part of an operator's name -> what its values must be
_READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "Numeric": (_number, "number"), "Date": (_moment, "date as ISO 8601 has it, nor seconds since 1970"),
    "IpAddress": (_network, "IP address or network"), "Bool": (_truth, "true or false"),
    "Null": (_truth, "true or false"), "Binary": (_bytes, "Base64"),
}


# operators ---------------------------------------------------------------------------------------------------------
def _equals(text: str, pattern: Pattern) -> bool:
    return text == plain(pattern)


def _equals_ignoring_case(text: str, pattern: Pattern) -> bool:
    return text.lower() == plain(pattern).lower()


def _like(text: str, pattern: Pattern) -> bool:
    return glob(pattern, text)


def _arn_like(text: str, pattern: Pattern) -> bool:
    """Each of the six parts is compared by itself (IAM user guide, "Condition operators", ARN)."""
    wanted, given = _parts(pattern), text.split(":", 5)
    return len(wanted) == len(given) and all(map(glob, wanted, given))


def _parts(pattern: Pattern) -> list[Pattern]:
    parts: list[Pattern] = [[]]
    for token in pattern:
        if token == ":" and len(parts) < 6:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _in_network(text: str, pattern: Pattern) -> bool:
    network = _network(plain(pattern))
    try:
        return network is not None and ipaddress.ip_address(text) in network
    except ValueError:
        return False


def _same_bytes(text: str, pattern: Pattern) -> bool:
    given = _bytes(text)
    return given is not None and given == _bytes(plain(pattern))


def _ordered(read: Callable[[str], float | None], holds: Callable[[float, float], bool]) -> _Test:
    def test(text: str, pattern: Pattern) -> bool:
        given, wanted = read(text), read(plain(pattern))
        return given is not None and wanted is not None and holds(given, wanted)
    return test


def _comparisons(family: str, read: Callable[[str], float | None]) -> dict[str, tuple[_Test, bool]]:
    same = _ordered(read, lambda given, wanted: given == wanted)
    return {
        f"{family}Equals": (same, False), f"{family}NotEquals": (same, True),
        f"{family}LessThan": (_ordered(read, lambda given, wanted: given < wanted), False),
        f"{family}LessThanEquals": (_ordered(read, lambda given, wanted: given <= wanted), False),
        f"{family}GreaterThan": (_ordered(read, lambda given, wanted: given > wanted), False),
        f"{family}GreaterThanEquals": (_ordered(read, lambda given, wanted: given >= wanted), False),
    }


#: operator -> (test, negated)
OPERATORS: dict[str, tuple[_Test, bool]] = {
    "StringEquals": (_equals, False), "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False), "StringNotLike": (_like, True),
    **_comparisons("Numeric", _number), **_comparisons("Date", _moment),
    "Bool": (_equals_ignoring_case, False), "BinaryEquals": (_same_bytes, False),
    "IpAddress": (_in_network, False), "NotIpAddress": (_in_network, True),
    "ArnEquals": (_arn_like, False), "ArnNotEquals": (_arn_like, True),
    "ArnLike": (_arn_like, False), "ArnNotLike": (_arn_like, True),
}
