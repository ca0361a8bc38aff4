"""What is read from the windows of one call site: numbers by window, and what became of units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from relustat.stats.histogram import Counts
from relustat.stats.relu_stats import ReLUStats

from .epoch_span import Window
from .unit_lifetimes import Lives

_RATES: dict[str, Callable[[ReLUStats], float]] = {
    "zero_fraction": lambda stats: stats.zero_fraction,
    "activation_rate": lambda stats: stats.activation_rate,
    "death_rate": lambda stats: stats.death_rate,
    "mean": lambda stats: stats.mean,
    "std": lambda stats: stats.std,
    "median": lambda stats: stats.quantile(0.5),
    "p99": lambda stats: stats.quantile(0.99),
}

# Of the units of one width; those of several add up.
_UNITS: dict[str, Callable[[Lives], float]] = {
    "dead_units": lambda lives: int(lives.dead_epochs.sum()) / lives.epochs,
    "deaths": lambda lives: int(lives.deaths.sum()),
    "revivals": lambda lives: int(lives.revivals.sum()),
}


class CountsByEpoch(Protocol):
    """What tables and pictures read of a :class:`relustat.history.History`."""

    @property
    def windows(self) -> tuple[Window, ...]: ...

    @property
    def call_sites(self) -> tuple[str, ...]: ...

    def total(self, site: str) -> ReLUStats: ...

    def trend(self, site: str, name: str) -> tuple[Counts, npt.NDArray[np.float64]]: ...

    def dead_units(self, site: str, width: int | None = None) -> Counts: ...


def trend(
    windows: Sequence[Window], site: str, name: str
) -> tuple[Counts, npt.NDArray[np.float64]]:
    """The windows' first epochs and the values of a name; NaN where the site was not called.

    Raises:
        ValueError: if there is no such name, or only zeros were counted.
    """
    if name not in (*_RATES, *_UNITS):
        names = ", ".join((*_RATES, *_UNITS))
        raise ValueError(f"History.trend: name must be one of {names}, got {name!r}")
    values = np.full(len(windows), math.nan)
    for index, window in enumerate(windows):
        if site in window.stats:
            values[index] = _value(window, site, name)
    return np.array([window.first for window in windows], dtype=np.int64), values


def _value(window: Window, site: str, name: str) -> float:
    stats = window.stats[site]
    if name in _RATES:
        return _RATES[name](stats)
    return sum(_UNITS[name](window.lives[site, width]) for width in stats.widths)


def lives_of(
    caller: str, windows: Sequence[Window], site: str, width: int | None
) -> dict[int, Lives]:
    """What became of the units of one width, by first epoch of the windows with such inputs.

    Raises:
        KeyError: if no input had ``width`` units.
        ValueError: if ``width`` is None, and inputs had several numbers of units.
    """
    found = [key for window in windows for key in window.lives if key[0] == site]
    widths = tuple(dict.fromkeys(width for _, width in found))
    if width is None and len(widths) > 1:
        raise ValueError(
            f"History.{caller}: units are told apart only within one width, got inputs of widths "
            f"{', '.join(map(str, widths))}; ask {caller}({site!r}, {widths[0]})"
        )
    if width is not None and width not in widths:
        raise KeyError(f"History.{caller}: width must be one of {widths}, got {width}")
    key = site, widths[0] if width is None else width
    return {window.first: window.lives[key] for window in windows if key in window.lives}
