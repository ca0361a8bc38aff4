"""The torch ops, their reference, counters and switches. Use them by :mod:`relustat.functional`."""

from .counters import Counters
from .switches import Switches

__all__ = ["Counters", "Switches"]


def __dir__() -> list[str]:
    return sorted(__all__)
