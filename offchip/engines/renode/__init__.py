# SPDX-License-Identifier: Apache-2.0
"""Real Renode behind the engine protocol, one worker process per board."""
