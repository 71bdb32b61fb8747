# SPDX-License-Identifier: Apache-2.0
"""What a profile's behaviours do, tried on a broker: one trial for each, at the wire."""

# importing them registers their trials
from offchip.trials import entering, messaging, services  # noqa: F401
from offchip.trials.bench import TRIALS, Untried, try_behaviour

__all__ = ["TRIALS", "Untried", "try_behaviour"]
