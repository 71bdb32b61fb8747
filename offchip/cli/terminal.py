# SPDX-License-Identifier: Apache-2.0
"""Where commands write: facts and progress on standard error, results on standard output."""

from __future__ import annotations

from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)
