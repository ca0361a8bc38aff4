"""What is read from the spans of one call site: a number for each span, and lifetimes of units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats

from .epoch_span import EpochSpan
from .unit_lifetimes import UnitLifetimes

_RATES: dict[str, Callable[[ReLUStats], float]] = {
    "zero_fraction": lambda stats: stats.zero_fraction,
    "inactive_fraction": lambda stats: stats.inactive_fraction,
    "saturated_fraction": lambda stats: stats.saturated_fraction,
    "activation_rate": lambda stats: stats.activation_rate,
    "death_rate": lambda stats: stats.death_rate,
    "nan_fraction": lambda stats: stats.nans / stats.elements,
    "units": lambda stats: sum(stats.widths),
    "mean": lambda stats: stats.mean,
    "std": lambda stats: stats.std,
    "median": lambda stats: stats.quantile(0.5),
    "p99": lambda stats: stats.quantile(0.99),
}

# For the units of one width; several widths add up.
_UNITS: dict[str, Callable[[UnitLifetimes], float]] = {
    "dead": lambda lifetimes: int(lifetimes.dead_epochs.sum()) / lifetimes.epochs,
    "deaths": lambda lifetimes: int(lifetimes.deaths.sum()),
    "revivals": lambda lifetimes: int(lifetimes.revivals.sum()),
}


class CountsByEpoch(Protocol):
    """The part of :class:`relustat.history.History` that tables and pictures read."""

    @property
    def spans(self) -> tuple[EpochSpan, ...]: ...

    @property
    def call_sites(self) -> tuple[str, ...]: ...

    def total(self, site: str) -> ReLUStats: ...

    def trend(self, site: str, name: str) -> tuple[Int64Array, npt.NDArray[np.float64]]: ...

    def dead_units(self, site: str, width: int | None = None) -> Int64Array: ...


def trend(
    spans: Sequence[EpochSpan], site: str, name: str
) -> tuple[Int64Array, npt.NDArray[np.float64]]:
    """The first epoch of each span and its value; NaN where the site was not called.

    Raises:
        ValueError: if there is no such name, or only zeros were counted.
    """
    if name not in (*_RATES, *_UNITS):
        names = ", ".join((*_RATES, *_UNITS))
        raise ValueError(f"History.trend: name must be one of {names}, got {name!r}")
    values = np.full(len(spans), math.nan)
    for index, span in enumerate(spans):
        if site in span.stats:
            values[index] = _value(span, site, name)
    return np.array([span.first for span in spans], dtype=np.int64), values


def _value(span: EpochSpan, site: str, name: str) -> float:
    stats = span.stats[site]
    if name in _RATES:
        return _RATES[name](stats)
    return sum(_UNITS[name](span.lifetimes[site, width]) for width in stats.widths)


def lifetimes_of(
    caller: str, spans: Sequence[EpochSpan], site: str, width: int | None
) -> dict[int, UnitLifetimes]:
    """The lifetimes of the units of one width, by first epoch of the spans with inputs of it.

    Raises:
        KeyError: if no input had ``width`` units.
        ValueError: if ``width`` is None, and inputs had several numbers of units.
    """
    found = [key for span in spans for key in span.lifetimes if key[0] == site]
    widths = tuple(dict.fromkeys(width for _, width in found))
    if width is None and len(widths) > 1:
        raise ValueError(
            f"History.{caller}: units are told apart only within one width, got inputs of widths "
            f"{', '.join(map(str, widths))}; ask {caller}({site!r}, {widths[0]})"
        )
    if width is not None and width not in widths:
        raise KeyError(f"History.{caller}: width must be one of {widths}, got {width}")
    key = site, widths[0] if width is None else width
    return {span.first: span.lifetimes[key] for span in spans if key in span.lifetimes}
