# SPDX-License-Identifier: Apache-2.0
"""The virtual internet: names, byte streams, bridges to real TCP, laboratory time and the ESP-AT modem."""
