# SPDX-License-Identifier: Apache-2.0
"""Attack ids of the lab, joined to PSA, EMB3D and CWE. ``~`` marks the nearest entry where no exact one exists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threat:
    title: str
    psa: str
    emb3d: str
    cwe: tuple[int, ...]


THREATS: dict[str, Threat] = {
    "A01": Threat("read the medium, take the private key", "T.DIRECT_READ", "TID-108", (312, 522, 922)),
    "A02": Threat("sniff the bus during boot", "T.EAVESDROPPING", "TID-114 / TID-106", (311, 319)),
    "A04": Threat("replace the CA, run a rogue broker", "T.DIRECT_WRITE", "TID-108 -> TID-316", (295, 296, 345)),
    "A08": Threat("clone the credentials to a second client", "T.DIRECT_READ", "TID-108, TID-214", (522, 294)),
    "A09": Threat("wipe, corrupt or remove the medium", "-", "~", (703, 636, 400)),
    "A10": Threat("change data on the bus", "T.MITM", "TID-114", (367, 345)),
    "A13": Threat("read through the debug port", "T.DIRECT_READ ~", "TID-115, TID-119, TID-223", (1191, 1263)),
    "A14": Threat("lower the readout protection", "T.DIRECT_READ ~", "TID-105, TID-214", (1247, 1231)),
    "A17": Threat("server certificate of another authority or host", "-", "TID-316", (295, 297)),
    "A18": Threat("expired server certificate, clock set back", "-", "TID-316", (298,)),
    "A19": Threat("deactivated device goes on", "-", "TID-316 ~", (299,)),
    "A21": Threat("stolen or foreign identity against the policy", "-", "~ TID-406", (284,)),
}
