# SPDX-License-Identifier: Apache-2.0
"""The application of the firmware alone: what it does in which order, when everything below goes well and when not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from OffchipLibrary.console_lines import is_specified

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
SOURCES = [FIRMWARE / "src" / name for name in ("app/app.c", "app/backoff.c", "app/telemetry.c", "board/format.c",
                                                "net/json.c", "net/wall_clock.c")]
MBEDTLS = ROOT / ".cache/mbedtls-3.6.6/include"
MADE = 1777593600
START = 1780300000

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None or not MBEDTLS.is_dir(), reason="needs gcc and Mbed TLS")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("app") / "app"
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE}", "-isystem", MBEDTLS,
         "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>", ROOT / "tests/firmware_app/host.c", *SOURCES, "-o", path],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return path


class Life:
    """What happened: ``lines`` with the time in milliseconds, ``calls`` without."""

    def __init__(self, text: str) -> None:
        self.lines = [(int(time), what) for time, _, what in (line.partition(" ") for line in text.splitlines())]
        self.calls = [what for _, what in self.lines]
        self.console = [what[2:] for what in self.calls if what.startswith("> ")]
        assert [line for line in self.console if not is_specified(line)] == []

    def times(self, pattern: str) -> list[int]:
        return [time for time, what in self.lines if re.search(pattern, what)]

    def before(self, *patterns: str) -> None:
        """Each pattern occurs, its first occurrence behind that of the one before."""
        at = -1
        for pattern in patterns:
            at = next((i for i, what in enumerate(self.calls) if i > at and re.search(pattern, what)), -1)
            assert at >= 0, f"{pattern} does not follow in {self.calls}"


def live(program: Path, milliseconds: int, **script: str) -> Life:
    done = subprocess.run([program, str(milliseconds), *(f"{name}={answers}" for name, answers in script.items())],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return Life(done.stdout)


def test_a_life_without_trouble(program: Path) -> None:
    life = live(program, 7000)
    life.before("hall: closed", "rng: ok", "credentials_load", "identity_parse key=the-key",
                "credentials: ok source=sd", "credentials_wipe", "modem_start net secret", "modem: ready",
                "modem_sntp time.test", "clock: 2026", f"rtc_set {START}",
                f"tls_open broker.test:8883 versions=3 fingerprint=ab time={START}", "tls: connected",
                "mqtt_open client-1 60", "mqtt: connected", "mqtt_subscribe commands 1",
                "mqtt_publish own 1", "mqtt_publish feed 0")
    # one round each interval: same payload on both topics, numbered, with the clock's time
    payloads = [json.loads(what.split(" ", 3)[3]) for what in life.calls if what.startswith("mqtt_publish")]
    assert [each["seq"] for each in payloads] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert payloads[0] == {"thing": "thing-1", "seq": 1, "time": START, "temperature": 20.01}
    assert [each["time"] - START for each in payloads[::2]] == [0, 2, 4, 6]
    assert life.times("mqtt_publish own") == [0, 2000, 4000, 6000]
    assert "secret" not in " ".join(life.console) and "the-key" not in " ".join(life.console)


STAGES = [
    ({"rng_init": "fail"}, "rng", ["rng: error seed"], "credentials_load"),
    ({"tls_platform_init": "fail"}, "rng", [], "credentials_load"),
    ({"credentials_load": "fail"}, "storage", [], "identity_parse"),
    ({"identity_parse": "fail"}, "credentials", ["credentials: error key-mismatch"], "modem_start"),
    ({"modem_start": "fail"}, "modem", ["modem: error no-answer"], "tls_open"),
    ({"modem_sntp": "fail"}, "clock", ["clock: error no-time"], "tls_open"),
    ({"tls_open": "r:untrusted-ca"}, "tls", ["tls: refused reason=untrusted-ca"], "mqtt_open"),
    ({"tls_open": "a:bad_certificate"}, "tls", ["tls: alert 42 bad_certificate"], "mqtt_open"),
    ({"tls_open": "e:timeout"}, "tls", ["tls: error timeout"], "mqtt_open"),
    ({"mqtt_open": "refused"}, "mqtt", ["mqtt: refused code=5"], "mqtt_publish"),
    ({"mqtt_subscribe": "error"}, "mqtt", ["mqtt: error no-puback"], "mqtt_publish"),
    ({"mqtt_open": "stream", "tls_receive": "a:certificate_revoked"}, "tls", ["tls: alert 42 certificate_revoked"],
     "mqtt_publish"),
    ({"mqtt_publish": "stream", "tls_receive": "e:closed"}, "mqtt", ["mqtt: closed"], "mqtt_publish feed"),
]


@pytest.mark.parametrize(("script", "reason", "said", "not_reached"), STAGES,
                         ids=["-".join(f"{name}={value}" for name, value in each[0].items()) for each in STAGES])
def test_every_failure_is_named_waited_for_and_tried_again(program: Path, script: dict[str, str], reason: str,
                                                           said: list[str], not_reached: str) -> None:
    life = live(program, 3000, **script)
    waiting = f"> state: waiting reason={reason} retry_ms=500"
    assert waiting in life.calls
    first = life.calls[:life.calls.index(waiting)]
    for line in said:
        assert f"> {line}" in first
    assert "secret" not in " ".join(life.console) and "the-key" not in " ".join(life.console)
    assert not any(not_reached in what for what in first)
    # whatever was taken is given back before the wait: buffers, key, session
    assert first.count("credentials_wipe") == first.count("credentials_load")
    assert not any("identity_parse" in what for what in first) or "identity_free" in first
    assert ("tls_close" in first) == any("tls_open" in what for what in first)
    # the wait is as long as announced, then everything begins again
    assert life.times("^credentials_load|rng: ok|tls_platform_init")[-1] >= 500
    life.before("state: waiting", "mqtt_publish own 1")
    retry = [time for time, what in life.lines[life.calls.index(waiting) + 1:]][0]
    assert 500 <= retry <= 502


def test_waits_grow_and_a_long_connection_shortens_them_again(program: Path) -> None:
    life = live(program, 400_000, credentials_load=",".join(["fail"] * 8), rng_fill=",".join(["4294967295"] * 20))
    waits = [int(word) for word in re.findall(r"retry_ms=(\d+)", " ".join(life.console))]
    ceilings = [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
    assert waits == [1 + 0xFFFFFFFF % ceiling for ceiling in ceilings]
    starts = life.times("^credentials_load")
    assert all(after - before >= wait for before, after, wait in zip(starts, starts[1:], waits, strict=False))
    # 12 s of good service: the next failure waits at most a second
    life = live(program, 60_000, mqtt_open="refused,refused,ok", mqtt_serve="ok,ok,ok,ok,ok,ok,ok,stream",
                tls_receive="e:closed", rng_fill="999,1999,3999")
    assert [int(word) for word in re.findall(r"retry_ms=(\d+)", " ".join(life.console))] == [1000, 2000, 1000]


def test_connections_that_end_at_once_do_not_shorten_the_wait(program: Path) -> None:
    life = live(program, 60_000, mqtt_serve="stream,stream,stream", tls_receive="e:closed,e:closed,e:closed",
                rng_fill="4294967295,4294967295,4294967295")
    waits = [int(word) for word in re.findall(r"retry_ms=(\d+)", " ".join(life.console))]
    assert waits == [1 + 0xFFFFFFFF % ceiling for ceiling in (1000, 2000, 4000)]


def test_a_failing_generator_waits_long_and_is_tested_again(program: Path) -> None:
    life = live(program, 3000, credentials_load="fail", rng_fill="fail")
    assert f"> state: waiting reason=storage retry_ms={1 + 0xFFFFFFFF % 1000}" in life.calls
    assert life.console.count("rng: ok") == 2
    life = live(program, 3000, entropy="fail", tls_open="e:rng")
    assert life.console.count("rng: ok") == 2


def test_sequence_goes_on_over_reconnections(program: Path) -> None:
    life = live(program, 9000, mqtt_serve="ok,ok,stream", tls_receive="e:closed")
    numbers = [int(word) for word in re.findall(r"published topic=own seq=(\d+)", " ".join(life.console))]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 3
    # what may have arrived although nobody said so is not sent again under its number
    failing = live(program, 9000, mqtt_publish="ok,ok,stream,ok,ok", tls_receive="e:closed")
    tried = [json.loads(what.split(" ", 3)[3])["seq"] for what in failing.calls if what.startswith("mqtt_publish own")]
    assert tried == list(range(1, len(tried) + 1)) and len(tried) >= 3
    # the grid is kept: every round at a multiple of the interval
    assert {time % 2000 for time in life.times("mqtt_publish own")} == {0}


class TestClock:
    def test_older_than_the_firmware(self, program: Path) -> None:
        life = live(program, 300, modem_sntp=str(MADE - 1))
        assert life.console[-2:] == [
            "clock: error no-time", "state: waiting reason=clock retry_ms=500"]
        assert "clock: refused 2026-04-30T23:59:59Z source=sntp floor=2026-05-01T00:00:00Z" in life.console
        assert not life.times("rtc_set|tls_open")

    def test_noise_in_the_backup_registers_is_no_time(self, program: Path) -> None:
        life = live(program, 300, noise=str(START + 100_000_000))
        assert life.times("tls_open") and not any(line.startswith("clock: refused") for line in life.console)

    def test_the_rtc_stands_in_for_a_refused_answer(self, program: Path) -> None:
        life = live(program, 300, modem_sntp=str(MADE - 1), rtc_get=str(MADE + 60))
        assert "clock: 2026-05-01T00:01:00Z source=rtc" in life.console and life.times(f"time={MADE + 60}")
        assert not life.times("rtc_set")

    def test_never_back_behind_a_time_a_server_was_verified_with(self, program: Path) -> None:
        life = live(program, 20_000, modem_sntp=f"{START},{START - 1},{START + 30}", mqtt_serve="ok,stream,ok,ok",
                    tls_receive="e:closed,e:closed")
        assert any(line.startswith("clock: refused 2026-06-01T") for line in life.console)
        times = [int(word) for word in re.findall(r"time=(\d+)$", "\n".join(life.calls), re.MULTILINE)]
        assert times == sorted(times)

    def test_an_unverified_time_does_not_become_the_floor(self, program: Path) -> None:
        future = START + 400 * 86400
        life = live(program, 20_000, modem_sntp=f"{future},{START}", tls_open="r:expired")
        life.before(f"time={future}", "tls: refused reason=expired", f"time={START}", "mqtt_publish own")


def test_lid_is_reported_while_waiting_and_while_connected(program: Path) -> None:
    life = live(program, 3000, credentials_load="fail", hall="-,open")
    assert life.console.count("hall: open") == 1
    life = live(program, 5000, hall=",".join(["-"] * 2500) + ",open,-,closed")
    assert [line for line in life.console if line.startswith("hall")] == ["hall: closed", "hall: open", "hall: closed"]


def test_an_opened_lid_is_told_once_over_the_session_that_is_up(program: Path) -> None:
    life = live(program, 9000, mqtt_serve="ok,stream", tamper="-,pending")
    told = 'mqtt_publish own 1 {"thing":"thing-1","event":"tamper"}'
    life.before("mqtt: connected", "identity_erase_key", told, "tamper: told", "tamper_end")
    assert life.calls[-1] == "tamper_end"
    # a broker that does not answer changes nothing about the end
    life = live(program, 9000, mqtt_serve="ok,stream", tamper="-,pending", mqtt_publish="ok,ok,stream")
    assert life.calls[-1] == "tamper_end" and "tamper: told" not in life.console


class TestEnrolment:
    """``enrolment``: bits of tag 20 of the page; 1 first, 2 lost, 4 rotation."""

    def test_first_boot_gets_an_identity_and_connects_with_it(self, program: Path) -> None:
        life = live(program, 3000, enrolment="1", credentials_load="lost,ok")
        life.before("credentials_load", "credentials_wipe", "identity_parse key=claim-key",
                    "credentials: ok source=claim", "tls_open", "mqtt_open client-1", "enrolment_register thing-1",
                    "enrolment: issued", "mqtt_close", "tls_close", "identity_free",
                    "vault_store_all chunk=1 made-key-1 x1",
                    "vault_store_all chunk=2 certificate-1 x1", "vault_store_all chunk=3 claim-anchor x1",
                    "enrolment_forget", "enrolment: complete", "credentials_load", "identity_parse key=the-key",
                    "credentials: ok source=sd", "mqtt_subscribe commands", "mqtt_publish own 1")
        assert not life.times("state: waiting|vault_reset") and life.times("mqtt_publish own")[0] == 0
        assert "key" not in " ".join(line for line in life.console if "error" not in line)

    @pytest.mark.parametrize(("script", "reason", "said"), [
        ({"enrolment_register": "rejected"}, "enrolment", "enrolment: error rejected"),
        ({"enrolment_register": "stream", "tls_receive": "e:closed"}, "mqtt", "enrolment: error mqtt"),
        ({"vault_store_all": "fail"}, "storage", "enrolment: issued"),
        ({"tls_open": "a:certificate_revoked"}, "tls", "tls: alert 42 certificate_revoked")])
    def test_what_fails_is_named_and_begun_anew_with_growing_waits(self, program: Path, script: dict[str, str],
                                                                   reason: str, said: str) -> None:
        life = live(program, 3000, enrolment="1", credentials_load="lost,lost,ok", **script)
        life.before(said, f"state: waiting reason={reason}", "credentials_load", "enrolment_register",
                    "vault_store_all chunk=1", "mqtt_publish own 1")
        assert life.calls.count("enrolment_forget") == sum("enrolment: issued" in each for each in life.calls)
        life = live(program, 60_000, enrolment="1", credentials_load=",".join(["lost"] * 5),
                    enrolment_register=",".join(["rejected"] * 5), rng_fill=",".join(["4294967295"] * 5))
        assert len(life.times("enrolment_register")) == 5
        assert [int(word) for word in re.findall(r"retry_ms=(\d+)", " ".join(life.console))] == \
            [1 + 0xFFFFFFFF % ceiling for ceiling in (1000, 2000, 4000, 8000, 16000)]

    def test_lost_credentials_are_given_up_after_three_bad_readings_only(self, program: Path) -> None:
        life = live(program, 9000, enrolment="2", vault_empty="no,no,no,no", credentials_load="lost,lost,lost,ok")
        life.before("credentials_load", "reason=storage", "credentials_load", "reason=storage", "credentials_load",
                    "vault_reset", "identity_parse key=claim-key", "enrolment_register", "vault_store_all chunk=1",
                    "mqtt_publish own 1")
        # a reading that goes well in between, or a medium that is merely away, is none of the three
        for script in ("lost,lost,ok,lost,lost,ok", "lost,lost,fail,fail,fail,ok"):
            assert not live(program, 20_000, enrolment="2", credentials_load=script, mqtt_serve="stream,stream",
                            tls_receive="e:closed,e:closed").times("vault_reset|enrolment_register")

    def test_what_was_given_up_before_a_cut_is_not_given_up_again(self, program: Path) -> None:
        life = live(program, 9000, enrolment="2", vault_empty="no", credentials_load="lost,ok", vault_given_up="yes")
        life.before("credentials_load", "identity_parse key=claim-key", "enrolment_register", "vault_store_all chunk=1")
        assert not life.times("vault_reset|state: waiting")

    def test_a_reset_the_medium_does_not_let_finish_is_no_enrolment_yet(self, program: Path) -> None:
        life = live(program, 9000, enrolment="3", credentials_load="lost,lost,lost,fail,lost,ok", vault_reset="fail",
                    vault_empty="no,no,no,ok")
        life.before("vault_reset", "state: waiting reason=storage", "credentials_load", "state: waiting reason=storage",
                    "credentials_load", "enrolment_register")
        assert life.calls.count("vault_reset") == 1

    @pytest.mark.parametrize("enrolment", ["0", "1", "4", "5"])
    def test_without_leave_nothing_is_given_up(self, program: Path, enrolment: str) -> None:
        life = live(program, 12_000, enrolment=enrolment, credentials_load=",".join(["lost"] * 30),
                    vault_empty=",".join(["no"] * 30))
        assert not life.times("vault_reset|enrolment_register|tls_open")
        assert len(life.times("state: waiting reason=storage")) >= 5


class TestRotation:
    def test_the_new_certificate_is_kept_once_the_server_has_taken_it(self, program: Path) -> None:
        life = live(program, 7000, enrolment="4", mqtt_serve="ok,m:own")
        life.before("mqtt_subscribe thing-1/rotate", "mqtt_publish own 1", "enrolment_renew thing-1",
                    "rotation: issued", "mqtt_close", "tls_close", "credentials_load", "identity_parse key=made-key-1",
                    "credentials: ok source=issued", "tls_open", "mqtt: connected",
                    "vault_store_all chunk=1 made-key-1", "vault_store_all chunk=2 certificate-1", "enrolment_forget",
                    "rotation: complete", "mqtt_subscribe commands", "enrolment_confirm thing-1 ab",
                    "mqtt_publish own 1")
        assert not life.times("state: waiting|chunk=3") and len(life.times("enrolment_forget")) == 1
        # the grid of the telemetry is kept
        assert {time % 2000 for time in life.times("mqtt_publish own")} == {0}

    def test_a_refusal_ends_nothing(self, program: Path) -> None:
        life = live(program, 7000, enrolment="4", mqtt_serve="ok,m:own", enrolment_renew="rejected")
        life.before("rotation: error rejected", "mqtt_publish own 1")
        assert not life.times("vault_store_all|tls_close")

    @pytest.mark.parametrize("script", [{"tls_open": "ok,a:unknown_ca"}, {"mqtt_open": "ok,refused"},
                                        {"vault_store_all": "fail"}])
    def test_a_candidate_that_is_of_no_use_is_forgotten_and_the_old_one_works(self, program: Path,
                                                                             script: dict[str, str]) -> None:
        life = live(program, 9000, enrolment="4", mqtt_serve="ok,m:own", **script)
        life.before("identity_parse key=made-key-1", "enrolment_forget", "state: waiting", "identity_parse key=the-key",
                    "mqtt_publish own 1")
        assert not life.times("rotation: complete|enrolment_confirm")

    def test_a_request_to_replace_another_certificate_is_answered_with_the_one_in_use(self, program: Path) -> None:
        life = live(program, 3000, enrolment="4", mqtt_serve="m:other")
        life.before("enrolment_confirm thing-1 ab", "mqtt_publish own 1")
        assert not life.times("enrolment_renew")

    def test_nobody_asks_a_device_whose_page_does_not_allow_it(self, program: Path) -> None:
        life = live(program, 7000, enrolment="3", mqtt_serve="m:own")
        assert not life.times("enrolment_renew|mqtt_subscribe thing-1/rotate|enrolment_confirm")
