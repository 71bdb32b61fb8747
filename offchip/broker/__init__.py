# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 over mutual TLS with AWS IoT Core's rules, and the data processor behind it."""
