"""Counts by epoch: trends, deaths and revivals of units."""

from .epoch_span import EpochSpan
from .history import History
from .unit_lifetimes import UnitLifetimes

__all__ = ["EpochSpan", "History", "UnitLifetimes"]


def __dir__() -> list[str]:
    return sorted(__all__)
