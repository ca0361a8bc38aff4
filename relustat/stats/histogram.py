"""A histogram: integer counts between edges, and separate counts of what lies outside."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .bins import Bins, EdgeBins
from .exact import MOST, checked, total

Int64Array = npt.NDArray[np.int64]


class Axis:
    """The one axis of a histogram, as UHI's plottable protocol wants it."""

    def __init__(self, edges: npt.NDArray[np.float64]) -> None:
        self.edges = edges
        self.traits = _Traits()

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __getitem__(self, index: int) -> tuple[float, float]:
        if not 0 <= index < len(self):
            raise IndexError(f"Axis: index must be in [0, {len(self) - 1}], got {index}")
        return float(self.edges[index]), float(self.edges[index + 1])

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Axis) and np.array_equal(self.edges, other.edges)

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True)
class _Traits:
    circular: bool = False
    discrete: bool = False


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Histogram:
    """Exact counts of values between the edges of ``bins``.

    It satisfies UHI's ``PlottableHistogram``, so mplhep, histoprint and boost-histogram accept it
    (``boost_histogram.Histogram(h)``). Two histograms with equal edges add with ``+``.

    Attributes:
        bins: where the bins lie.
        underflow: values below the first edge, -inf included.
        overflow: values above the last edge, +inf included.
        nan: NaNs.

    Raises:
        ValueError: if the counts are not int64 [n], or one is negative.
        OverflowError: if all counts together, NaNs included, are no int64. So no sum wraps.

    Example:
        >>> import torch, relustat
        >>> x = torch.tensor([-1.0, 0.2, 0.3, 9.0])
        >>> _, stats = relustat.functional.relu_stats(x, bins=relustat.LinearBins(0, 1, 2))
        >>> stats.histogram.counts().tolist(), stats.histogram.underflow, stats.histogram.overflow
        ([2, 0], 1, 1)
    """

    bins: Bins
    _counts: Int64Array
    underflow: int = 0
    overflow: int = 0
    nan: int = 0

    def __post_init__(self) -> None:
        if self._counts.shape != (len(self.bins),):
            raise ValueError(
                f"Histogram: counts must be [{len(self.bins)}], got {list(self._counts.shape)}"
            )
        outside = self.underflow, self.overflow, self.nan
        if self._counts.dtype != np.int64 or min(int(self._counts.min()), *outside) < 0:
            raise ValueError(
                f"Histogram: counts must be int64 and not negative, got {self._counts}, "
                f"underflow={self.underflow}, overflow={self.overflow}, nan={self.nan}"
            )
        checked("Histogram: the sum of counts", total(self._counts) + sum(outside))
        counts = self._counts.view()
        counts.flags.writeable = False
        object.__setattr__(self, "_counts", counts)

    kind = "COUNT"

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Bin boundaries, float64 [n + 1]."""
        return self.bins.edges

    @property
    def axes(self) -> tuple[Axis]:
        return (Axis(self.edges),)

    def counts(self, flow: bool = False) -> Int64Array:
        """Values per bin, int64 [n]; with ``flow`` underflow before and overflow after them."""
        if not flow:
            return self._counts
        return np.concatenate([[self.underflow], self._counts, [self.overflow]]).astype(np.int64)

    def values(self, flow: bool = False) -> npt.NDArray[np.float64]:
        """The counts as float64, for plotting."""
        return self.counts(flow).astype(np.float64)

    def variances(self, flow: bool = False) -> npt.NDArray[np.float64]:
        """The counts again: the variance of a Poisson count is the count."""
        return self.values(flow)

    def sum(self, flow: bool = True) -> int:
        """Number of values that are not NaN, those out of range included."""
        return int(self._counts.sum()) + (self.underflow + self.overflow if flow else 0)

    def to_numpy(self) -> tuple[Int64Array, npt.NDArray[np.float64]]:
        """``(counts, edges)``, as ``numpy.histogram`` returns them."""
        return self._counts, self.edges

    def density(self) -> npt.NDArray[np.float64]:
        """Counts over bin width. The integral over all values, also those out of range, is 1."""
        total = self.sum()
        return self._counts / np.diff(self.edges) / total if total else self.values()

    def quantile(self, q: float) -> float:
        """The value below which a share ``q`` of all values lies.

        It is the ``ceil(q * n)``-th smallest of n values, or the smallest for q = 0. It is
        interpolated within its bin, so the error is at most the bin's width. It is -inf or inf if
        it lies outside the edges, and NaN if nothing was counted.

        Raises:
            ValueError: if ``q`` is not in [0, 1].
        """
        if not 0 <= q <= 1:
            raise ValueError(f"quantile: q must be in [0, 1], got {q}")
        total = self.sum()
        if total == 0:
            return math.nan
        rank = q * total
        # The product is rounded.
        number = min(max(math.ceil(rank), 1), total)
        if number <= self.underflow:
            return -math.inf
        if number > total - self.overflow:
            return math.inf
        below = self.underflow + self._counts_below()
        bin_ = int(np.searchsorted(below[1:], number))
        within = max(rank - below[bin_], 0) / self._counts[bin_]
        left, right = self.edges[bin_], self.edges[bin_ + 1]
        return float(min(left + within * (right - left), right))

    @property
    def range(self) -> tuple[float, float]:
        """Bounds of all values: the outer edges of the outermost bins that are not empty.

        A bound is -inf or inf if values lie outside the edges, and NaN if nothing was counted.
        """
        filled = np.nonzero(self._counts)[0]
        if not len(filled) and not self.underflow and not self.overflow:
            return math.nan, math.nan
        low = float(self.edges[filled[0]]) if len(filled) else float(self.edges[-1])
        high = float(self.edges[filled[-1] + 1]) if len(filled) else float(self.edges[0])
        return -math.inf if self.underflow else low, math.inf if self.overflow else high

    @property
    def mean(self) -> float:
        """Mean of the bins' middles; the error is at most half a bin's width.

        NaN if nothing was counted, or if values lie outside the edges.
        """
        total = self.sum()
        if total == 0 or self.underflow or self.overflow:
            return math.nan
        return float(self._counts @ self._middles / total)

    @property
    def std(self) -> float:
        """Standard deviation of the bins' middles; NaN if the mean is NaN."""
        mean = self.mean
        if math.isnan(mean):
            return math.nan
        return float(math.sqrt(self._counts @ (self._middles - mean) ** 2 / self.sum()))

    @property
    def _middles(self) -> npt.NDArray[np.float64]:
        return (self.edges[:-1] + self.edges[1:]) / 2

    def rebin(self, edges: Bins | npt.ArrayLike) -> Histogram:
        """The same values in coarser bins, exactly.

        Args:
            edges: some of this histogram's edges. Values outside them become underflow and
                overflow. So does a value equal to the new last edge, if that is not the old one.

        Raises:
            ValueError: if an edge is not one of this histogram's; see :meth:`interpolate_to`.
        """
        bins = edges if isinstance(edges, Bins) else EdgeBins(edges)
        positions = np.searchsorted(self.edges, bins.edges)
        known = positions < len(self.edges)
        known[known] = self.edges[positions[known]] == bins.edges[known]
        if not known.all():
            raise ValueError(
                "rebin: every new edge must be one of the histogram's edges, "
                f"got {bins.edges[~known][0]:g}; interpolate_to() takes any edges"
            )
        return self._with_counts_below(bins, self._counts_below()[positions])

    def interpolate_to(self, edges: Bins | npt.ArrayLike) -> Histogram:
        """The same values in any bins, *estimated* as if they lay evenly in each bin.

        The total is exact; single counts are not.
        """
        bins = edges if isinstance(edges, Bins) else EdgeBins(edges)
        return self._with_counts_below(bins, self._estimated_below(bins.edges))

    def counts_between(self, edges: npt.NDArray[np.float64]) -> Int64Array:
        """What :meth:`interpolate_to` estimates, int64 [n]; edges need not be float32 numbers."""
        return np.diff(self._estimated_below(edges))

    def _estimated_below(self, edges: npt.NDArray[np.float64]) -> Int64Array:
        counts_below = self._counts_below()
        estimated = np.rint(np.interp(edges, self.edges, counts_below))
        # Beyond 2**53 floats are rounded, perhaps above the total, which is exact.
        below = np.minimum(estimated, math.nextafter(MOST, 0)).astype(np.int64)
        return np.maximum.accumulate(np.minimum(below, counts_below[-1]))

    def _counts_below(self) -> Int64Array:
        """Number of values in range below each edge, int64 [n + 1]."""
        return np.concatenate([[0], np.cumsum(self._counts)])

    def _with_counts_below(self, bins: Bins, below: Int64Array) -> Histogram:
        return Histogram(
            bins,
            np.diff(below),
            underflow=self.underflow + int(below[0]),
            overflow=self.overflow + self.sum(flow=False) - int(below[-1]),
            nan=self.nan,
        )

    def __add__(self, other: Histogram) -> Histogram:
        if not isinstance(other, Histogram):
            return NotImplemented
        if self.bins != other.bins:
            raise ValueError(
                f"Histogram: only histograms of equal bins add, got {self.bins} and {other.bins}"
            )
        both = self.sum() + self.nan + other.sum() + other.nan
        checked("Histogram: the sum of counts", both)
        return Histogram(
            self.bins,
            self._counts + other._counts,
            self.underflow + other.underflow,
            self.overflow + other.overflow,
            self.nan + other.nan,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            self.bins == other.bins
            and np.array_equal(self.counts(flow=True), other.counts(flow=True))
            and self.nan == other.nan
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Histogram({self.bins}, {self.sum(flow=False)} in range, "
            f"underflow={self.underflow}, overflow={self.overflow}, nan={self.nan})"
        )

    def _to_boost_histogram_(self) -> Any:
        """For ``boost_histogram.Histogram(h)``. boost cannot hold NaNs: they are left out."""
        import boost_histogram

        result = boost_histogram.Histogram(
            boost_histogram.axis.Variable(self.edges), storage=boost_histogram.storage.Int64()
        )
        result.view(flow=True)[...] = self.counts(flow=True)
        return result
