"""ReLUs that count their zeros and fill histograms of their inputs while they rectify."""

from importlib.metadata import PackageNotFoundError, version

from . import analysis, distributed, functional, reference
from .bins import Bins, EdgeBins, LinearBins, LogBins
from .counters import Counters
from .histogram import Histogram
from .history import History
from .modules import CountingReLU
from .pool_modules import MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from .report import Report
from .stats import ReLUStats
from .swapping import swap, unswap
from .switches import Switches
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
    "History",
    "LinearBins",
    "LogBins",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "ReLUStats",
    "Report",
    "Switches",
    "Watch",
    "analysis",
    "distributed",
    "functional",
    "reference",
    "swap",
    "unswap",
    "unwatch",
    "watch",
]
