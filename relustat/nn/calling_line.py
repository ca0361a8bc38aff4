"""The line that calls a module, and the module whose method it is in."""

from __future__ import annotations

import sys
from types import FrameType

from torch import nn

from .source_calls import Site


def calling_frame() -> FrameType:
    """The frame that called the module whose ``forward`` asks."""
    frame = sys._getframe(2)
    # PyTorch's way from a module to its forward.
    while frame.f_back is not None and frame.f_globals.get("__name__") == nn.Module.__module__:
        frame = frame.f_back
    return frame


def site_of(frame: FrameType) -> Site:
    return frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno


def local_of(frame: FrameType, name: str) -> object:
    """A local variable of a frame."""
    values = frame.f_locals
    found = values.get(name)
    if type(values) is dict and sys.gettrace() is None:
        # Before Python 3.13 a copy of all variables stays with the frame, and keeps each tensor.
        values.clear()
    return found
