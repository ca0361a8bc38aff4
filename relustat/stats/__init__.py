"""Counts as plain integers: bins, histograms, statistics. No file here imports torch."""

from .bins import Bins, EdgeBins, LinearBins, LogBins
from .histogram import Histogram
from .relu_stats import ReLUStats
from .unit_counts import UnitCounts

__all__ = ["Bins", "EdgeBins", "Histogram", "LinearBins", "LogBins", "ReLUStats", "UnitCounts"]
