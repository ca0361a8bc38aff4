"""The numbers of a report by the names that they have in every tool."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from relustat.report.columns import COLUMNS
from relustat.report.report import Report
from relustat.stats.histogram import Histogram, Int64Array
from relustat.watching.handle import Watch

__all__ = ["filled_bins", "histograms", "scalars"]

_TEXTS = {"call_site", "activation", "after", "histogram"}
_NUMBERS = [name for name in COLUMNS if name not in _TEXTS]
_SUMS = ("elements", "units", "dead", "dead_now", "always_on", "nans")


def report_of(caller: str, counts: Watch | Report) -> Report:
    """The report of a watch, or a report itself.

    Raises:
        TypeError: if ``counts`` is neither.
    """
    if isinstance(counts, Watch):
        return counts.report()
    if not isinstance(counts, Report):
        raise TypeError(f"{caller}: counts must be a Watch or a Report, got {counts!r}")
    return counts


def scalars(counts: Watch | Report) -> dict[str, float]:
    """All numbers of a report: ``relustat/<call site>/<column>`` and ``relustat/<column>``.

    The columns are those of :class:`relustat.report.Row`. Those without a call site are of the
    whole model: sums of elements, units and NaNs, and the zero fraction of all elements. Numbers
    that are not known are left out, and ``inactive`` where it is the zero fraction. A bound or a
    quantile that lies beyond the bins is given as their outermost edge.

    Args:
        counts: a watch, or a report.

    Returns:
        Integers and finite floats by name.

    Raises:
        TypeError: if ``counts`` is neither.

    Example:
        >>> import torch, relustat
        >>> from relustat.integrations.metrics import scalars
        >>> model = torch.nn.Sequential(torch.nn.ReLU())
        >>> with relustat.watch(model) as watch:
        ...     _ = model(torch.tensor([[-1.0, 2.0]]))
        >>> numbers = scalars(watch)
        >>> numbers["relustat/0/dead"], numbers["relustat/0/zero_fraction"]
        (1, 0.5)
    """
    rows = report_of("scalars", counts).rows
    found: dict[str, float] = {}
    for row in rows:
        numbers = row.numbers_within_bins()
        for name in _NUMBERS:
            if name != "inactive" or math.isnan(row.zero_fraction):
                found[f"relustat/{row.call_site}/{name}"] = numbers[name]
    for name in _SUMS:
        found[f"relustat/{name}"] = sum(getattr(row, name) for row in rows)
    of_relus = [row.stats for row in rows if row.stats.activation.gives_zero]
    elements = sum(stats.elements for stats in of_relus)
    zeros = sum(stats.zeros for stats in of_relus)
    found["relustat/zero_fraction"] = zeros / elements if elements else math.nan
    return {name: number for name, number in found.items() if math.isfinite(number)}


def histograms(counts: Watch | Report) -> dict[str, Histogram]:
    """The histograms of all inputs: ``relustat/<call site>/inputs``, where there are bins.

    Args:
        counts: a watch, or a report.

    Raises:
        TypeError: if ``counts`` is neither.

    Example:
        >>> import torch, relustat
        >>> from relustat.integrations.metrics import histograms
        >>> model = torch.nn.Sequential(torch.nn.ReLU())
        >>> with relustat.watch(model) as watch:
        ...     _ = model(torch.tensor([[-1.0, 2.0]]))
        >>> histograms(watch)["relustat/0/inputs"].sum()
        2
    """
    return {
        f"relustat/{name}/inputs": stats.histogram
        for name, stats in report_of("histograms", counts).stats.items()
        if stats.bins is not None
    }


def filled_bins(
    histogram: Histogram, most: int | None = None
) -> tuple[Int64Array, npt.NDArray[np.float64]]:
    """A histogram for tools that know no values outside of the edges.

    Values below the edges are counted in the first bin, and values above them in the last one. So
    all values that are no NaN are counted. Empty bins at both ends are left out. If there are more
    than ``most``, neighbours are joined: all edges are some of the histogram's.

    Args:
        histogram: the counts.
        most: the largest number of bins, at least 1; None: all.

    Returns:
        Counts, int64 [n], and edges, float64 [n + 1]; n is 0, and there is no edge, if nothing was
        counted.

    Example:
        >>> import torch, relustat
        >>> from relustat.integrations.metrics import filled_bins
        >>> x = torch.tensor([-5.0, 0.2, 0.3, 1.5])
        >>> bins = relustat.LinearBins(0, 4, 4)
        >>> _, stats = relustat.functional.relu_stats(x, bins=bins)
        >>> filled_bins(stats.histogram)
        (array([3, 1]), array([0., 1., 2.]))
    """
    counts, edges = histogram.counts().copy(), histogram.edges
    counts[0] += histogram.underflow
    counts[-1] += histogram.overflow
    filled = np.flatnonzero(counts)
    if not len(filled):
        return counts[:0], edges[:0]
    first, end = filled[0], filled[-1] + 1
    joined = 1 if most is None else -(-(end - first) // most)
    starts = np.arange(first, end, joined)
    return np.add.reduceat(counts[:end], starts), edges[[*starts, end]]


def with_histograms(report: Report, kind: Callable[..., Any], most: int) -> dict[str, Any]:
    """All numbers, and all histograms as a tool's own kind.

    Args:
        report: the counts.
        kind: makes a histogram, of ``np_histogram=(counts, edges)``.
        most: the largest number of bins that it takes.
    """
    found: dict[str, Any] = dict(scalars(report))
    for name, histogram in histograms(report).items():
        counted, edges = filled_bins(histogram, most)
        if len(counted):
            found[name] = kind(np_histogram=(counted, edges))
    return found
