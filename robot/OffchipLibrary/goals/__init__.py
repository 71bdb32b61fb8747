# SPDX-License-Identifier: Apache-2.0
"""What each attack is after, and how it is measured whether it got there: a module per family, a class per goal."""
