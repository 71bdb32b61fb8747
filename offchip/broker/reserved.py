# SPDX-License-Identifier: Apache-2.0
"""AWS IoT's own topics: which there are, what a client may do with them (developer guide, "Reserved topics")."""

from __future__ import annotations

import re
from enum import StrEnum

_FORMAT = "(json|cbor)"
_SHADOW = r"\$aws/things/[^/]+/shadow(/name/[^/]+)?"
_JOBS = r"\$aws/things/[^/]+/jobs"


class Family(StrEnum):
    """Who answers on a reserved topic. The values are the profile's switches."""

    SHADOWS = "shadows"
    JOBS = "jobs"
    FLEET_PROVISIONING = "fleet_provisioning"
    BASIC_INGEST = "basic_ingest"
    DEVICE_DEFENDER = "device_defender"
    FILE_DELIVERY = "file_delivery"
    COMMANDS = "commands"
    DEVICE_LOCATION = "device_location"


_PUBLISH = {
    Family.SHADOWS: re.compile(rf"{_SHADOW}/(get|update|delete)"),
    Family.JOBS: re.compile(rf"{_JOBS}/(get|start-next|[^/]+/(get|update))"),
    Family.FLEET_PROVISIONING: re.compile(rf"\$aws/(certificates/create(-from-csr)?|"
                                          rf"provisioning-templates/[^/]+/provision)/{_FORMAT}"),
    Family.BASIC_INGEST: re.compile(r"\$aws/rules/[^/]+(/.*)?"),
    Family.DEVICE_DEFENDER: re.compile(rf"\$aws/things/[^/]+/defender/metrics/{_FORMAT}"),
    Family.FILE_DELIVERY: re.compile(rf"\$aws/things/[^/]+/streams/[^/]+/(get|describe|create)/{_FORMAT}"),
    Family.COMMANDS: re.compile(rf"\$aws/commands/(things|clients)/[^/]+/executions/[^/]+/response(/{_FORMAT})?"),
    Family.DEVICE_LOCATION: re.compile(r"\$aws/device_location/[^/]+/get_position_estimate"),
}
#: what subscriptions may begin with
_SUBSCRIBE = ("$aws/events/", "$aws/things/", "$aws/certificates/", "$aws/provisioning-templates/", "$aws/sitewise/",
              "$aws/device_location/", "$aws/commands/")


def is_reserved(text: str) -> bool:
    """Whether a topic or filter belongs to AWS."""
    return text.startswith("$")


def publish_family(topic: str) -> Family | None:
    """Who takes what is published to a reserved topic; None: nobody may publish there."""
    return next((family for family, pattern in _PUBLISH.items() if pattern.fullmatch(topic)), None)


def may_publish(topic: str) -> bool:
    """Whether anybody but AWS may publish to this topic, reserved or not."""
    return not is_reserved(topic) or publish_family(topic) is not None


def may_subscribe(text: str) -> bool:
    """Whether AWS publishes anything that this reserved filter could match."""
    return text.startswith(_SUBSCRIBE)
