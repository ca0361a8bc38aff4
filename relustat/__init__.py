"""ReLUs that count their zeros and fill histograms of their inputs while they rectify."""

from importlib.metadata import PackageNotFoundError, version

from . import functional, reference
from .bins import Bins, EdgeBins, LinearBins, LogBins
from .counters import Counters
from .histogram import Histogram
from .modules import CountingReLU
from .report import Report
from .stats import ReLUStats
from .watching import Watch, unwatch, watch

try:
    __version__ = version("relustat")
except PackageNotFoundError:
    __version__ = "0+unknown"

__all__ = [
    "Bins",
    "Counters",
    "CountingReLU",
    "EdgeBins",
    "Histogram",
    "LinearBins",
    "LogBins",
    "ReLUStats",
    "Report",
    "Watch",
    "functional",
    "reference",
    "unwatch",
    "watch",
]
