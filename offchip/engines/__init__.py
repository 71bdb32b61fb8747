# SPDX-License-Identifier: Apache-2.0
"""Engines run the board; everything above talks to :mod:`offchip.engines.protocol` only."""
