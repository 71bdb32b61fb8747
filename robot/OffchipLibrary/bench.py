# SPDX-License-Identifier: Apache-2.0
"""Preparing a test: which device, which server. These keywords neither attack nor judge."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from robot.api.deco import keyword

from offchip.scene import Defence, Scene
from offchip.scene.scene import OTHER_THING, THING
from offchip.vault import EEPROM, INTERNAL, NONE, SD, MediumKind, Scheme
from OffchipLibrary.lab import Lab


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
    def given_a_device(self, scheme: Scheme = INTERNAL, medium: MediumKind = NONE,
                       client_id: str | None = None, publish_topics: list[str] | None = None,
                       subscribe_filters: list[str] | None = None, rdp_level: int = 0,
                       tls: TlsVersion = TlsVersion.BOTH, interval_ms: int = 2000,
                       certificate: Literal["registered", "unregistered", "foreign"] = "registered",
                       policy: Literal["narrow", "wide"] = "narrow", newcomer: bool = False,
                       enrol_lost: bool = False, rotation: bool = False, tamper: bool = False,
                       key: Literal["P-256", "RSA-2048"] = "P-256") -> None:
        """Provision the device ``thing-1``; it is not powered yet. The owner has a ``thing-2`` as well.

        | =Argument= | =Description= |
        | scheme | how credentials are stored; ``offchip list schemes`` names them |
        | medium | ``none``, ``sd`` or ``eeprom`` |
        | client_id | MQTT client id, where it is not the thing's name |
        | publish_topics | default: the thing's own topic and the feed |
        | rdp_level | readout protection the factory sets: 0, 1 or 2 |
        | tls | versions the device offers |
        | interval_ms | virtual milliseconds between two rounds of telemetry |
        | certificate | ``unregistered``: signed by the owner's CA, unknown to the registry; ``foreign``: another CA's |
        | policy | what the server lets its things do |
        | newcomer | the factory gives it no credentials but the fleet's claim identity |
        | enrol_lost | lost credentials are given up, and others got with the claim identity; else they are waited for |
        | rotation | the owner may ask it for another key |
        | key | the kind of key the factory gives it |
        | tamper | an open lid destroys secret and keys; otherwise it is only reported |
        """
        scene = Scene(self.lab.seed, things=(THING, OTHER_THING), policy=policy, interval_s=interval_ms / 1000,
                      own=self.lab.own, profile=self.lab.profile)
        try:
            changes: dict[str, Any] = {"publish_topics": tuple(publish_topics)} if publish_topics else {}
            changes |= {"newcomer": newcomer, "enrol_lost": enrol_lost, "rotation": rotation, "tamper": tamper}
            given = scene.rsa_identity(THING, policy) if key == "RSA-2048" else None
            device = scene.build(
                THING, Defence(scheme, medium, rdp_level, policy),
                given if certificate == "registered" else scene.stranger(THING, certificate),
                engine=self.lab.engine, elf=self.lab.elf, client_id=client_id, tls_versions=tls.value,
                subscribe_filters=tuple(subscribe_filters or ()), publish_interval_ms=interval_ms, **changes)
            self.lab.install(scene, device)
            # listened to where nothing may be heard; the teardown looks
            for kind, tap in ((SD, device.board.spi_tap), (EEPROM, device.board.i2c_tap)):
                tap.record(not device.defence.clear_on(kind))
        except BaseException:
            scene.close()
            raise

    @keyword(tags=("bench",))
    def let_the_network_fail(self, milliseconds: int = 100) -> None:
        """The access point is gone for so many virtual milliseconds, and connections with it; then it comes back."""
        board = self.lab.board
        assert board.modem is not None
        board.modem.network_up = False
        board.run(milliseconds / 1000)
        board.modem.network_up = True
