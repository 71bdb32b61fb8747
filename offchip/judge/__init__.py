# SPDX-License-Identifier: Apache-2.0
"""A foreign SD or EEPROM image: which secrets lie in it, and what they open at a server like AWS IoT Core."""
