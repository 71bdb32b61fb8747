# SPDX-License-Identifier: Apache-2.0
"""Who the device is: whether the identity it has was made by itself, is its only one, and is in use."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from robot.api.deco import keyword

from offchip.broker import events
from offchip.broker.registry import Status
from offchip.broker.world import TEMPLATE
from offchip.pki import Identity
from OffchipLibrary.lab import Lab

#: seconds from the first publish with a new certificate until the owner has heard of it
_CONFIRMED_S = 3.0


class IdentityOracleKeywords:
    """Judging only, by the registry, the broker's log, and what the device keeps (looked at through the back door)."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @keyword(tags=("oracle",))
    def device_should_have_enrolled(self, timeout: float = 120.0) -> None:
        """With its claim the device got a certificate for a key of its own making, and it publishes with that.

        The key is none the factory gave, the owner's CA signed the certificate, the provisioning template tied it to
        the thing, and no other certificate of the thing is good any more.
        """
        self.lab.board.console.wait_for("^enrolment: complete", timeout)
        kept = self._own()
        provisioned = events.ThingProvisioned(self.lab.device.thing, kept.certificate_id, TEMPLATE)
        if provisioned not in self.lab.scene.broker.events:
            raise AssertionError(f"certificate {kept.certificate_id[:8]} was not given out by the template {TEMPLATE}")
        self._in_use(kept, timeout)
        self._alone(kept)
        self.lab.saw(f"broker: {provisioned}")

    @keyword(tags=("oracle",))
    def device_should_have_another_certificate(self, timeout: float = 60.0) -> None:
        """The owner had asked: the device made another key, publishes with a certificate for it, and the one before is
        out of use.
        """
        self.lab.board.console.wait_for("^rotation: complete", timeout)
        kept = self._own()
        self._in_use(kept, timeout)
        self._alone(kept)
        if not any(each.certificate_id != kept.certificate_id for each in self._sessions()):
            raise AssertionError(f"certificate {kept.certificate_id[:8]} is the first this device ever used")
        self.lab.saw(f"rotation: certificate {kept.certificate_id[:8]} is in use, the one before is not")

    def _own(self) -> Identity:
        """What the device keeps: certified by the owner, with a key the factory never had."""
        device = self.lab.device
        kept = device.kept()
        if kept is None:
            raise AssertionError("the device keeps no identity")
        if kept.key.public_key() == device.identity.key.public_key():
            raise AssertionError("the device still has the key that the factory gave it")
        try:
            kept.certificate.verify_directly_issued_by(self.lab.scene.authority.root.certificate)
        except (ValueError, TypeError, InvalidSignature):
            raise AssertionError("the device's certificate is not one of the owner's CA") from None
        return kept

    def _sessions(self) -> list[events.Connected]:
        return [each for each in self.lab.scene.broker.events.of(events.Connected)
                if each.client_id == self.lab.device.thing]

    def _in_use(self, kept: Identity, timeout: float) -> None:
        """A telemetry message was accepted in a session with this certificate."""
        log, thing = self.lab.scene.broker.events, self.lab.device.thing

        def accepted() -> bool:
            sessions = {each.connection for each in self._sessions() if each.certificate_id == kept.certificate_id}
            return any(each.connection in sessions and each.client_id == thing and each.topic.startswith("offchip/")
                       for each in log.of(events.PublishAccepted))

        if not accepted():
            self.lab.board.run_until(accepted, timeout, f"a publish with certificate {kept.certificate_id[:8]}")

    def _alone(self, kept: Identity) -> None:
        """No other certificate of the thing is ACTIVE, or will be in a moment."""
        registry, thing = self.lab.scene.registry, self.lab.device.thing

        def active() -> list[str]:
            return [each for each in registry.principals_of(thing)
                    if registry.certificate(each).status is Status.ACTIVE]

        if active() != [kept.certificate_id]:
            self.lab.board.run_until(lambda: active() == [kept.certificate_id], _CONFIRMED_S,
                                     f"certificate {kept.certificate_id[:8]} to be the only one of {thing}")
