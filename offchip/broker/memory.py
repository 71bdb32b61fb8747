# SPDX-License-Identifier: Apache-2.0
"""What a broker remembers between two runs, as JSON has it: persistent sessions with what waits for them, and retained
messages. A client that was connected counts as one whose connection was lost when the broker stopped."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from offchip.broker.hub import Hub
from offchip.broker.session import Message, Sent, Session
from offchip.errors import BrokerError
from offchip.mqtt import Properties, Property, Subscription


def dump(hub: Hub) -> dict[str, Any]:
    """Everything. Callers hold the broker's turn."""
    return {"sessions": [_session(hub, each) for each in hub.sessions.values() if each.keep_seconds],
            "retained": [_message(each) for each in hub.retained.values()]}


def restore(hub: Hub, content: dict[str, Any]) -> None:
    """What :func:`dump` gave, into a hub without sessions of those names. Raises BrokerError when it is something
    else."""
    try:
        for told in content.get("retained", []):
            hub.retain(_as_message(told))
        for told in content.get("sessions", []):
            session = _as_session(told)
            if session.expires and session.expires > hub.now():
                hub.wake_up(session)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BrokerError(f"these are no sessions of a broker: {error!r}") from error


def _session(hub: Hub, session: Session) -> dict[str, Any]:
    expires = session.expires or hub.now() + timedelta(seconds=session.keep_seconds)
    return {"client": session.client_id, "certificate": session.certificate_id, "identifier": session.identifier,
            "number": session.number, "keep_seconds": session.keep_seconds, "thing": session.thing,
            "expires": expires.isoformat(),
            "subscriptions": [asdict(each) for each in session.subscriptions.values()],
            # what was sent and not acknowledged comes again, under its number
            "sent": [[number, _message(each.message)] for number, each in session.inflight.items()],
            "queue": [_message(each) for each in session.queue]}


def _as_session(told: dict[str, Any]) -> Session:
    expires = datetime.fromisoformat(told["expires"])
    session = Session(told["client"], told["certificate"], told["identifier"], told["number"], told["keep_seconds"],
                      told["thing"], expires=expires)
    session.subscriptions = {each["filter"]: Subscription(**each) for each in told["subscriptions"]}
    session.inflight = {int(number): Sent(_as_message(each), expires, expires) for number, each in told["sent"]}
    session.queue.extend(map(_as_message, told["queue"]))
    session.queue_bytes = sum(len(each.payload) for each in session.queue)
    return session


def _message(message: Message) -> dict[str, Any]:
    return {"topic": message.topic, "payload": b64encode(message.payload).decode(), "qos": message.qos,
            "retain": message.retain, "expires": message.expires and message.expires.isoformat(),
            "properties": [[int(name), _plain(value)] for name, value in message.properties.items()]}


def _as_message(told: dict[str, Any]) -> Message:
    properties: Properties = {Property(name): _value(value) for name, value in told["properties"]}
    expires = told["expires"] and datetime.fromisoformat(told["expires"])
    return Message(told["topic"], b64decode(told["payload"], validate=True), told["qos"], told["retain"], properties,
                   expires)


def _plain(value: Any) -> Any:
    return {"bytes": b64encode(value).decode()} if isinstance(value, bytes) else value


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return b64decode(value["bytes"], validate=True)
    return [tuple(each) if isinstance(each, list) else each for each in value] if isinstance(value, list) else value
