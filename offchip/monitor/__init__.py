# SPDX-License-Identifier: Apache-2.0
"""The monitor: Renode's command language in front of the embedded engine, as scripts and as a prompt."""
