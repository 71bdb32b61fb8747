# SPDX-License-Identifier: Apache-2.0
"""Robot Framework library of the lab: ``Library    OffchipLibrary``.

One class per topic. Keywords tagged *attacker* act and leave evidence, keywords tagged *oracle* judge, *owner* and
*bench* keywords prepare; no keyword both acts and judges. The attackers' keywords are derived from ``offchip.attacks``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robot.api import logger
from robot.api.deco import library
from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError
from robotlibcore import DynamicCore

from offchip import __version__, vault
from offchip.attacks.catalogue import ATTACKS
from offchip.broker.profile import DEFAULT_PROFILE, named_profile
from offchip.errors import OffchipError
from offchip.paths import FIRMWARE
from offchip.pki.own import load_own_credentials
from offchip.scene import DEFAULT_SEED
from offchip.vault import MediumKind, Scheme
from OffchipLibrary.attacker import AttackerKeywords
from OffchipLibrary.bench import BenchKeywords
from OffchipLibrary.cost_oracle import CostOracleKeywords
from OffchipLibrary.device_oracle import DeviceOracleKeywords
from OffchipLibrary.identity_oracle import IdentityOracleKeywords
from OffchipLibrary.lab import Lab
from OffchipLibrary.loot_oracle import LootOracleKeywords
from OffchipLibrary.nonce_oracle import NonceOracleKeywords
from OffchipLibrary.owner import OwnerKeywords
from OffchipLibrary.secret_oracle import SecretOracleKeywords
from OffchipLibrary.server_oracle import ServerOracleKeywords
from OffchipLibrary.store_oracle import StoreOracleKeywords
from OffchipLibrary.verdict import VerdictKeywords


def _scheme(name: str) -> Scheme:
    """A scheme of ``offchip.vault`` by name, such as ``internal`` or ``plain``."""
    return vault.scheme(name)


def _medium(name: str) -> MediumKind:
    """``sd``, ``eeprom`` or ``none``."""
    return vault.medium(name)


def _variable(name: str) -> str:
    try:
        return str(BuiltIn().get_variable_value(name, ""))
    except RobotNotRunningError:
        return ""


_LAST_KEYWORD = "The Run Should Be Clean"


@library(scope="SUITE", version=__version__, doc_format="TEXT",
         converters={Scheme: _scheme, MediumKind: _medium})
class OffchipLibrary(DynamicCore):  # type: ignore[misc]
    """Keywords of the offchip lab.

    Arguments of the import:
    - ``engine``: ``embedded``, ``renode`` or ``auto``;
    - ``elf``: the firmware (empty: the lab's own);
    - ``records``: folder for verdict records, one JSON file per test (empty: none are written);
    - ``seed``: of keys, certificates, TLS and the device's random generator; one seed, one result;
    - ``profile``: whose rules the server follows, such as ``aws-2026``, or a TOML file (empty: the variable
      ``${PROFILE}`` of the run, if it is set);
    - ``own_credentials``: folder with the three files AWS IoT hands out for a thing, for the device to hold instead of
      made ones (empty: the variable ``${OWN_CREDENTIALS}`` of the run, if it is set).

    Each test ends with `The Run Should Be Clean`: as its teardown, or behind the one it has.
    A test about an attack is tagged with its id.
    """

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self, engine: str = "embedded", elf: str = "", records: str = "", seed: int = DEFAULT_SEED,
                 own_credentials: str = "", profile: str = "") -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        firmware = Path(elf) if elf else FIRMWARE
        folder = own_credentials or _variable("${OWN_CREDENTIALS}")
        self.lab = Lab(engine, firmware, seed, load_own_credentials(Path(folder)) if folder else None,
                       named_profile(profile or _variable("${PROFILE}") or DEFAULT_PROFILE))
        self._records = Path(records) if records else None
        self._checks_itself = True
        self._common = SecretOracleKeywords(self.lab)
        super().__init__([
            BenchKeywords(self.lab), OwnerKeywords(self.lab), AttackerKeywords(self.lab),
            DeviceOracleKeywords(self.lab), ServerOracleKeywords(self.lab), LootOracleKeywords(self.lab),
            self._common, StoreOracleKeywords(self.lab), CostOracleKeywords(self.lab), IdentityOracleKeywords(self.lab),
            NonceOracleKeywords(self.lab), VerdictKeywords(self.lab),
        ])

    # listener: one record per test ---------------------------------------------------------------------------------
    def start_test(self, data: Any, result: Any) -> None:
        self.lab.start(result.parent.name, result.name, list(result.tags))
        if self.lab.record.attack:
            result.tags.add(ATTACKS[self.lab.record.attack].tags())
        self._checks_itself = not data.has_teardown
        if self._checks_itself:
            data.teardown.config(name=_LAST_KEYWORD)

    def end_test(self, data: Any, result: Any) -> None:
        try:
            if not self._checks_itself:
                self._check(result)
            self._finish(result)
        except (OSError, OffchipError) as error:
            result.status = "FAIL"
            result.message = f"the record of this test cannot be saved: {error}. {result.message}".strip()
        finally:
            self.lab.close()

    def _check(self, result: Any) -> None:
        """What the teardown of our own would have checked; one of the test's own must not take its place."""
        try:
            self._common.the_run_should_be_clean(result.passed)
        except AssertionError as error:
            result.status = "FAIL"
            result.message = f"{error}. {result.message}".strip()

    def _finish(self, result: Any) -> None:
        self.lab.measure()
        self.lab.record.proven = result.passed
        for line in self.lab.transcript():
            logger.write(line, "INFO")
        if self._records is not None:
            self.lab.record.save(self._records)
