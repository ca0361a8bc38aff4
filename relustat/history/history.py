"""What ReLUs counted in the course of a training: trends, deaths and revivals."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from relustat._checks import as_integer
from relustat._messages import many
from relustat.stats import npz
from relustat.stats.histogram import Counts
from relustat.stats.relu_stats import ReLUStats

from . import plots, series, table
from .epoch_span import Window, appended
from .unit_lifetimes import Lives

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class History:
    """What was counted in each epoch of a training: trends, deaths and revivals are read from it.

    A unit is dead in an epoch if it gave only zeros in all of it. It *dies* in an epoch in which it
    is dead, if it was not in the epoch before, and is *revived* where the reverse is true; one that
    is dead from the first epoch on did not die. An epoch in which a call site was not called says
    nothing of its units: what comes after is compared with what came before.

    A history is a row of windows. Each epoch that is added is a window of its own; when there would
    be more than ``limit``, two neighbours are added up: the newest ``limit // 2`` windows stay as
    they are, and of the older ones it is the pair that spans the fewest epochs. So memory is
    bounded, and no window spans more than ``4 / limit`` of the epochs. All sums stay exact, those
    of deaths and revivals too; when something was within its window is no longer known. A window
    takes 48 bytes for each unit of a call site, and 8 for each bin of its histogram or histograms.

    ``print(history)`` shows a line for each call site: its share of zeros in the first window and
    in the last; its dead units in the last epoch; all deaths and revivals; and a picture of the
    share of zeros at 12 epochs from the first to the last, all on one scale.

    Args:
        limit: the most windows that are kept, at least 2.

    Raises:
        ValueError: if ``limit`` is no such integer.

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
        self._windows: tuple[Window, ...] = ()

    def add(self, epoch: int, stats: Mapping[str, ReLUStats]) -> None:
        """Appends what was counted in an epoch, and in no other one.

        Args:
            epoch: an int64 above those added before, by whatever step.
            stats: statistics by call-site name.

        Raises:
            ValueError: if ``epoch`` is no such integer, ``stats`` no such mapping, or the bins of a
                call site are not what they were. The history is then as before.
        """
        window = Window.of_epoch(epoch, stats, self._windows)
        self._windows = appended(self._windows, window, self._limit)

    @property
    def limit(self) -> int:
        """The most windows that are kept."""
        return self._limit

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows, the oldest first."""
        return self._windows

    @property
    def call_sites(self) -> tuple[str, ...]:
        """The call sites that were called, in the order in which they came."""
        return tuple(dict.fromkeys(site for window in self._windows for site in window.stats))

    def total(self, site: str) -> ReLUStats:
        """All that was counted at a call site, exact.

        Raises:
            KeyError: if it was never called.
        """
        self._check_site("total", site)
        called = (window.stats[site] for window in self._windows if site in window.stats)
        return functools.reduce(operator.add, called)

    def trend(self, site: str, name: str) -> tuple[Counts, npt.NDArray[np.float64]]:
        """A number of a call site, window by window.

        Args:
            site: name of the call site.
            name: "zero_fraction", "activation_rate", "death_rate"; "mean", "std", "median" or "p99"
                of the inputs, by their histogram; "dead_units", how many in an epoch, on average;
                "deaths" or "revivals", how many in the window.

        Returns:
            The windows' first epochs, int64 [windows], and the values, float64 [windows]; NaN where
            the call site was not called.

        Raises:
            KeyError: if the call site was never called.
            ValueError: if there is no such name, or only zeros were counted (``bins=None``).
        """
        self._check_site("trend", site)
        return series.trend(self._windows, site, name)

    def deaths(self, site: str, width: int | None = None) -> dict[int, Counts]:
        """Which units died when: indices, int64 [died], by first epoch of the window.

        Args:
            site: name of the call site.
            width: units of the inputs in question; None: all had the same number.

        Raises:
            KeyError: if the call site was never called, or no input had ``width`` units.
            ValueError: if ``width`` is None, and inputs had several numbers of units.
        """
        lives = self._lives("deaths", site, width).items()
        return {epoch: np.flatnonzero(units.deaths) for epoch, units in lives if units.deaths.any()}

    def revivals(self, site: str, width: int | None = None) -> dict[int, Counts]:
        """Which units were revived when; arguments and errors are those of :meth:`deaths`."""
        lives = self._lives("revivals", site, width).items()
        return {
            epoch: np.flatnonzero(units.revivals) for epoch, units in lives if units.revivals.any()
        }

    def dead_units(self, site: str, width: int | None = None) -> Counts:
        """Indices of the units dead in the last epoch with such inputs, int64 [dead].

        Arguments and errors are those of :meth:`deaths`.
        """
        *_, last = self._lives("dead_units", site, width).values()
        return np.flatnonzero(last.dead)

    def _lives(self, caller: str, site: str, width: int | None) -> dict[int, Lives]:
        self._check_site(caller, site)
        return series.lives_of(caller, self._windows, site, width)

    def _check_site(self, caller: str, site: str) -> None:
        if site not in self.call_sites:
            raise KeyError(f"History.{caller}: site must be one of {self.call_sites}, got {site!r}")

    # Handing on

    def __len__(self) -> int:
        return len(self._windows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return (self._limit, self._windows) == (other._limit, other._windows)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        held = f"{many(len(self), 'window')} of {many(len(self.call_sites), 'call site')}"
        return f"<History of {held}; print() shows it>"

    def __str__(self) -> str:
        return table.text(self)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each call site and window in which it was called, indexed by both.

        ``frame.loc["relu1"]`` are those of one call site by first epoch: the last epoch, what a
        report says of the window, deaths and revivals; ``dead_units`` is as in :meth:`trend`.
        """
        return table.frame(self)

    def plot(self) -> Figure:
        """A panel for each call site; see :func:`relustat.report.plots.history_grid`.

        Raises:
            ImportError: if matplotlib is missing.
        """
        return plots.history_grid(self)

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists, for JSON."""
        windows = [window.to_dict() for window in self._windows]
        return {"version": npz.VERSION, "limit": self._limit, "windows": windows}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> History:
        """The history whose :meth:`to_dict` this is.

        Raises:
            ValueError: if it describes none, or a newer relustat wrote it.
        """
        npz.check_version("from_dict", state)
        try:
            history = cls(state["limit"])
            if len(state["windows"]) > history.limit:
                raise ValueError(f"at most {history.limit} windows, got {len(state['windows'])}")
            for window in map(Window.from_dict, state["windows"]):
                history._windows = appended(history._windows, window, history.limit)
        except (LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"from_dict: must be what to_dict() returns, got {error!r}") from error
        except ValueError as error:
            raise ValueError(f"from_dict: must be what to_dict() returns ({error})") from error
        return history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all counts to an ``.npz`` file, whole or not at all."""
        npz.save_history(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Reads a file that :meth:`save` wrote.

        Raises:
            ValueError: if it is none, or a newer relustat wrote it.
        """
        state = npz.load_history(path)
        try:
            return cls.from_dict(state)
        except ValueError as error:
            raise ValueError(f"load: {path} must be a relustat history file ({error})") from error
