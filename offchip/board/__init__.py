# SPDX-License-Identifier: Apache-2.0
"""The device in somebody's hands: power, console, media, debug port, lid, modem; and the factory that made it."""
