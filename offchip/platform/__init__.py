# SPDX-License-Identifier: Apache-2.0
"""Renode's platform descriptions (.repl) and monitor scripts (.resc), read without knowing any engine."""
