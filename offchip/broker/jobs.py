# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Jobs as a device sees them over MQTT (developer guide, "Jobs device MQTT API operations", "Job execution
states"): get, start-next, describe, update, notify, notify-next. Rollouts, time-outs, presigned URLs are not modelled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from offchip.broker.names import check_name
from offchip.broker.payload import json_object
from offchip.broker.services import Reply, Request
from offchip.broker.session import Message
from offchip.errors import BrokerError

_TERMINAL = {"SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "REMOVED", "CANCELED"}
#: what a device may ask for, from each status
_STEPS = {"QUEUED": {"IN_PROGRESS", "FAILED", "SUCCEEDED", "REJECTED"},
          "IN_PROGRESS": {"IN_PROGRESS", "FAILED", "SUCCEEDED", "REJECTED"}}


class _Rejected(Exception):
    def __init__(self, code: str, message: str, execution: Execution | None = None) -> None:
        super().__init__(message)
        self.code, self.execution = code, execution


@dataclass(slots=True)
class Execution:
    """One job on one thing; times in seconds since 1970."""

    job: str
    thing: str
    document: dict[str, Any]
    queued_at: int
    status: str = "QUEUED"
    details: dict[str, str] = field(default_factory=dict)
    version: int = 1
    started_at: int | None = None
    updated_at: int = 0

    def summary(self) -> dict[str, Any]:
        """JobExecutionSummary."""
        started = {"startedAt": self.started_at} if self.started_at else {}
        return {"jobId": self.job, "queuedAt": self.queued_at, "lastUpdatedAt": self.updated_at, **started,
                "executionNumber": 1, "versionNumber": self.version}

    def whole(self, document: bool = True) -> dict[str, Any]:
        """JobExecution."""
        return {**self.summary(), "thingName": self.thing, "status": self.status, "statusDetails": self.details,
                **({"jobDocument": self.document} if document else {})}

    def state(self) -> dict[str, Any]:
        """JobExecutionState."""
        return {"status": self.status, "statusDetails": self.details, "versionNumber": self.version}


class Jobs:
    """All jobs of one account. ``route`` publishes the notices."""

    def __init__(self, now: Callable[[], datetime], route: Callable[[Message], object]) -> None:
        self._now, self._route = now, route
        self._jobs: dict[str, None] = {}
        self._executions: dict[str, list[Execution]] = {}

    # the owner's side ----------------------------------------------------------------------------------------------
    def create(self, job: str, document: dict[str, Any], things: Sequence[str]) -> None:
        """CreateJob, a snapshot job for these things, which are told. Raises BrokerError."""
        check_name("job", job, self._jobs)
        self._jobs[job] = None
        for thing in things:
            before = self._next(thing)
            self._executions.setdefault(thing, []).append(
                Execution(job, thing, document, self._time(), updated_at=self._time()))
            self._tell(thing, before)

    def cancel(self, job: str) -> None:
        """CancelJob: executions that have not begun. Raises BrokerError."""
        if job not in self._jobs:
            raise BrokerError(f"there is no job '{job}'")
        for thing, executions in self._executions.items():
            before = self._next(thing)
            for each in executions:
                if each.job == job and each.status == "QUEUED":
                    self._set(each, "CANCELED")
            self._tell(thing, before)

    def status(self, job: str, thing: str) -> str:
        """Of one execution, '' when there is none."""
        return next((each.status for each in self._executions.get(thing, []) if each.job == job), "")

    # the device's side ---------------------------------------------------------------------------------------------
    def answer(self, request: Request) -> Sequence[Reply]:
        """Publishes accepted or rejected."""
        _, _, thing, _, *words = request.topic.split("/")
        token: dict[str, Any] = {}
        try:
            content = _content(request.payload)
            if "clientToken" in content:
                token = {"clientToken": content["clientToken"]}
            result, kind = self._operate(thing, words, content), "accepted"
        except _Rejected as error:
            state = {"executionState": error.execution.state()} if error.execution else {}
            result, kind = {"code": error.code, "message": str(error), **state}, "rejected"
        result |= {"timestamp": self._time(), **token}
        return [Reply(Message(f"{request.topic}/{kind}", json.dumps(result).encode(), 1))]

    def _operate(self, thing: str, words: list[str], content: dict[str, Any]) -> dict[str, Any]:
        match words:
            case ["get"]:
                return self._pending(thing)
            case ["start-next"]:
                return self._start_next(thing, content)
            case [job, "get"]:
                execution = self._next(thing) if job == "$next" else self._find(thing, job)
                return {"execution": execution.whole(content.get("includeJobDocument", True) is not False)
                        if execution else {}}
            case [job, "update"]:
                return self._update(thing, job, content)
        raise _Rejected("InvalidTopic", "no operation of AWS IoT Jobs")

    def _pending(self, thing: str) -> dict[str, Any]:
        return {"inProgressJobs": self._summaries(thing, "IN_PROGRESS"), "queuedJobs": self._summaries(thing, "QUEUED")}

    def _start_next(self, thing: str, content: dict[str, Any]) -> dict[str, Any]:
        execution = self._next(thing)
        if execution is None:
            return {}
        if execution.status == "QUEUED":
            execution.started_at = self._time()
            self._set(execution, "IN_PROGRESS", _details(content))
        return {"execution": execution.whole()}

    def _update(self, thing: str, job: str, content: dict[str, Any]) -> dict[str, Any]:
        execution, status, details = self._find(thing, job), content.get("status"), _details(content)
        if execution.status in _TERMINAL:
            raise _Rejected("TerminalStateReached", f"the execution is {execution.status}", execution)
        if not isinstance(status, str) or status not in _TERMINAL | set(_STEPS):
            raise _Rejected("InvalidRequest", "status is missing or there is no such status")
        if status not in _STEPS[execution.status]:
            raise _Rejected("InvalidStateTransition", f"{execution.status} does not become {status}", execution)
        expected = content.get("expectedVersion")
        if expected is not None and str(expected) != str(execution.version):
            raise _Rejected("VersionMismatch", f"the execution has version {execution.version}", execution)
        before = self._next(thing)
        if status == "IN_PROGRESS" and execution.started_at is None:
            execution.started_at = self._time()
        self._set(execution, status, details)
        if status in _TERMINAL:
            self._tell(thing, before)
        return {**({"executionState": execution.state()} if content.get("includeJobExecutionState") is True else {}),
                **({"jobDocument": execution.document} if content.get("includeJobDocument") is True else {})}

    # inside --------------------------------------------------------------------------------------------------------
    def _find(self, thing: str, job: str) -> Execution:
        for each in self._executions.get(thing, []):
            if each.job == job:
                return each
        raise _Rejected("ResourceNotFound", f"there is no job '{job}' for this thing")

    def _next(self, thing: str) -> Execution | None:
        """The first in progress, else the first queued one."""
        waiting = [each for each in self._executions.get(thing, []) if each.status not in _TERMINAL]
        return min(waiting, key=lambda each: each.status == "QUEUED", default=None)

    def _summaries(self, thing: str, status: str) -> list[dict[str, Any]]:
        return [each.summary() for each in self._executions.get(thing, []) if each.status == status]

    def _set(self, execution: Execution, status: str, details: dict[str, str] | None = None) -> None:
        execution.status, execution.updated_at = status, self._time()
        execution.version += 1
        if details is not None:
            execution.details = details

    def _tell(self, thing: str, before: Execution | None) -> None:
        """The list of pending ones changed, and perhaps the next one."""
        pending = {status: self._summaries(thing, status) for status in ("IN_PROGRESS", "QUEUED")}
        self._notify(thing, "notify", {"jobs": {status: each for status, each in pending.items() if each}})
        now = self._next(thing)
        if now is not before:
            self._notify(thing, "notify-next", {"execution": now.whole()} if now else {"execution": {}})

    def _notify(self, thing: str, what: str, content: dict[str, Any]) -> None:
        payload = json.dumps({"timestamp": self._time(), **content}).encode()
        self._route(Message(f"$aws/things/{thing}/jobs/{what}", payload, 1))

    def _time(self) -> int:
        return int(self._now().timestamp())


def _content(payload: bytes) -> dict[str, Any]:
    try:
        return json_object(payload or b"{}")
    except ValueError as error:
        raise _Rejected("InvalidJson", "the request is no JSON object in UTF-8") from error


def _details(content: dict[str, Any]) -> dict[str, str] | None:
    details = content.get("statusDetails")
    if details is None:
        return None
    if not isinstance(details, dict) or not all(isinstance(each, str) for each in details.values()):
        raise _Rejected("InvalidRequest", "statusDetails is an object of texts")
    return details
