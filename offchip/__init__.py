# SPDX-License-Identifier: Apache-2.0
"""offchip: what an attacker who holds an STM32 device gets from credentials kept off-chip."""

__version__ = "0.1.0"
