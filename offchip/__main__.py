# SPDX-License-Identifier: Apache-2.0
"""``python -m offchip``."""

from offchip.cli import main

main()
