# SPDX-License-Identifier: Apache-2.0
"""Keywords of Renode that cannot mean the same here. Each fails with the reason instead of doing something else."""

from __future__ import annotations

from collections.abc import Callable

from robot.api.deco import keyword


def _refused(name: str, reason: str) -> Callable[..., None]:
    def refuse(self: RefusedKeywords, *arguments: object, **named: object) -> None:
        raise AssertionError(f"{name} cannot be used with RenodeKeywords: {reason}")

    refuse.__doc__ = f"Fails: {reason}"
    keyword(name, tags=("refused",))(refuse)
    return refuse


_SNAPSHOT = "tests share no snapshot here; let each test build its machine"
_FLOW = "time passes only while a keyword waits here, so nothing can stop it; wait for a line or use emulation RunFor"
_LED = "no board of this lab has a LED; read the GPIO port with sysbus ReadDoubleWord"


class RefusedKeywords:
    """One for each keyword a suite must not rely on."""

    provides = _refused("Provides", _SNAPSHOT)
    requires = _refused("Requires", _SNAPSHOT)
    execute_python = _refused(
        "Execute Python", "it runs IronPython inside Renode, which the embedded engine does not have; write a Robot "
                          "library in Python")
    run_until_breakpoint = _refused("Run Until Breakpoint", _FLOW)
    wait_for_pause = _refused("Wait For Pause", _FLOW)
    wait_for_gdb_connection = _refused(
        "Wait For Gdb Connection", "it waits in host time for a debugger; run the same script in the monitor to debug")
    create_led_tester = _refused("Create Led Tester", _LED)
    assert_led_state = _refused("Assert Led State", _LED)
    download_file = _refused("Download File", "a test must not depend on the network; keep the file with the suite")
    stop_remote_server = _refused("Stop Remote Server", "there is no server; the suite's Teardown ends the engine")
    start_profiler = _refused("Start Profiler", "it profiles Renode's own process")
    hot_spot = _refused("Hot Spot", "it pauses and saves a running Renode, and time stands still between keywords here")
