# SPDX-License-Identifier: Apache-2.0
"""One exception per layer; the text of each is one sentence a user can act on."""


class OffchipError(Exception):
    """Base of every error a command prints as one line (never as a traceback)."""


class PlatformError(OffchipError):
    """A .repl or .resc file is wrong; the message starts with ``file:line:column:``."""


class FirmwareError(OffchipError):
    """An ELF is missing, damaged or made for another core."""


class EngineError(OffchipError):
    """The engine cannot go on (host side; a guest fault is not an error of the engine)."""


class MediumError(OffchipError):
    """An image or a medium is missing, of the wrong size, or not what it claims to be."""


class DebugAccessRefused(OffchipError):
    """The debug port refused an access because of readout protection (RM0090 3.7.3)."""


class VaultError(OffchipError):
    """There is no such scheme or medium, or a scheme cannot keep on the medium what it was given."""


class FactoryError(OffchipError):
    """The factory tool cannot provision the device as asked."""


class NetworkError(OffchipError):
    """A name, a port or a peer on the lab's network is missing or unusable."""


class PkiError(OffchipError):
    """A certificate cannot be issued as asked, or key material is unusable."""


class BrokerError(OffchipError):
    """The broker cannot start or was given a wrong registry, policy or certificate."""


class BoardError(OffchipError):
    """The board cannot do what was asked, or what a wait hoped for did not happen in its virtual time."""
