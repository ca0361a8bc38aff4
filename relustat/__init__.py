"""ReLUs that count their zeros and fill histograms of their inputs while they rectify."""

import importlib
from typing import TYPE_CHECKING, Any

from . import distributed, functional, reference
from ._moved import tell_where
from ._version import __version__ as __version__
from .data_pass import analyze
from .history import History
from .nn import (
    CountingHardtanh,
    CountingLeakyReLU,
    CountingPReLU,
    CountingReLU,
    CountingReLU6,
    CountingSquaredReLU,
    CountingThreshold,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
    ReLUMaxPool1d,
    ReLUMaxPool2d,
    ReLUMaxPool3d,
    swap,
    swapped,
    unswap,
)
from .ops import Counters, Switches
from .report import Report
from .stats import Activation, Bins, EdgeBins, Histogram, LinearBins, LogBins, ReLUStats
from .watching import Watch, unwatch, watch

if TYPE_CHECKING:
    from . import analysis, surgery

tell_where()
del tell_where


def __getattr__(name: str) -> Any:
    # A third of the package: whoever only counts does not wait for it.
    if name in ("analysis", "surgery"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


__all__ = [
    "Activation",
    "Bins",
    "Counters",
    "CountingHardtanh",
    "CountingLeakyReLU",
    "CountingPReLU",
    "CountingReLU",
    "CountingReLU6",
    "CountingSquaredReLU",
    "CountingThreshold",
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
    "ReLUMaxPool1d",
    "ReLUMaxPool2d",
    "ReLUMaxPool3d",
    "ReLUStats",
    "Report",
    "Switches",
    "Watch",
    "analysis",
    "analyze",
    "distributed",
    "functional",
    "reference",
    "surgery",
    "swap",
    "swapped",
    "unswap",
    "unwatch",
    "watch",
]
