# SPDX-License-Identifier: Apache-2.0
"""Robot Framework library of the lab: ``Library    OffchipLibrary``.

One class per topic. Keywords tagged *attacker* act and leave evidence, keywords tagged *oracle* judge, *owner* and
*bench* keywords prepare; no keyword both acts and judges.
"""

from __future__ import annotations

from pathlib import Path

from robot.api import logger
from robot.api.deco import library
from robotlibcore import DynamicCore

from offchip import __version__
from OffchipLibrary.attacker import AttackerKeywords
from OffchipLibrary.bench import BenchKeywords
from OffchipLibrary.device_oracle import DeviceOracleKeywords
from OffchipLibrary.lab import Lab
from OffchipLibrary.loot_oracle import LootOracleKeywords
from OffchipLibrary.owner import OwnerKeywords
from OffchipLibrary.server_oracle import ServerOracleKeywords
from OffchipLibrary.verdict import VerdictKeywords


@library(scope="SUITE", version=__version__, doc_format="TEXT")
class OffchipLibrary(DynamicCore):
    """Keywords of the offchip lab.

    Arguments of the import:
    - ``engine``: ``embedded``, ``renode`` or ``auto``;
    - ``elf``: the firmware;
    - ``records``: folder for verdict records, one JSON file per test (empty: none are written).
    """

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self, engine: str = "embedded", elf: str = "", records: str = "") -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        self.lab = Lab(engine, Path(elf) if elf else None)
        self._records = Path(records) if records else None
        super().__init__([
            BenchKeywords(self.lab), OwnerKeywords(self.lab), AttackerKeywords(self.lab),
            DeviceOracleKeywords(self.lab), ServerOracleKeywords(self.lab), LootOracleKeywords(self.lab),
            VerdictKeywords(self.lab),
        ])

    # listener: one record per test ---------------------------------------------------------------------------------
    def start_test(self, data: object, result: object) -> None:
        self.lab.start(result.parent.name, result.name)

    def end_test(self, data: object, result: object) -> None:
        record = self.lab.finish(result.passed)
        for line in self.lab.transcript():
            logger.write(line, "INFO")
        if self._records is not None:
            record.save(self._records)
        self.lab.close()
