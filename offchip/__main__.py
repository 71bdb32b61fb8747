# SPDX-License-Identifier: Apache-2.0
"""``python -m offchip``."""

import sys

try:
    from offchip.cli import main
except KeyboardInterrupt:  # before there is anybody who could take it
    print("interrupted; nothing was changed.", file=sys.stderr)
    sys.exit(130)

main()
