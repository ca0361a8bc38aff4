"""What sparse inference can leave out, and what training has left idle."""

from __future__ import annotations

import math
import numbers
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .derived_numbers import DerivedNumbers
from .histogram import Int64Array
from .output_sizes import output_sizes

Float64Array = npt.NDArray[np.float64]


class OutputThreshold(NamedTuple):
    """A size of outputs, and bounds of the share of outputs that are not larger.

    The histogram is exact, so the share lies between the bounds. They differ by the outputs whose
    bin has the threshold within it.

    Attributes:
        threshold: the size: outputs with ``|output| <= threshold`` are left out.
        at_least: a share of outputs that are surely left out.
        at_most: a share that is surely not exceeded.
    """

    threshold: float
    at_least: float
    at_most: float


class DormantUnits(NamedTuple):
    """The dormant units, as far as a histogram tells them.

    Attributes:
        units: indices of the units that are surely dormant, int64 [dormant].
        unsure: indices of those that may be: their bounds lie on both sides of tau, int64.
        least, most: bounds of each unit's score, float64 [units].
    """

    units: Int64Array
    unsure: Int64Array
    least: Float64Array
    most: Float64Array

    @property
    def ratio(self) -> float:
        """The dormant ratio: the share of units that are surely dormant; NaN without units."""
        return len(self.units) / len(self.least) if len(self.least) else math.nan


class Sparsity(DerivedNumbers):
    """Hot units, thresholds and dormant units of the counts of a ReLU or another activation."""

    __slots__ = ()

    @property
    def unit_active(self) -> Int64Array:
        """Inputs of each unit that are not inactive, int64 [units]; of a ReLU its outputs not 0.

        NaNs are among them.
        """
        return self.unit_elements - self.unit_inactive

    @property
    def unit_frequencies(self) -> Float64Array:
        """``unit_active / unit_elements``, float64 [units]: how often each unit is active.

        Of tokens, if each position is a token; a mask leaves out padding. It is what Mirzadeh et
        al. ("ReLU strikes back", 2023) and sparse autoencoders call activation frequency.
        """
        return self.unit_active / self.unit_elements

    def hot_units(self, coverage: float = 0.8) -> Int64Array:
        """The fewest units that give this share of all active inputs, int64 [hot].

        They come in the order of their frequency, ties in the order of their indices. Units that
        are hot for most inputs are kept in fast memory by PowerInfer (Song et al., 2023).

        Args:
            coverage: a share in (0, 1], as the decimal number that is written.

        Raises:
            ValueError: if ``coverage`` is no such share, or inputs had several widths.

        Example:
            >>> import torch
            >>> from relustat.functional import relu_stats
            >>> x = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
            >>> _, stats = relu_stats(x)
            >>> stats.unit_active.tolist(), stats.hot_units(0.6).tolist()
            ([3, 1, 1], [0])
        """
        share = _share("hot_units: coverage", coverage)
        if not share:
            raise ValueError(f"hot_units: coverage must be above 0, got {coverage!r}")
        self._only_width("hot_units")
        active = self.unit_active
        order = np.argsort(-active, kind="stable").astype(np.int64)
        wanted = math.ceil(share * int(active.sum()))
        return order[: np.searchsorted(active[order].cumsum(), wanted) + (wanted > 0)]

    def output_threshold(self, sparsity: float) -> OutputThreshold:
        """The threshold that leaves out at least this share of outputs, by their size.

        CATS (Lee et al., 2024) and TEAL (Liu et al., 2024) choose it for the gates of gated
        feed-forward layers. It is the least end of a bin, or turning point within one, at which
        the histogram of inputs is sure of the share. NaNs are outputs that are never left out.

        Args:
            sparsity: a share in [0, 1].

        Raises:
            ValueError: if ``sparsity`` is no such share, nothing was counted, there are no bins,
                the activation has parameters, or the outputs of that share are not within bins.

        Example:
            >>> import torch, relustat
            >>> gate, x = torch.nn.SiLU(), torch.linspace(-8, 8, 1001)
            >>> with relustat.watch(gate, relustat.LinearBins(-9, 9, 900), activations="all") as w:
            ...     y = gate(x)
            >>> found = w.stats["silu"].output_threshold(0.5)
            >>> share = (y.abs() <= found.threshold).double().mean().item()
            >>> found.at_least <= share <= found.at_most
            True
        """
        share = _share("output_threshold: sparsity", sparsity)
        self._bins_for("output_threshold")
        histogram, total = self.histogram, self.elements
        if not total:
            raise ValueError("output_threshold: outputs must have been counted, got none")
        smallest, largest = output_sizes("output_threshold", self.activation.name, histogram.edges)
        counts = histogram.counts(flow=True)
        order = np.argsort(largest, kind="stable")
        at = int(np.searchsorted(counts[order].cumsum(), math.ceil(share * total)))
        if at == len(order) or math.isinf(largest[order[at]]):
            raise ValueError(
                f"output_threshold: a share of {sparsity} must lie within the bins, got more "
                f"outputs of inputs above {histogram.edges[-1]:g}, or of NaN"
            )
        threshold = float(largest[order[at]])
        sure, possible = (
            int(counts[sizes <= threshold].sum()) / total for sizes in (largest, smallest)
        )
        return OutputThreshold(threshold, sure, possible)

    def dormant_units(self, tau: float = 0.025) -> DormantUnits:
        """The units whose outputs are small beside those of the others.

        The score of a unit is the mean size of its outputs, over the mean of all units of the
        layer. The unit is tau-dormant if its score is at most tau (Sokar et al., "The dormant
        neuron phenomenon in deep reinforcement learning", 2023). The sizes are sums over bins, so
        a score has bounds. They are as far apart as the edges of bins. NaNs are left out.

        Args:
            tau: at least 0. With 0 dormant units are those whose outputs are all 0.

        Raises:
            ValueError: if there are no histograms of units, ``tau`` is negative, the activation
                has parameters, or inputs had several widths.

        Example:
            >>> import torch, relustat
            >>> relu = relustat.CountingReLU(relustat.LinearBins(0, 4, 400), unit_histograms=True)
            >>> _ = relu(torch.tensor([[3.0, -1.0, 0.05, 1.0], [1.0, -2.0, -1.0, 2.0]]))
            >>> dormant = relu.stats.dormant_units(0.1)
            >>> dormant.units.tolist(), dormant.ratio
            ([1, 2], 0.5)
        """
        if not _is_number(tau) or not tau >= 0:
            raise ValueError(f"dormant_units: tau must be at least 0, got {tau!r}")
        counts = self._only_width("dormant_units")
        self._bins_for("dormant_units")
        if counts.slots.shape[0] != len(counts.zeros):
            raise ValueError(
                "dormant_units: needs the histograms of units, got counts without; "
                "unit_histograms=True counts them"
            )
        slots = counts.slots[:, :-1]
        sizes = output_sizes("dormant_units", self.activation.name, self.histogram.edges)
        least, most = (_means(slots, each) for each in sizes)
        most[~slots.any(1)] = math.inf  # only NaNs
        lower, upper = _scores(least, most), _scores(most, least)
        surely, perhaps = upper <= tau, lower <= tau
        return DormantUnits(
            np.nonzero(surely)[0].astype(np.int64),
            np.nonzero(perhaps & ~surely)[0].astype(np.int64),
            lower,
            upper,
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _share(what: str, value: Any) -> Fraction:
    """A share as the decimal number that is written: 0.1 is a tenth, which the float is not."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{what} must be a share in [0, 1], got {value!r}")
    return Fraction(repr(float(value)))


def _means(slots: Int64Array, sizes: Float64Array) -> Float64Array:
    """The mean of each row's sizes, float64 [units]; 0 where nothing was counted."""
    bounded = np.isfinite(sizes)
    sums = slots[:, bounded] @ sizes[bounded]
    sums[slots[:, ~bounded].any(1)] = math.inf
    return np.asarray(sums / np.maximum(slots.sum(1), 1), dtype=np.float64)


def _scores(own: Float64Array, of_others: Float64Array) -> Float64Array:
    """Each unit's mean over the mean of all units, if the others have these means."""
    is_bounded = np.isfinite(of_others)
    bounded = np.where(is_bounded, of_others, 0)
    others = bounded.sum() - bounded
    others[(~is_bounded).sum() - ~is_bounded > 0] = math.inf
    with np.errstate(invalid="ignore"):
        shares = np.where(own > 0, own / (own + others), 0)
    return np.where(np.isinf(own), 1, shares) * len(own)
