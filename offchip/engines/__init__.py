"""Engines run the board; everything above talks to :mod:`offchip.engines.protocol` only."""
