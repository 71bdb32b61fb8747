# SPDX-License-Identifier: Apache-2.0
"""A lab people can use with a real board: broker on a TCP port, state that stays, decisions live, control, page."""
