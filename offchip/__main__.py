"""``python -m offchip``."""

from offchip.cli import main

main()
