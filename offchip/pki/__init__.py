# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities and what they issue; the same seed gives the same bytes."""

from offchip.pki.authority import AWS_VALIDITY, EXPIRED, NOT_YET_VALID, Authority, Validity, self_signed_server
from offchip.pki.identity import Identity, certificate_id

__all__ = ["AWS_VALIDITY", "EXPIRED", "NOT_YET_VALID", "Authority", "Identity", "Validity", "certificate_id",
           "self_signed_server"]
