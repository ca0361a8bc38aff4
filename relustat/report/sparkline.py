"""Histograms and shares as a line of text."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from relustat.stats.histogram import Histogram

_BLOCKS = " ▁▂▃▄▅▆▇█"


def central_range(histogram: Histogram, tail: float) -> tuple[float, float] | None:
    """The quantiles ``tail`` and ``1 - tail``, within the bins; None if they are equal."""
    if not histogram.sum(flow=False):
        return None
    edges = histogram.edges
    low = max(histogram.quantile(tail), float(edges[0]))
    high = min(histogram.quantile(1 - tail), float(edges[-1]))
    return (low, high) if low < high else None


def sparkline(histogram: Histogram, width: int = 12) -> str:
    """``width`` blocks whose heights are the counts of equal slices of the central 99 %.

    A slice that is not empty has at least the lowest block.
    """
    within = central_range(histogram, 0.005)
    if within is None:
        return "█" if histogram.sum(flow=False) else ""
    counts = histogram.counts_between(np.linspace(*within, width + 1))
    top = int(counts.max())
    if not top:
        return ""
    levels = len(_BLOCKS) - 1
    return "".join(_BLOCKS[math.ceil(int(count) * levels / top)] for count in counts)


def share_line(shares: Iterable[float]) -> str:
    """A block for each share in [0, 1], at least the lowest one; a space for NaN."""
    levels = len(_BLOCKS) - 1
    return "".join(
        " " if math.isnan(share) else _BLOCKS[max(1, math.ceil(share * levels))] for share in shares
    )
