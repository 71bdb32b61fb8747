# SPDX-License-Identifier: Apache-2.0
"""What every client of Python is asked to do; runs in the client's own environment, with nothing of this project.

A client is a class made with (host, port, ca, certificate, key, client id); ``will``: (topic, payload).
"""

from __future__ import annotations

import json
import queue
import sys
import traceback
from typing import Any

SECONDS = 15.0


class Inbox:
    """Messages that came, from whatever thread."""

    def __init__(self) -> None:
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def put(self, topic: str, payload: bytes) -> None:
        self._messages.put((topic, bytes(payload)))

    def take(self, topic: str) -> bytes:
        """The next message on a topic; others are dropped. Raises queue.Empty."""
        while True:
            came, payload = self._messages.get(timeout=SECONDS)
            if came == topic:
                return payload


def run(client: Any) -> None:
    """Every step on a line of its own: its name, and ``ok`` or what went wrong."""
    arguments = sys.argv[1:]
    extra = arguments[6:]
    made = [arguments[0], int(arguments[1]), *arguments[2:5]]
    thing = arguments[5]

    def new(name: str = "", **options: Any) -> Any:
        return client(*made, f"{thing}{name}", *extra, **options)

    for step in (connect, subscribe, qos0, qos1, will, session, shadow, jobs):
        try:
            step(new, thing)
            print(f"{step.__name__} ok", flush=True)
        except Exception as error:  # noqa: BLE001  (whatever a client may raise)
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"{step.__name__} {type(error).__name__}: {error} ({where.name}:{where.lineno})", flush=True)


def connect(new: Any, thing: str) -> None:
    one = new()
    one.connect()
    one.disconnect()


def subscribe(new: Any, thing: str) -> None:
    one = new()
    one.connect()
    one.subscribe("interop/a/+")
    one.disconnect()


def qos0(new: Any, thing: str) -> None:
    _round(new, 0)


def qos1(new: Any, thing: str) -> None:
    _round(new, 1)


def _round(new: Any, qos: int) -> None:
    one = new()
    one.connect()
    one.subscribe("interop/round")
    one.publish("interop/round", b"\x00 there and back", qos)
    assert one.inbox.take("interop/round") == b"\x00 there and back"
    one.disconnect()


def will(new: Any, thing: str) -> None:
    """Another connection of the same client id throws the first one out: its will is due."""
    watcher = new("-watcher")
    watcher.connect()
    watcher.subscribe("interop/will")
    one = new(will=("interop/will", b"gone"))
    one.connect()
    two = new()
    two.connect()
    assert watcher.inbox.take("interop/will") == b"gone"
    one.abandon()
    two.disconnect()
    watcher.disconnect()


def session(new: Any, thing: str) -> None:
    """A message that came while the client was away."""
    first = new("-sleeper", clean=False)
    first.connect()
    first.subscribe("interop/asleep")
    first.disconnect()
    writer = new()
    writer.connect()
    writer.publish("interop/asleep", b"while away", 1)
    writer.disconnect()
    again = new("-sleeper", clean=False)
    again.connect()
    assert again.inbox.take("interop/asleep") == b"while away"
    again.disconnect()


def shadow(new: Any, thing: str) -> None:
    prefix = f"$aws/things/{thing}/shadow"
    one = new()
    one.connect()
    for topic in ("update/accepted", "update/delta", "get/accepted"):
        one.subscribe(f"{prefix}/{topic}")
    one.publish(f"{prefix}/update", json.dumps({"state": {"desired": {"lamp": thing}}}).encode(), 1)
    assert json.loads(one.inbox.take(f"{prefix}/update/delta"))["state"] == {"lamp": thing}
    one.publish(f"{prefix}/get", b"", 1)
    assert json.loads(one.inbox.take(f"{prefix}/get/accepted"))["state"]["desired"] == {"lamp": thing}
    one.disconnect()


def jobs(new: Any, thing: str) -> None:
    """The runner has made a job for the thing."""
    prefix = f"$aws/things/{thing}/jobs"
    one = new()
    one.connect()
    one.subscribe(f"{prefix}/start-next/accepted")
    one.publish(f"{prefix}/start-next", b"{}", 1)
    execution = json.loads(one.inbox.take(f"{prefix}/start-next/accepted"))["execution"]
    one.subscribe(f"{prefix}/{execution['jobId']}/update/accepted")
    one.publish(f"{prefix}/{execution['jobId']}/update", b'{"status": "SUCCEEDED"}', 1)
    one.inbox.take(f"{prefix}/{execution['jobId']}/update/accepted")
    one.disconnect()
