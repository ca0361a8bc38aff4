"""The counts of a span of epochs, and how a sequence of spans stays short."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from relustat._checks import as_integer
from relustat._printable import printable
from relustat.stats.relu_stats import ReLUStats
from relustat.stats.unit_counts import UnitCounts

from .unit_lifetimes import UnitLifetimes

_Key = TypeVar("_Key")
_Counts = TypeVar("_Counts", ReLUStats, UnitLifetimes)


@dataclasses.dataclass(frozen=True, repr=False)
class EpochSpan:
    """The counts from epoch ``first`` to epoch ``last``, both included.

    ``span + later`` is the span from the first epoch of the one to the last epoch of the other.

    Attributes:
        first: the first epoch.
        last: the last epoch.
        stats: statistics by call-site name, read-only; without the sites that were not called.
        lifetimes: when their units were dead, by call-site name and width, read-only.

    Example:
        >>> import torch
        >>> from relustat.functional import relu_stats
        >>> from relustat.history import History
        >>> history = History(limit=2)
        >>> for epoch in range(5):
        ...     history.add(epoch, {"relu": relu_stats(torch.tensor([[-1.0, 2.0]]))[1]})
        >>> [(span.first, span.last) for span in history.spans]
        [(0, 3), (4, 4)]
        >>> oldest = history.spans[0]
        >>> oldest.stats["relu"].calls, oldest.lifetimes["relu", 2].dead_epochs
        (4, array([4, 0]))
    """

    first: int
    last: int
    stats: Mapping[str, ReLUStats]
    lifetimes: Mapping[tuple[str, int], UnitLifetimes]

    __hash__ = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stats", MappingProxyType(dict(self.stats)))
        object.__setattr__(self, "lifetimes", MappingProxyType(dict(self.lifetimes)))
        if self.first > self.last:
            raise ValueError(f"the epochs of a span must increase, got {self.first} to {self.last}")
        for (site, width), units in self.lifetimes.items():
            self._check(site, self.stats[site].by_width[width], units)

    def _check(self, site: str, counts: UnitCounts, units: UnitLifetimes) -> None:
        dead, alive = units.dead_epochs, units.epochs - units.dead_epochs
        dead_calls, alive_calls = counts.dead_calls, counts.calls - counts.dead_calls
        if (
            units.epochs > self.last - self.first + 1
            or not np.array_equal(alive == 0, alive_calls == 0)
            or (dead > dead_calls).any()
            or (alive > alive_calls).any()
        ):
            raise ValueError(
                "an epoch must have calls, all of them dead where the unit is dead in it, and not "
                f"all elsewhere, got {units} at {printable(site)}"
            )

    @classmethod
    def of_epoch(
        cls, epoch: int, stats: Mapping[str, ReLUStats], before: tuple[EpochSpan, ...]
    ) -> EpochSpan:
        """The span of one epoch, after all those ``before`` it.

        Raises:
            ValueError: if ``epoch`` is not an int64, or ``stats`` are no statistics by name.
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
        earlier = {key: lifetimes for span in before for key, lifetimes in span.lifetimes.items()}
        lifetimes = {
            (site, width): UnitLifetimes.in_epoch(
                counts.of_width(width), earlier.get((site, width))
            )
            for site, counts in called.items()
            for width in counts.widths
        }
        return cls(epoch, epoch, called, lifetimes)

    def __add__(self, later: EpochSpan) -> EpochSpan:
        return EpochSpan(
            self.first,
            later.last,
            _joined(self.stats, later.stats, ReLUStats.then),
            _joined(self.lifetimes, later.lifetimes, UnitLifetimes.__add__),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.first, self.last, dict(self.stats), dict(self.lifetimes))

    def __repr__(self) -> str:
        return f"<EpochSpan of epochs {self.first} to {self.last}, {len(self.stats)} call sites>"

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists; lifetimes are beside the counts of their width."""
        sites = {site: stats.to_dict() for site, stats in self.stats.items()}
        for (site, width), lifetimes in self.lifetimes.items():
            sites[site]["widths"][str(width)].update(lifetimes.to_dict())
        return {"first": self.first, "last": self.last, "call_sites": sites}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> EpochSpan:
        """The span whose :meth:`to_dict` this is; raises whatever if it is none."""
        first, last = (as_integer(name, state[name]) for name in ("first", "last"))
        stats = {name: ReLUStats.from_dict(site) for name, site in state["call_sites"].items()}
        lifetimes = {
            (site, width): UnitLifetimes.from_dict(state["call_sites"][site]["widths"][str(width)])
            for site, counts in stats.items()
            for width in counts.widths
        }
        return cls(first, last, stats, lifetimes)


def appended(spans: tuple[EpochSpan, ...], span: EpochSpan, limit: int) -> tuple[EpochSpan, ...]:
    """The spans and one more: at most ``limit``, with the same sums.

    If there would be one too many, the newest ``limit // 2`` stay as they are. Of the older ones,
    the two neighbours that together hold the fewest epochs are added up; of several such pairs,
    the oldest. There are at least ``limit / 2`` pairs, and together they hold at most twice the
    epochs of all spans. So the shortest pair holds at most ``4 / limit`` of the epochs.

    Raises:
        ValueError: if epochs do not increase, or a call site's bins are not what they were.
    """
    if spans and span.first <= spans[-1].last:
        raise ValueError(
            f"History.add: epochs must increase, got {span.first} after {spans[-1].last}"
        )
    known = {site: stats.layout for earlier in spans for site, stats in earlier.stats.items()}
    for site, stats in span.stats.items():
        mine, before = stats.layout, known.get(site, stats.layout)
        if (mine.bins, mine.activation) != (before.bins, before.activation):
            raise ValueError(
                "History.add: the bins and activation of a call site must stay the same, "
                f"got {mine} after {before} at {printable(site)}"
            )
    last = {key: units for earlier in spans for key, units in earlier.lifetimes.items()}
    for key, units in span.lifetimes.items():
        if key in last and not np.array_equal(last[key].dead, units.dead_before):
            raise ValueError(
                "History.add: a unit must be dead or alive until it is revived or dies, "
                f"got {units} after {last[key]} at {printable(key[0])}"
            )
    spans = (*spans, span)
    if len(spans) <= limit:
        return spans
    older = spans[: len(spans) - limit // 2]
    lengths = [after.last - before.first for before, after in itertools.pairwise(older)]
    at = lengths.index(min(lengths))
    return (*spans[:at], spans[at] + spans[at + 1], *spans[at + 2 :])


def _joined(
    some: Mapping[_Key, _Counts],
    later: Mapping[_Key, _Counts],
    join: Callable[[_Counts, _Counts], _Counts],
) -> dict[_Key, _Counts]:
    joined = dict(some)
    for key, counts in later.items():
        joined[key] = join(joined[key], counts) if key in joined else counts
    return joined
