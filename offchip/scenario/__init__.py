# SPDX-License-Identifier: Apache-2.0
"""A stranger's firmware under attack: his image, his media, his credentials, judged by what can be seen outside."""
