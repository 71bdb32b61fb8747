# SPDX-License-Identifier: Apache-2.0
"""Provisioning templates (AWS IoT developer guide, "Provisioning templates"), as far as fleet and just-in-time
provisioning of one thing with its certificate and policies need them: Parameters, Ref, Fn::Join and Fn::Sub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offchip.broker.policy import Policy
from offchip.errors import BrokerError

_REFERENCE = re.compile(r"\$\{([^${}]+)\}")
_TYPES = ("AWS::IoT::Thing", "AWS::IoT::Certificate", "AWS::IoT::Policy")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a template makes of its parameters. ``policies``: name, or a document whose name is its hash."""

    thing: str
    type_name: str
    attributes: dict[str, str]
    groups: tuple[str, ...]
    policies: tuple[str, ...]
    documents: tuple[str, ...]
    status: str
    device_configuration: dict[str, str]


class MissingParameter(BrokerError):
    """The template asks for a parameter the device did not give."""


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template. ``enabled``: a fleet template can be switched off."""

    name: str
    content: Mapping[str, Any]
    enabled: bool = field(default=True)

    @classmethod
    def parse(cls, name: str, document: str | Mapping[str, Any]) -> Template:
        """From JSON text or what it decodes to. Raises BrokerError naming template and field."""
        where = f"provisioning template '{name}'"
        try:
            content = json.loads(document) if isinstance(document, str) else dict(document)
        except (ValueError, RecursionError) as error:
            raise BrokerError(f"{where}: not JSON: {error}") from error
        resources = content.get("Resources") if isinstance(content, dict) else None
        if not isinstance(resources, dict):
            raise BrokerError(f"{where}: Resources must be an object")
        for label, resource in resources.items():
            if not isinstance(resource, dict) or resource.get("Type") not in _TYPES \
                    or not isinstance(resource.get("Properties", {}), dict):
                raise BrokerError(f"{where}: resource '{label}' needs a Type of {', '.join(_TYPES)} and Properties")
            document_of = resource.get("Properties", {}).get("PolicyDocument")
            if document_of is not None:
                Policy.parse(f"{name}/{label}", document_of)
        if not any(each["Type"] == _TYPES[0] for each in resources.values()):
            raise BrokerError(f"{where}: there is no resource of type {_TYPES[0]}")
        return cls(name, content)

    def plan(self, given: Mapping[str, str]) -> Plan:
        """Fill in the parameters. Raises MissingParameter or BrokerError."""
        values = {name: spec["Default"] for name, spec in self.content.get("Parameters", {}).items()
                  if isinstance(spec, dict) and "Default" in spec} | dict(given)
        things = self._of(_TYPES[0], values)
        certificates, policies = self._of(_TYPES[1], values), self._of(_TYPES[2], values)
        thing = things[0]
        documents = [each["PolicyDocument"] for each in policies if "PolicyDocument" in each]
        return Plan(
            thing=str(thing.get("ThingName", "")), type_name=str(thing.get("ThingTypeName", "")),
            attributes={key: str(value) for key, value in thing.get("AttributePayload", {}).items()},
            groups=tuple(map(str, thing.get("ThingGroups", ()))),
            policies=tuple(str(each["PolicyName"]) for each in policies if "PolicyName" in each
                           and "PolicyDocument" not in each),
            documents=tuple(each if isinstance(each, str) else json.dumps(each) for each in documents),
            status=str(certificates[0].get("Status", "ACTIVE")).upper() if certificates else "ACTIVE",
            device_configuration={key: str(self._fill(value, values))
                                  for key, value in self.content.get("DeviceConfiguration", {}).items()})

    def _of(self, kind: str, values: Mapping[str, str]) -> list[dict[str, Any]]:
        return [self._fill({key: value for key, value in each.get("Properties", {}).items() if key != "CertificateId"},
                           values)
                for each in self.content["Resources"].values() if each["Type"] == kind]

    def _fill(self, value: Any, values: Mapping[str, str]) -> Any:
        if isinstance(value, list):
            return [self._fill(each, values) for each in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"Ref"}:
            return self._value(str(value["Ref"]), values)
        if set(value) == {"Fn::Join"}:
            separator, parts = value["Fn::Join"]
            return str(separator).join(str(self._fill(each, values)) for each in parts)
        if set(value) == {"Fn::Sub"}:
            return _REFERENCE.sub(lambda match: self._value(match.group(1), values), str(value["Fn::Sub"]))
        return {key: each if key == "PolicyDocument" and isinstance(each, str) else self._fill(each, values)
                for key, each in value.items()}

    def _value(self, name: str, values: Mapping[str, str]) -> str:
        if name not in values:
            raise MissingParameter(f"provisioning template '{self.name}': parameter '{name}' is missing")
        return str(values[name])
