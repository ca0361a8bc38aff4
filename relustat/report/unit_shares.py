"""What pictures show of the units of one width."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats

from .sparkline import central_range

FloatArray = npt.NDArray[np.float64]

# Of log10 of the frequency.
_STEP = 0.25
# Values of a unit's histogram, in a picture of all units.
_COARSE_BINS = 24


def zero_shares(part: ReLUStats) -> FloatArray:
    """The share of zeros of each unit, or of its inactive inputs, float64 [units]."""
    return part.unit_inactive / np.maximum(part.unit_elements, 1)


class Frequencies(NamedTuple):
    """How many units fire how often.

    Attributes:
        edges: of log10 of the share of a unit's outputs that are not 0, float64 [n + 1].
        counts: units in each bin, int64 [n].
        never: units that never fired, which have no logarithm.
    """

    edges: FloatArray
    counts: Int64Array
    never: int


def frequencies(part: ReLUStats) -> Frequencies:
    """How many units fire how often: the density that is drawn of sparse autoencoders.

    Source: Bricken et al., "Towards Monosemanticity", 2023, "feature density histograms".
    """
    fired = part.unit_elements - part.unit_inactive
    some = fired > 0
    logs = np.log10(fired[some] / part.unit_elements[some])
    lowest = min(math.floor(logs.min()), -1) if len(logs) else -1
    edges = np.arange(lowest / _STEP, 1) * _STEP
    counts = np.histogram(logs, bins=edges)[0].astype(np.int64)
    return Frequencies(edges, counts, int(len(fired) - some.sum()))


class CoarseHistograms(NamedTuple):
    """The histograms of all units in few bins.

    Attributes:
        edges: float64 [n + 1].
        shares: the part of a unit's inputs in each bin, float64 [units, n].
    """

    edges: FloatArray
    shares: FloatArray


def coarse_histograms(part: ReLUStats) -> CoarseHistograms | None:
    """The histograms of all units in about 24 equal slices of the central 99.8 % of the inputs.

    None if they were not kept, or all inputs lie in one bin.
    """
    histograms = part.unit_histograms
    if histograms is None or part.bins is None:
        return None
    within = central_range(part.histogram, 0.001)
    if within is None:
        return None
    edges = slices(*within, _COARSE_BINS)
    below = np.cumsum(np.pad(histograms, [(0, 0), (1, 0)]), axis=1)
    estimated = np.stack([np.interp(edges, part.bins.edges, each) for each in below])
    return CoarseHistograms(edges, np.diff(estimated) / np.maximum(part.unit_elements, 1)[:, None])


def slices(low: float, high: float, count: int) -> FloatArray:
    """Edges of about ``count`` equal slices.

    0 is an edge, so no slice has both zeroed and passed inputs.
    """
    step = (high - low) / count
    return np.float64(step) * np.arange(math.floor(low / step), math.ceil(high / step) + 1)
