# SPDX-License-Identifier: Apache-2.0
"""A lab with a board of one's own: what it says to flash, its decisions, the second terminal, the page, the state."""

from __future__ import annotations

import fcntl
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from offchip.broker.client import MqttClient
from offchip.cli import main
from offchip.errors import BrokerError
from offchip.lab.decisions import Decisions
from offchip.lab.state import Hold
from offchip.pki import Authority, Identity
from tests.broker_lab import HOST, OWN, SESSION, THING, Lab, Raw

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LAB = [sys.executable, "-m", "offchip", "lab"]
needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed")


def offchip(*words: str, document: str = "") -> subprocess.CompletedProcess[str]:
    """A command as a terminal sees it, without another interpreter's start."""
    out, errors = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["offchip", *words], io.StringIO(document)
    try:
        with redirect_stdout(out), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv, sys.stdin = before
    return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), errors.getvalue())


class Running:
    """One ``offchip lab --no-device``, ready; ``said``: everything it printed until then."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.out = folder, folder.parent / "decisions.txt"
        self.process = subprocess.Popen(
            [*LAB, "--port", "0", "--folder", str(folder), "--no-device", *options], cwd=ROOT, text=True,
            stderr=subprocess.PIPE, stdout=self.out.open("w"))
        self.said = ""
        for line in self.process.stderr:
            self.said += line
            if "mosquitto_pub" in line:
                break

    def __call__(self, *words: str, document: str = "") -> subprocess.CompletedProcess[str]:
        return offchip("lab", *words, "--folder", str(self.folder), document=document)

    def publish(self, changes: tuple[str, str] = ("", "")) -> int:
        line = next(each for each in self.said.splitlines() if "mosquitto_pub" in each).replace(*changes)
        return subprocess.run(["timeout", "20", *shlex.split(line)], capture_output=True).returncode

    def ask(self, act: str, token: str, host: str = "127.0.0.1") -> int:
        port = json.loads((self.folder / "control.json").read_text())["port"]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{act}", b"{}",
                                         {"X-Offchip-Token": token, "Host": f"{host}:{port}"})
        try:
            return int(urllib.request.urlopen(request).status)
        except urllib.error.HTTPError as error:
            return error.code

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        return self.process.stderr.read()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "a lab", "--state", str(tmp_path / "lab.db"))
    yield running
    assert "Traceback" not in running.stop()


@needs_mosquitto
def test_a_board_of_one_s_own_and_a_second_terminal(lab: Running, tmp_path: Path) -> None:
    assert lab.publish() == 0
    assert lab.publish(("offchip/things/thing-1", "offchip/things/thing-2")) != 0
    decided = lab("log").stdout
    assert re.search(r"thing-1 +iot:Connect thing-1 allowed: narrow\[0\]", decided)
    assert re.search(r"thing-1 +iot:Publish offchip/things/thing-1 allowed: narrow\[1\]", decided)
    assert re.search(r"iot:Publish offchip/things/thing-2 denied: no statement allows iot:Publish on arn:", decided)
    assert decided.splitlines()[0] in lab.out.read_text()

    document = lab("policy", "show", "narrow").stdout.replace("offchip/things/${", "elsewhere/${")
    assert "version 2" in lab("policy", "edit", "narrow", "-", document=document).stdout
    assert lab.publish() != 0
    assert lab("policy", "attach", "wide", "thing-1").returncode == 0 and lab.publish() == 0
    assert lab("policy", "detach", "wide", "thing-1").returncode == 0 and lab.publish() != 0

    assert "mosquitto_pub" in lab("add", "esp32").stdout
    assert "its policies: wide" in lab("add", "anything", "--policy", "wide").stdout
    assert re.search(r"thing-1: [0-9a-f]{12} INACTIVE", lab("deactivate", "thing-1").stdout)
    assert "status INACTIVE" in lab("log").stdout or lab.publish() != 0
    before = lab("list").stdout
    assert "esp32" in before and re.search(r"thing-1 +\w+ INACTIVE", before)
    lab.stop()
    again = Running(tmp_path / "a lab", "--state", str(tmp_path / "lab.db"))
    try:
        assert again("list").stdout == before and "elsewhere" in again("policy", "show", "narrow").stdout
        second = offchip("lab", "--no-device", "--folder", str(tmp_path / "y"), "--state", str(tmp_path / "lab.db"))
        assert second.returncode == 2 and "another lab goes on from it" in second.stderr, second.stderr
        assert second.stderr.count("\n") == 1 and not (tmp_path / "y").exists()
        assert again("activate", "thing-1").returncode == 0
        assert again("policy", "attach", "wide", "thing-1").returncode == 0 and again.publish() == 0
    finally:
        assert "Traceback" not in again.stop()


def test_what_is_wrong_is_one_line(lab: Running, tmp_path: Path) -> None:
    for words, document in ((("deactivate", "thing-9"), ""), (("policy", "attach", "none", "thing-1"), ""),
                            (("policy", "edit", "narrow", "-"), "{"), (("policy", "show", "none"), ""),
                            (("add", "thing-1"), ""), (("add", "a b"), ""), (("flash", "thing-9"), ""),
                            (("policy", "detach", "wide", "thing-1"), ""), (("rotate", "thing-9"), ""),
                            (("shadow", "thing-9"), ""), (("publish", "a/#", "x"), "")):
        refused = lab(*words, document=document)
        assert refused.returncode == 2 and refused.stderr.count("\n") == 1, words
        assert refused.stderr.startswith("error: ") and not refused.stdout, words
    nobody = offchip("lab", "list", "--folder", str(tmp_path / "nowhere"))
    assert nobody.returncode == 2 and nobody.stderr.startswith("error: no lab runs in")
    (tmp_path / "bad.db").write_bytes(b"no database")
    damaged = offchip("lab", "--no-device", "--folder", str(tmp_path / "x"), "--state", str(tmp_path / "bad.db"))
    assert damaged.returncode == 2 and damaged.stderr.count("\n") == 1 and "bad.db" in damaged.stderr
    assert (tmp_path / "bad.db").read_bytes() == b"no database" and not (tmp_path / "bad.db.lock").exists()
    for folder in (".", str(tmp_path)):
        refused = offchip("lab", "--no-device", "--folder", str(tmp_path / "x"), "--state", folder)
        assert refused.returncode == 2 and refused.stderr == f"error: {folder}: is a folder; a lab's state is a file.\n"


def test_nobody_else_rules(lab: Running) -> None:
    told = json.loads((lab.folder / "control.json").read_text())
    assert lab.ask("list", told["token"]) == 200
    assert lab.ask("list", "") == lab.ask("list", "x" * 32) == lab.ask("list", told["token"], "evil.example") == 403
    for name in ("control.json", "thing-1.key", "../lab.db"):
        assert (lab.folder / name).stat().st_mode & 0o077 == 0, name


@needs_mosquitto
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; scripts/setup --test gets it on Debian")
def test_the_page_rules_too(lab: Running) -> None:
    lab.publish()
    url = re.search(r"http://127\.0\.0\.1:\S+", lab.said)[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 844})
        trouble: list[str] = []
        page.on("console", lambda said: trouble.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        origin = url.partition("?")[0]
        page.on("request", lambda asked: None if asked.url.startswith(origin) else trouble.append(asked.url))
        page.goto(url)
        page.locator("#log li.allowed", has_text="narrow[1]").first.wait_for()
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert Axe().run(page).violations_count == 0
        page.get_by_role("button", name="What to flash thing-1").click()
        page.locator("#flash", has_text="mosquitto_pub").wait_for()
        page.get_by_role("button", name="Deactivate thing-1").click()
        page.get_by_role("button", name="Activate thing-1", exact=True).wait_for()
        assert lab.publish() != 0
        page.locator("#log li.denied", has_text="status INACTIVE").first.wait_for()
        page.get_by_role("button", name="Run the checks").click()
        page.locator("#findings li", has_text="IOT_POLICY_OVERLY_PERMISSIVE_CHECK").wait_for()
        page.get_by_role("button", name="Save as new version").click()
        page.locator("#said", has_text="decides now").wait_for()
        assert Axe().run(page).violations_count == 0 and trouble == []
        browser.close()


# what a person is told ---------------------------------------------------------------------------------------------
def _shake(lab: Lab, first: bytes) -> None:
    lab.broker.connect("10.0.0.9").receive(first)


def _as(lab: Lab, identity: Identity | None = None, trusted: Authority | None = None, host: str = HOST,
        client_id: str = THING) -> MqttClient:
    client = MqttClient(client_id, identity, (trusted or lab.world.authority).certificates, host)
    client.connect(lab.broker)
    return client


@pytest.mark.parametrize(("mistake", "told"), [
    (lambda lab: _shake(lab, SESSION), "TLS denied: WRONG_VERSION_NUMBER: this is no TLS"),
    (lambda lab: _shake(lab, b"GET / HTTP/1.1\r\n\r\n"), "HTTP_REQUEST: plain HTTP came"),
    (lambda lab: Raw(lab).send(b"POST /topics/a?qos=1 HTTP/1.1\r\n"), "NotModelled topic= what=HTTP; MQTT alone"),
    (lambda lab: _as(lab), "the client shows no certificate; give it certificate and key"),
    (lambda lab: _as(lab, Authority("other").issue_device(THING)), "certificate is of a CA nobody registered here"),
    (lambda lab: _as(lab, lab.world.devices[THING], Authority("other")), "its root CA must be the lab's ca.pem"),
    (lambda lab: _as(lab, lab.world.devices[THING], host="wrong.example"), "the host name it asked for"),
    (lambda lab: _as(lab, lab.world.authority.issue_device("new")), "was another lab's flashed?"),
    (lambda lab: _as(lab, lab.world.devices[THING], client_id="board"), "the certificate is of 'thing-1'"),
    (lambda lab: lab.client().publish("elsewhere", b""), "iot:Publish elsewhere denied: no statement allows"),
    (lambda lab: lab.client().publish(OWN, b"", qos=2), "AWS has no QoS 2; there is no answer"),
    (lambda lab: (lab.world.registry.update_certificate(lab.world.devices[THING].certificate_id, "INACTIVE"),
                  lab.client()), "status INACTIVE: offchip lab activate makes it ACTIVE again"),
])
def test_each_mistake_of_a_client_is_one_sentence(mistake: Callable[[Lab], object], told: str) -> None:
    lab = Lab()
    decisions = Decisions(lab.broker)
    mistake(lab)
    assert any(told in str(each) for each in decisions.since(0)), [str(each) for each in decisions.since(0)]


def test_one_lab_at_a_time_holds_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lab.db"
    first = Hold(path)
    for _ in range(2):  # who was refused has let go of nothing
        with pytest.raises(BrokerError, match="another lab goes on from it"):
            Hold(path)
    Hold(tmp_path / "other.db")
    first.release()
    assert not (tmp_path / "lab.db.lock").exists()
    second = Hold(path)
    first.release()  # once more, and harmless
    with pytest.raises(BrokerError, match="another lab"):
        Hold(path)
    second.release()

    def late(file: IO[str], how: int) -> None:
        flock(file, how)
        (tmp_path / "lab.db.lock").unlink()  # whoever held it went away between its opening and its locking here

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(BrokerError, match="another lab"):
        Hold(path)
    with pytest.raises(BrokerError, match="is a folder"):
        Hold(tmp_path)
    with pytest.raises(BrokerError, match="cannot be written: No such file or directory"):
        Hold(tmp_path / "none/lab.db")
