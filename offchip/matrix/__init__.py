# SPDX-License-Identifier: Apache-2.0
"""Every attack against every way of storing: the cells, who should win, and how they become tests."""
