"""What was counted from one epoch to another, and how a row of such windows stays short."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from relustat._checks import as_integer
from relustat.stats.relu_stats import ReLUStats

from .unit_lifetimes import Lives

_Key = TypeVar("_Key")
_Counts = TypeVar("_Counts", ReLUStats, Lives)


@dataclasses.dataclass(frozen=True, repr=False)
class Window:
    """What was counted from epoch ``first`` to epoch ``last``, both included.

    ``window + later`` is the window from the first epoch of the one to the last of the other.

    Attributes:
        first: the window's first epoch.
        last: its last one.
        stats: statistics by call-site name, read-only; without the sites that were not called.
        lives: what became of their units, by call-site name and width, read-only.

    Example:
        >>> import torch
        >>> from relustat.functional import relu_stats
        >>> from relustat.history import History
        >>> history = History(limit=2)
        >>> for epoch in range(5):
        ...     history.add(epoch, {"relu": relu_stats(torch.tensor([[-1.0, 2.0]]))[1]})
        >>> [(window.first, window.last) for window in history.windows]
        [(0, 3), (4, 4)]
        >>> history.windows[0].stats["relu"].calls, history.windows[0].lives["relu", 2].dead_epochs
        (4, array([4, 0]))
    """

    first: int
    last: int
    stats: Mapping[str, ReLUStats]
    lives: Mapping[tuple[str, int], Lives]

    __hash__ = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stats", MappingProxyType(dict(self.stats)))
        object.__setattr__(self, "lives", MappingProxyType(dict(self.lives)))

    @classmethod
    def of_epoch(
        cls, epoch: int, stats: Mapping[str, ReLUStats], before: tuple[Window, ...]
    ) -> Window:
        """The window of one epoch, after all those ``before`` it.

        Raises:
            ValueError: if ``epoch`` is no int64, or ``stats`` are no statistics by name.
        """
        epoch = as_integer("History.add: epoch", epoch)
        if not isinstance(stats, Mapping):
            raise ValueError(f"History.add: stats must be a mapping, got {type(stats).__name__}")
        for site, counts in stats.items():
            if not isinstance(site, str) or not isinstance(counts, ReLUStats):
                raise ValueError(
                    "History.add: stats must be ReLUStats by call-site name, "
                    f"got {type(counts).__name__} by {site!r}"
                )
        called = {site: counts for site, counts in stats.items() if counts.calls}
        earlier = {key: lives for window in before for key, lives in window.lives.items()}
        lives = {
            (site, width): Lives.in_epoch(counts.of_width(width), earlier.get((site, width)))
            for site, counts in called.items()
            for width in counts.widths
        }
        return cls(epoch, epoch, called, lives)

    def __add__(self, later: Window) -> Window:
        return Window(
            self.first,
            later.last,
            _sums(self.stats, later.stats),
            _sums(self.lives, later.lives),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.first, self.last, dict(self.stats), dict(self.lives))

    def __repr__(self) -> str:
        return f"<Window of epochs {self.first} to {self.last}, {len(self.stats)} call sites>"

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists; a width's are those of statistics and of lives."""
        sites = {site: stats.to_dict() for site, stats in self.stats.items()}
        for (site, width), lives in self.lives.items():
            sites[site]["widths"][str(width)].update(lives.to_dict())
        return {"first": self.first, "last": self.last, "call_sites": sites}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Window:
        """The window whose :meth:`to_dict` this is; raises whatever if it is none."""
        first, last = (as_integer(name, state[name]) for name in ("first", "last"))
        if first > last:
            raise ValueError(f"a window's epochs must increase, got {first} to {last}")
        stats = {name: ReLUStats.from_dict(site) for name, site in state["call_sites"].items()}
        lives = {
            (site, width): Lives.from_dict(state["call_sites"][site]["widths"][str(width)])
            for site, counts in stats.items()
            for width in counts.widths
        }
        for (site, width), units in lives.items():
            always = np.flatnonzero(units.dead_epochs == units.epochs)
            if not np.array_equal(always, stats[site].of_width(width).dead_units):
                raise ValueError(
                    f"units must be dead in all epochs where they gave only zeros, got {units} "
                    f"at {site}"
                )
        return cls(first, last, stats, lives)


def appended(windows: tuple[Window, ...], window: Window, limit: int) -> tuple[Window, ...]:
    """The windows and one more: at most ``limit``, with the same sums.

    Where there would be one too many, the newest ``limit // 2`` stay as they are. Of the older
    ones, the two neighbours that together span the fewest epochs are added up; of several such
    pairs the oldest. There are at least ``limit / 2`` pairs, whose spans sum up to twice that of
    all windows at most: the shortest is at most ``4 / limit`` of it.

    Raises:
        ValueError: if epochs do not increase, or a call site's bins are not what they were.
    """
    if windows and window.first <= windows[-1].last:
        raise ValueError(
            f"History.add: epochs must increase, got {window.first} after {windows[-1].last}"
        )
    known = {site: stats.bins for earlier in windows for site, stats in earlier.stats.items()}
    for site, stats in window.stats.items():
        if stats.bins != known.get(site, stats.bins):
            raise ValueError(
                "History.add: the bins of a call site must stay the same, "
                f"got {stats.bins} after {known[site]} at {site}"
            )
    windows = (*windows, window)
    if len(windows) <= limit:
        return windows
    older = windows[: len(windows) - limit // 2]
    spans = [after.last - before.first for before, after in itertools.pairwise(older)]
    at = spans.index(min(spans))
    return (*windows[:at], windows[at] + windows[at + 1], *windows[at + 2 :])


def _sums(some: Mapping[_Key, _Counts], later: Mapping[_Key, _Counts]) -> dict[_Key, _Counts]:
    sums = dict(some)
    for key, counts in later.items():
        sums[key] = sums[key] + counts if key in sums else counts
    return sums
