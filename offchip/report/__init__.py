# SPDX-License-Identifier: Apache-2.0
"""Verdict records (JSON is the truth) and the pages drawn from them."""
