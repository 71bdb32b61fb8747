# SPDX-License-Identifier: Apache-2.0
"""AWS IoT Device Advisor's tests by their ids, offline: against our firmware, and against anything that connects."""
