"""The counts of a training, epoch by epoch."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from relustat._checks import as_integer
from relustat._messages import many
from relustat._printable import printable
from relustat.stats import json_file, npz
from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats

from . import plots, series, table
from .epoch_span import EpochSpan, appended
from .unit_lifetimes import UnitLifetimes

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class History:
    """The counts of each epoch of a training, from which trends, deaths and revivals are read.

    A unit is dead in an epoch if all its outputs in that epoch are 0. It *dies* in an epoch if it
    is dead in that epoch and was alive in the one before. It is *revived* in an epoch if it is
    alive and was dead in the one before. A unit that is dead in the first epoch has not died. If a
    call site is not called in an epoch, that epoch is skipped: the next one is compared with the
    last epoch that has counts.

    A history is a sequence of spans of epochs. Each epoch that is added is a span of its own. When
    there would be more than ``limit`` spans, two neighbours are added up. The newest ``limit // 2``
    spans stay as they are; of the older ones, the pair with the fewest epochs is taken. So memory
    is bounded, and no span holds more than ``4 / limit`` of the epochs. All sums stay exact, also
    those of deaths and revivals. Only the epoch of an event within its span is lost. A span takes
    48 bytes for each unit of a call site, and 8 bytes for each bin of its histograms.

    ``print(history)`` shows a line for each call site: the share of zeros in the first span and in
    the last one, the dead units in the last epoch, all deaths and revivals, and the share of zeros
    at 12 epochs as a picture. All pictures have one scale.

    Args:
        limit: the largest number of spans that are kept, at least 2.

    Raises:
        ValueError: if ``limit`` is not an integer of at least 2.

    Example:
        >>> import torch
        >>> from relustat.functional import relu_stats
        >>> from relustat.history import History
        >>> history = History()
        >>> for epoch, x in enumerate([[-1.0, 2.0], [-1.0, -2.0], [3.0, -2.0]]):
        ...     history.add(epoch, {"relu": relu_stats(torch.tensor([x]))[1]})
        >>> history.deaths("relu"), history.revivals("relu"), history.dead_units("relu")
        ({1: array([1])}, {2: array([0])}, array([1]))
        >>> history.trend("relu", "zero_fraction")
        (array([0, 1, 2]), array([0.5, 1. , 0.5]))
    """

    def __init__(self, limit: int = 100) -> None:
        self._limit = as_integer("History: limit", limit)
        if self._limit < 2:
            raise ValueError(f"History: limit must be at least 2, got {limit}")
        self._spans: tuple[EpochSpan, ...] = ()

    def add(self, epoch: int, stats: Mapping[str, ReLUStats]) -> None:
        """Appends what was counted in an epoch, and in no other one.

        Args:
            epoch: an int64 above those added before, by whatever step.
            stats: statistics by call-site name.

        Raises:
            ValueError: if ``epoch`` is not such an integer, if ``stats`` is not such a mapping, or
                if the bins of a call site have changed. The history is then as before.
        """
        span = EpochSpan.of_epoch(epoch, stats, self._spans)
        self._spans = appended(self._spans, span, self._limit)

    @property
    def limit(self) -> int:
        """The largest number of spans that are kept."""
        return self._limit

    @property
    def spans(self) -> tuple[EpochSpan, ...]:
        """All spans, the oldest first."""
        return self._spans

    @property
    def call_sites(self) -> tuple[str, ...]:
        """The call sites that were called, in the order in which they came."""
        return tuple(dict.fromkeys(site for span in self._spans for site in span.stats))

    def total(self, site: str) -> ReLUStats:
        """All that was counted at a call site, exact.

        Raises:
            KeyError: if it was never called.
        """
        self._check_site("total", site)
        called = (span.stats[site] for span in self._spans if site in span.stats)
        return functools.reduce(ReLUStats.then, called)

    def trend(self, site: str, name: str) -> tuple[Int64Array, npt.NDArray[np.float64]]:
        """A number of a call site, span by span.

        Args:
            site: name of the call site.
            name: "zero_fraction", "activation_rate", "death_rate", "nan_fraction", "units"; "mean",
                "std", "median" or "p99" of the inputs, by their histogram; "dead", the mean number
                in an epoch; "deaths" or "revivals", the number in the span.

        Returns:
            The first epoch of each span, int64 [spans], and the values, float64 [spans]; NaN where
            the call site was not called.

        Raises:
            KeyError: if the call site was never called.
            ValueError: if there is no such name, or only zeros were counted (``bins=None``).
        """
        self._check_site("trend", site)
        return series.trend(self._spans, site, name)

    def deaths(self, site: str, width: int | None = None) -> dict[int, Int64Array]:
        """Which units died when: indices, int64 [died], by first epoch of the span.

        Args:
            site: name of the call site.
            width: units of the inputs in question; None: all had the same number.

        Raises:
            KeyError: if the call site was never called, or no input had ``width`` units.
            ValueError: if ``width`` is None, and inputs had several numbers of units.
        """
        lifetimes = self._lifetimes("deaths", site, width).items()
        return {
            epoch: np.flatnonzero(units.deaths) for epoch, units in lifetimes if units.deaths.any()
        }

    def revivals(self, site: str, width: int | None = None) -> dict[int, Int64Array]:
        """Which units were revived when; arguments and errors are those of :meth:`deaths`."""
        lifetimes = self._lifetimes("revivals", site, width).items()
        return {
            epoch: np.flatnonzero(units.revivals)
            for epoch, units in lifetimes
            if units.revivals.any()
        }

    def dead_units(self, site: str, width: int | None = None) -> Int64Array:
        """Indices of the units dead in the last epoch with such inputs, int64 [dead].

        Arguments and errors are those of :meth:`deaths`.
        """
        *_, last = self._lifetimes("dead_units", site, width).values()
        return np.flatnonzero(last.dead)

    def _lifetimes(self, caller: str, site: str, width: int | None) -> dict[int, UnitLifetimes]:
        self._check_site(caller, site)
        return series.lifetimes_of(caller, self._spans, site, width)

    def _check_site(self, caller: str, site: str) -> None:
        if not self._spans:
            raise KeyError(f"History.{caller}: no epoch was added yet; snapshot(epoch) adds one")
        if not any(site in span.stats for span in self._spans):
            raise KeyError(f"History.{caller}: site must be one of {self.call_sites}, got {site!r}")

    # Handing on

    def __len__(self) -> int:
        return len(self._spans)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return (self._limit, self._spans) == (other._limit, other._spans)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        held = f"{many(len(self), 'span')} of {many(len(self.call_sites), 'call site')}"
        return f"<History of {held}; print() shows it>"

    def __str__(self) -> str:
        return table.text(self)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each call site and each span in which it was called, indexed by both.

        ``frame.loc["relu1"]`` holds the rows of one call site by first epoch. A row has the last
        epoch, the columns of a report, deaths and revivals; ``dead`` is as in :meth:`trend`.
        """
        return table.frame(self)

    def plot(self) -> Figure:
        """A panel for each call site; see :func:`relustat.history.plots.history_grid`.

        Raises:
            ImportError: if matplotlib is missing.
        """
        return plots.history_grid(self)

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists, for JSON."""
        spans = [span.to_dict() for span in self._spans]
        return {"version": npz.VERSION, "limit": self._limit, "windows": spans}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> History:
        """The history whose :meth:`to_dict` this is.

        Raises:
            ValueError: if it is not such a dict, or a newer relustat wrote it.
        """
        npz.check_version("from_dict", state)
        try:
            history = cls(state["limit"])
            if len(state["windows"]) > history.limit:
                raise ValueError(f"at most {history.limit} spans, got {len(state['windows'])}")
            for span in map(EpochSpan.from_dict, state["windows"]):
                history._spans = appended(history._spans, span, history.limit)
        except (LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"from_dict: must be what to_dict() returns, got {error!r}") from error
        except ValueError as error:
            raise ValueError(f"from_dict: must be what to_dict() returns ({error})") from error
        return history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all counts to a file, whole or not at all.

        It is JSON if its name ends in ``.json``, and else an ``.npz`` archive.

        Raises:
            OSError: if it cannot be written. The file that was there stays.
            ValueError: if its name ends as that of a page, a table or a picture.
        """
        if json_file.is_named(path):
            json_file.save(path, self.to_dict())
        else:
            npz.save_history(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Reads a file that :meth:`save` wrote.

        Raises:
            ValueError: if it is not such a file, or a newer relustat wrote it.
        """
        if json_file.is_json(path):
            with json_file.reading(path, "history") as state:
                return cls.from_dict(state)
        state = npz.load_history(path)
        try:
            return cls.from_dict(state)
        except ValueError as error:
            name = printable(os.fspath(path))
            raise ValueError(f"load: {name} must be a relustat history file ({error})") from error
