# SPDX-License-Identifier: Apache-2.0
"""Published MQTT clients, unmodified, each against ``offchip lab`` over mutual TLS: ``python -m tests.interop``."""
