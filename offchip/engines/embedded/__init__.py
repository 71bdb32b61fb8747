# SPDX-License-Identifier: Apache-2.0
"""The embedded engine: Unicorn as a Cortex-M4F, and Python twins of the board's peripherals."""
