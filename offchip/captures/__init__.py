# SPDX-License-Identifier: Apache-2.0
"""What a cell can be looked at with afterwards: buses (VCD), network (pcapng), images of the media, a time line."""

from offchip.captures.recorder import Recorder

__all__ = ["Recorder"]
