# SPDX-License-Identifier: Apache-2.0
"""The password of an SD card, CMD42 (SD Physical Layer Simplified Specification, 4.3.7). Twin of SdLock.cs.

What the write protections of the CSD mean for a forced erase is the card's (table 4-7).
"""

from __future__ import annotations

#: bits of the first byte of the data block (table 4-4)
SET_PASSWORD, CLEAR_PASSWORD, LOCK, FORCE_ERASE = 0x01, 0x02, 0x04, 0x08
PASSWORD_MAXIMUM = 16
_MODE = 0x0F


class CardLock:
    """PWD, PWD_LEN and whether the card is locked; what it does is told in table 4-7."""

    def __init__(self) -> None:
        self.locked = False
        self._password = b""

    def power_up(self) -> None:
        """A card with a password is locked whenever its supply returns."""
        self.locked = bool(self._password)

    @staticmethod
    def is_force_erase(data: bytes) -> bool:
        """ERASE stands alone; the rest of the block is not looked at."""
        return data[0] & _MODE == FORCE_ERASE

    def take(self, data: bytes) -> bool:
        """The data block of one CMD42, a byte at least: mode, PWDS_LEN, passwords. False: LOCK_UNLOCK_FAILED."""
        mode, length = data[0] & _MODE, data[1] if len(data) > 1 else 0
        given = data[2:2 + length]
        if mode == FORCE_ERASE:
            return self._erase()
        if len(given) != length:
            return False
        if mode in (SET_PASSWORD, SET_PASSWORD | LOCK):
            return self._replace(given, bool(mode & LOCK))
        if not self._password or given != self._password:
            return False
        if mode == CLEAR_PASSWORD:
            self._password = b""
            self.locked = False
            return True
        if mode not in (0, LOCK) or self.locked == bool(mode):
            return False
        self.locked = bool(mode)
        return True

    def _erase(self) -> bool:
        if not self.locked:
            return False
        self._password = b""
        self.locked = False
        return True

    def _replace(self, given: bytes, lock: bool) -> bool:
        """The present password, where there is one, and behind it the new one."""
        if not given.startswith(self._password):
            return False
        new = given[len(self._password):]
        if not 0 < len(new) <= PASSWORD_MAXIMUM:
            return False
        self._password = new
        self.locked = lock
        return True
