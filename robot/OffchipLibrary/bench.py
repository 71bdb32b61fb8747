# SPDX-License-Identifier: Apache-2.0
"""Preparing a test: which device, which server. These keywords neither attack nor judge."""

from __future__ import annotations

from enum import Enum

from robot.api.deco import keyword

from offchip import vault
from offchip.board.create import DEFAULT_SEED, create_board
from offchip.board.factory import Provisioning, provision
from OffchipLibrary.lab import Lab
from OffchipLibrary.stage import HOST, PORT, Stage


class TlsVersion(Enum):
    """Which versions the device may offer."""

    TLS_1_2 = frozenset({"1.2"})
    TLS_1_3 = frozenset({"1.3"})
    BOTH = frozenset({"1.2", "1.3"})


class BenchKeywords:
    """Devices and servers as a factory and a fleet owner set them up."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("bench",))
    def given_a_device(self, scheme: str = "internal", medium: str = "none",
                       thing: str = "thing-1", client_id: str | None = None,
                       publish_topics: list[str] | None = None, subscribe_filters: list[str] | None = None,
                       rdp_level: int = 0, tls: TlsVersion = TlsVersion.BOTH, interval_ms: int = 2000,
                       certificate: str | None = None) -> None:
        """Provision a device that is registered at the lab's broker under the narrow policy; it is not powered yet.

        | =Argument= | =Description= |
        | scheme | how the credentials are kept; ``offchip list schemes`` names the ways |
        | medium | ``none``, ``sd`` or ``eeprom`` |
        | thing | thing name, also the MQTT client id unless ``client_id`` differs |
        | publish_topics | default: the thing's own topic and the feed |
        | rdp_level | readout protection the factory sets: 0, 1 or 2 |
        | tls | versions the device offers |
        | interval_ms | virtual milliseconds between two rounds of telemetry |
        | certificate | ``unregistered``: signed by the owner's CA, unknown to the registry; ``foreign``: another CA's |
        """
        stage = Stage(thing, others=("thing-2",) if thing != "thing-2" else (), interval_s=interval_ms / 1000)
        if certificate is not None:
            stage.use_identity(certificate)
        board = create_board(self.lab.engine, elf=self.lab.elf, seed=DEFAULT_SEED, clock=stage.clock)
        self.lab.install(stage, board)
        stage.follow(board)
        provision(board.engine, Provisioning(
            thing_name=thing, endpoint_host=HOST, endpoint_port=PORT, credentials=stage.credentials(),
            publish_topics=tuple(publish_topics or stage.telemetry_topics),
            subscribe_filters=tuple(subscribe_filters or ()), scheme=vault.scheme(scheme), medium=vault.medium(medium),
            client_id=client_id, publish_interval_ms=interval_ms, tls_versions=tls.value, rdp_level=rdp_level))
        self.lab.record.seed = DEFAULT_SEED
        self.lab.record.defence = {"scheme": scheme, "medium": medium}
        if rdp_level:
            self.lab.record.defence["other"] = f"RDP {rdp_level}"
