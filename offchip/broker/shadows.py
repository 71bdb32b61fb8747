# SPDX-License-Identifier: Apache-2.0
"""Device shadows over MQTT (AWS IoT developer guide, "Device Shadow MQTT topics", "Shadow documents")."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from offchip.broker.payload import json_object
from offchip.broker.services import Reply, Request
from offchip.broker.session import Message
from offchip.errors import BrokerError

_LARGEST = 8192
_DEPTH = 6
#: shadows that are kept, deleted ones included; ours
_MOST = 5000
#: how long a deleted shadow's version number is remembered (developer guide, "Interacting with shadows", DELETE)
_REMEMBERED_S = 48 * 3600


class _Rejected(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Shadow:
    """``metadata``: when each leaf of the state was set, in seconds."""

    desired: dict[str, Any] = field(default_factory=dict)
    reported: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    version: int = 0


class Shadows:
    """Classic and named shadows of all things. One made anew within 48 hours goes on with its version number."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._shadows: dict[str, _Shadow] = {}
        #: version, and when it was deleted, in seconds
        self._deleted: dict[str, tuple[int, int]] = {}

    def answer(self, request: Request) -> Sequence[Reply]:
        """Publishes accepted or rejected, and after an update documents and, if they differ, the delta."""
        prefix, _, operation = request.topic.rpartition("/")
        token: dict[str, Any] = {}
        try:
            content = _content(request.payload)
            token = _token(content)
            replies = getattr(self, f"_{operation}")(prefix, content, token)
        except _Rejected as error:
            replies = [("rejected", {"code": error.code, "message": str(error), "timestamp": self._time(), **token})]
        return [Reply(Message(f"{request.topic}/{kind}", json.dumps(result).encode(), 1)) for kind, result in replies]

    def state(self, thing: str, name: str = "") -> dict[str, Any]:
        """Desired and reported state, as an application sees it; empty without a shadow."""
        shadow = self._shadows.get(f"$aws/things/{thing}/shadow" + (f"/name/{name}" if name else ""))
        return _state(shadow) if shadow else {}

    def dump(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        return {"shadows": {key: asdict(each) for key, each in self._shadows.items()},
                "deleted": {key: list(each) for key, each in self._deleted.items()}}

    def restore(self, dumped: dict[str, Any]) -> None:
        """What :meth:`dump` gave. Raises BrokerError when it is something else."""
        try:
            self._shadows = {key: _Shadow(**each) for key, each in dumped.get("shadows", {}).items()}
            self._deleted = {key: (int(version), int(when)) for key, (version, when)
                             in dumped.get("deleted", {}).items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise BrokerError(f"these are no shadows: {error}") from error

    # operations ----------------------------------------------------------------------------------------------------
    def _get(self, prefix: str, content: dict[str, Any], token: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        shadow = self._find(prefix)
        state = _state(shadow)
        if delta := _delta(shadow.desired, shadow.reported):
            state["delta"] = delta
        return [("accepted", {"state": state, "metadata": shadow.metadata, "version": shadow.version,
                              "timestamp": self._time(), **token})]

    def _delete(self, prefix: str, content: dict[str, Any], token: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        shadow = self._find(prefix)
        del self._shadows[prefix]
        self._deleted[prefix] = shadow.version, self._time()
        return [("accepted", {"version": shadow.version, "timestamp": self._time(), **token})]

    def _update(self, prefix: str, content: dict[str, Any], token: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        state = content.get("state")
        if not isinstance(state, dict) or not set(state) <= {"desired", "reported"}:
            raise _Rejected(400, "Missing required node: state")
        self._forget()
        if prefix not in self._shadows and len(self._shadows) + len(self._deleted) >= _MOST:
            raise _Rejected(429, f"The laboratory keeps {_MOST} shadows")
        # a change that is refused half-way must leave nothing behind
        shadow = deepcopy(self._shadows.get(prefix)) or _Shadow(version=self._deleted.get(prefix, (0, 0))[0])
        wanted = content.get("version")
        if wanted is not None and (isinstance(wanted, bool) or not isinstance(wanted, int)):
            raise _Rejected(400, "Invalid version")
        if wanted is not None and wanted != shadow.version:
            raise _Rejected(409, "Version conflict")
        before = deepcopy({"state": _state(shadow), "metadata": shadow.metadata, "version": shadow.version})
        changes: dict[str, Any] = {}
        for part in ("desired", "reported"):
            if part in state:
                changes[part] = self._merge(shadow, part, state[part])
        if len(json.dumps(_state(shadow), ensure_ascii=False).encode("utf-8", "replace")) > _LARGEST:
            raise _Rejected(413, "The shadow document exceeds the maximum size allowed")
        shadow.version += 1
        self._deleted.pop(prefix, None)
        self._shadows[prefix] = shadow
        now = self._time()
        replies: list[tuple[str, dict[str, Any]]] = [
            ("accepted", {"state": state, "metadata": changes, "version": shadow.version, "timestamp": now, **token}),
            ("documents", {"previous": before, "current": {"state": _state(shadow), "metadata": shadow.metadata,
                                                           "version": shadow.version}, "timestamp": now, **token})]
        # whatever was changed: who reports something else than what is desired is told again
        if delta := _delta(shadow.desired, shadow.reported):
            replies.append(("delta", {"version": shadow.version, "timestamp": now, "state": delta,
                                      "metadata": _of(shadow.metadata["desired"], delta), **token}))
        return replies

    # inside --------------------------------------------------------------------------------------------------------
    def _forget(self) -> None:
        since = self._time() - _REMEMBERED_S
        self._deleted = {key: each for key, each in self._deleted.items() if each[1] > since}

    def _find(self, prefix: str) -> _Shadow:
        if prefix not in self._shadows:
            thing = prefix.split("/")[2]
            raise _Rejected(404, f"No shadow exists with name: '{thing}'")
        return self._shadows[prefix]

    def _merge(self, shadow: _Shadow, part: str, change: Any) -> dict[str, Any]:
        """A null deletes; returns the metadata of what was set."""
        if change is None:
            setattr(shadow, part, {})
            shadow.metadata.pop(part, None)
            return {}
        if not isinstance(change, dict):
            raise _Rejected(400, f"State {part} node must be an object")
        if _depth(change) > _DEPTH:
            raise _Rejected(400, "JSON contains too many levels of nesting; maximum is 6")
        when: dict[str, Any] = _like(change, self._time())
        _put(getattr(shadow, part), change)
        _put(shadow.metadata.setdefault(part, {}), _nulled(when, change))
        return when

    def _time(self) -> int:
        return int(self._now().timestamp())


def _content(payload: bytes) -> dict[str, Any]:
    if len(payload) > _LARGEST:
        raise _Rejected(413, "The payload exceeds the maximum size allowed")
    if not payload:
        return {}
    try:
        return json_object(payload)
    except ValueError:
        raise _Rejected(400, "Payload is not a JSON object") from None


def _token(content: dict[str, Any]) -> dict[str, Any]:
    """What every answer repeats (developer guide, "Shadow documents": a text of at most 64 bytes)."""
    if "clientToken" not in content:
        return {}
    token = content["clientToken"]
    if not isinstance(token, str) or len(token.encode("utf-8", "replace")) > 64:
        raise _Rejected(400, "Invalid clientToken")
    return {"clientToken": token}


def _state(shadow: _Shadow) -> dict[str, Any]:
    return {part: value for part, value in (("desired", shadow.desired), ("reported", shadow.reported)) if value}


def _put(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _put(into[key], value)
        else:
            into[key] = value


def _delta(desired: dict[str, Any], reported: dict[str, Any]) -> dict[str, Any]:
    """What is desired and not reported so."""
    found: dict[str, Any] = {}
    for key, value in desired.items():
        other = reported.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            if inner := _delta(value, other):
                found[key] = inner
        elif key not in reported or other != value:
            found[key] = value
    return found


def _like(state: Any, now: int) -> Any:
    """The same shape with a time at each leaf."""
    if isinstance(state, dict):
        return {key: _like(value, now) for key, value in state.items()}
    return [_like(each, now) for each in state] if isinstance(state, list) else {"timestamp": now}


def _of(metadata: Any, state: Any) -> Any:
    """When each leaf of a part of the state was set."""
    return {key: _of(metadata[key], value) for key, value in state.items()} if isinstance(state, dict) else metadata


def _nulled(metadata: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a change, with a null where the change deletes."""
    return {key: None if state[key] is None else _nulled(value, state[key]) if isinstance(state[key], dict) else value
            for key, value in metadata.items()}


def _depth(state: Any) -> int:
    if isinstance(state, dict):
        return 1 + max(map(_depth, state.values()), default=0)
    return max(map(_depth, state), default=0) if isinstance(state, list) else 0
