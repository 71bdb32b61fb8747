# SPDX-License-Identifier: Apache-2.0
"""From a list of claims to a folder with their report: what runs, what is left when something dies, what is kept."""
