"""The frames that lead to a call."""

from __future__ import annotations

import sys
from types import FrameType

from relustat._dynamo import inline_all_in_graph

_PACKAGE = __name__.partition(".")[0]
_WITHIN = f"{_PACKAGE}."


def outside_frame() -> FrameType:
    """The innermost frame outside of this package."""
    frame = sys._getframe()
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__package__")):
        frame = frame.f_back
    return frame


def _is_ours(package: str | None) -> bool:
    return package is not None and (package == _PACKAGE or package.startswith(_WITHIN))


inline_all_in_graph(globals())
