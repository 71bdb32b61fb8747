# SPDX-License-Identifier: Apache-2.0
"""Machines, scripts, time and files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from robot.api.deco import keyword

from RenodeKeywords.bench import Bench
from RenodeKeywords.session import CommandFailed


class EmulationKeywords:
    """The monitor, and the keywords of Renode's resource file."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @keyword
    def setup(self) -> None:
        """For *Suite Setup*: have the engine ready, as new, and keep its log. Fails when it is not there."""
        self.bench.close()
        self.bench.session  # noqa: B018 - opens it
        self.bench.cached_log = []

    @keyword
    def teardown(self) -> None:
        """For *Suite Teardown*: end the engine."""
        self.bench.close()

    @keyword
    def test_setup(self) -> None:
        """For *Test Setup*: as `Reset Emulation`."""
        self.bench.reset()

    @keyword
    def test_teardown(self) -> None:
        """For *Test Teardown*: as `Reset Emulation`, and forget the kept log. No snapshot of a failed test is kept."""
        self.bench.reset()
        if self.bench.cached_log is not None:
            self.bench.cached_log.clear()

    @keyword
    def reset_emulation(self) -> None:
        """Remove every machine, tester and terminal; an engine that was lost is replaced.

        As in Renode the default timeout and the default tester stay.
        """
        self.bench.reset()

    @keyword
    def start_emulation(self) -> None:
        """As the command ``start``. Time passes in keywords that wait and in ``emulation RunFor`` only."""
        self.execute_command("start")

    @keyword
    def execute_command(self, command: str | list[str], machine: str | None = None) -> str:
        """Run a monitor command; returns what it printed. An error fails the test, also one in a script inside it.

        A list is joined by spaces. ``machine`` is selected first and stays selected. Relative ``@files`` start at the
        working directory on the embedded engine and at Renode's folder on Renode: give absolute paths.
        """
        line = command if isinstance(command, str) else " ".join(command)
        if machine is not None and machine not in self.bench.session.machines():
            raise AssertionError(f"Could not find machine named {machine} in the emulation")
        try:
            if machine is not None:
                self.bench.execute(f'mach set "{machine}"')
            return self.bench.execute(line)
        except CommandFailed as failed:
            how = "There was an error when executing" if failed.finished else "Could not execute"
            raise AssertionError(f"{how} command '{line}': {failed}") from None

    @keyword
    def execute_script(self, path: Path) -> str:
        """Run a .resc file; the first wrong command ends it and fails the test.

        As in Renode a command that only complains (``mach set`` of an unknown machine, say) lets it go on there.
        """
        try:
            return self.bench.run_script(Path(str(path).removeprefix("@")).absolute())
        except CommandFailed as failed:
            raise AssertionError(f"Could not execute script: {failed}") from None

    @keyword
    def allocate_temporary_file(self) -> str:
        """The path of a new empty file."""
        handle, path = tempfile.mkstemp(prefix="offchip-")
        os.close(handle)
        self.bench.temporary_files.append(Path(path))
        return path
