# SPDX-License-Identifier: Apache-2.0
"""Campaigns: one experiment repeated at every place where it could matter, on copies of a warm board.

``cuts`` loses the supply at every step of writing; ``injections`` skips instructions and flips bits in a stretch of
code.
They need an engine whose board lives in this process (``capabilities.fork``): the embedded one.
"""
