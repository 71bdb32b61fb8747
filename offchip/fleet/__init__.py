# SPDX-License-Identifier: Apache-2.0
"""Fifty devices of one owner, three of them in wrong hands: how soon does he notice, and who else suffers?"""

from offchip.fleet.story import Outcome, Plan, play

__all__ = ["Outcome", "Plan", "play"]
