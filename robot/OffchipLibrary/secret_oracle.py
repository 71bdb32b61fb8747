# SPDX-License-Identifier: Apache-2.0
"""Where secrets must not be: on no console, and on no bus or medium where the scheme forbids it."""

from __future__ import annotations

from robot.api.deco import keyword
from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

from offchip.attacks.wire import rebuild
from offchip.scene.secrets import find
from offchip.vault import EEPROM, SD
from OffchipLibrary.device_oracle import DeviceOracleKeywords
from OffchipLibrary.lab import Lab


class SecretOracleKeywords:
    """Judging only, by the owner's knowledge of every key and passphrase of the scene."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("oracle",))
    def console_should_have_shown_no_secret(self) -> None:
        """No private key and no passphrase came out of the console: not raw, in hexadecimal, in base64, nor a part."""
        for device in self.lab.scene.devices:
            found = find(self.lab.scene.secrets(), bytes(device.board.console.raw))
            if found:
                raise AssertionError(f"the console of {device.thing} showed {', '.join(found)}")
        self.lab.saw("no secret on the console")

    @keyword(tags=("oracle",))
    def secrets_should_be_only_where_the_scheme_puts_them(self) -> None:
        """No medium, and no bus that was recorded, holds a private key or passphrase in clear against the scheme."""
        board, defence, secrets = self.lab.board, self.lab.device.defence, self.lab.scene.secrets()
        for kind, tap, bus in ((SD, board.spi_tap, "spi1"), (EEPROM, board.i2c_tap, "i2c1")):
            if defence.clear_on(kind):
                continue
            crossed = [each.data for each in rebuild(tap.drain())]
            seen = [each.received for each in self.lab.record.fired if each.place.startswith(bus)]
            for where, contents in ((f"the {kind.name} bus", [*crossed, *seen]),
                                    (f"the {kind.name} medium", [self.lab.medium(kind).image])):
                found = [sentence for content in contents for sentence in find(secrets, content)]
                if found:
                    raise AssertionError(f"on {where} lies {found[0]}; {defence.scheme.name} forbids it")
        self.lab.saw("no secret on a medium or bus that may not have it")

    @keyword(tags=("oracle",))
    def the_run_should_be_clean(self) -> None:
        """What is true of every test; the library runs it as each test's teardown.

        No complaint of a model, no secret on a console, none on a bus or medium where the scheme forbids it, every
        back-off kept, and a verdict where the test is tagged with an attack.
        """
        lab = self.lab
        if lab.problem:
            raise AssertionError(lab.problem)
        if lab.has_device:
            device = DeviceOracleKeywords(lab)
            device.models_should_have_no_complaints()
            device.device_should_have_kept_its_back_off()
            self.console_should_have_shown_no_secret()
            self.secrets_should_be_only_where_the_scheme_puts_them()
        if _passed() and lab.record.attack and lab.record.verdict is None:
            raise AssertionError(f"the test is about {lab.record.attack} and has no verdict")


def _passed() -> bool:
    """The test's body did; True outside Robot."""
    try:
        return bool(BuiltIn().get_variable_value("${TEST STATUS}", "PASS") == "PASS")
    except RobotNotRunningError:
        return True
