"""Counts as plain integers: bins, histograms, statistics. No file here imports torch."""

from .activation import Activation
from .bins import Bins, EdgeBins, LinearBins, LogBins
from .histogram import Histogram
from .relu_stats import ReLUStats
from .unit_counts import UnitCounts

__all__ = [
    "Activation",
    "Bins",
    "EdgeBins",
    "Histogram",
    "LinearBins",
    "LogBins",
    "ReLUStats",
    "UnitCounts",
]


def __dir__() -> list[str]:
    return sorted(__all__)
