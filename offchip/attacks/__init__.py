# SPDX-License-Identifier: Apache-2.0
"""What somebody does who holds the device, its media or its wire: acts and evidence, never a verdict."""
