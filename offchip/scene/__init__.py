# SPDX-License-Identifier: Apache-2.0
"""Owner, authority, registry, broker, internet, clock and devices, composed once from one seed."""

from offchip.broker.world import HOST, PORT
from offchip.scene.defence import Defence
from offchip.scene.scene import DEFAULT_SEED, Device, Scene

__all__ = ["DEFAULT_SEED", "HOST", "PORT", "Defence", "Device", "Scene"]
