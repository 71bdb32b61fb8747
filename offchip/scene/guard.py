# SPDX-License-Identifier: Apache-2.0
"""One measure more, beside the way of storing: in the device (the lid), or at the server (what its owner reacts to)."""

from __future__ import annotations

from enum import StrEnum

from offchip.broker.reactions import HOSTILE, Rules


class Guard(StrEnum):
    """A switch that is off as shipped; the value ends a cell's id."""

    NONE = ""
    TAMPER = "tamper"
    DEACTIVATION = "deactivation"
    CLONES = "clone-detection"
    ROGUE_DATA = "rogue-data"
    OWNER_SIGNED = "owner-signed"
    ROLLBACK = "rollback-detection"

    @property
    def words(self) -> str:
        """What it is, for a reader of the matrix."""
        return _WORDS[self]

    @property
    def rules(self) -> Rules:
        """What the owner's server reacts to by itself (``offchip.broker.reactions``)."""
        return _RULES.get(self, Rules())


_WORDS = {
    Guard.NONE: "",
    Guard.TAMPER: "tamper response: an open lid destroys the secret and the keys in the chip",
    Guard.DEACTIVATION: "deactivation: the owner takes the certificate out of use once he knows of the theft",
    Guard.CLONES: "clone detection: two who count one sequence, or throw each other out, lose their certificate",
    Guard.ROGUE_DATA: "rogue-data response: who sends what no device would say loses its certificate",
    Guard.OWNER_SIGNED: "owner-signed keys only: a certificate the owner's CA did not sign is banned when it is shown",
    Guard.ROLLBACK: "rollback detection: who comes with a replaced certificate loses the new one, too",
}
_RULES = {
    Guard.TAMPER: Rules(lid=True),
    Guard.CLONES: Rules(takeovers=2, shared=True, sequences=2),
    Guard.ROGUE_DATA: Rules(rogue=HOSTILE),
    Guard.OWNER_SIGNED: Rules(owner_signed=True),
    Guard.ROLLBACK: Rules(retired=True),
}
