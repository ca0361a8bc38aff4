"""Small histograms for the lines of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relustat.report.sparkline import central_range
from relustat.report.unit_shares import slices
from relustat.stats.histogram import Histogram, Int64Array
from relustat.stats.relu_stats import ReLUStats

# What is drawn, and the box that it is drawn in.
_SLICES, _WIDTH, _HEIGHT = 30, 90, 20
_TAIL = 0.005


def sparks(several: Sequence[ReLUStats]) -> list[dict[str, str] | None]:
    """The histograms of one call site on one scale, which is that of their central 99 %.

    Each has two paths of SVG: of the inputs below the knee, which a ReLU sets to zero, and of the
    others. It is None where nothing can be drawn.
    """
    histograms = [each.histogram if each.bins is not None else None for each in several]
    ranges = [central_range(each, _TAIL) if each is not None else None for each in histograms]
    known = [within for within in ranges if within is not None]
    if not known:
        return [None] * len(several)
    within = min(low for low, _ in known), max(high for _, high in known)
    return [
        None
        if histogram is None or own is None
        else _spark(histogram, within, each.activation.knee)
        for each, histogram, own in zip(several, histograms, ranges, strict=True)
    ]


def _spark(histogram: Histogram, within: tuple[float, float], knee: float | None) -> dict[str, str]:
    edges = slices(*within, _SLICES)
    counts = histogram.counts_between(edges)
    # Whole numbers keep a page of thousands of call sites small.
    tops = _HEIGHT - np.ceil(_HEIGHT * counts / max(int(counts.max()), 1)).astype(int)
    at = np.rint((edges - edges[0]) * (_WIDTH / (edges[-1] - edges[0]))).astype(int)
    zeroed = 0 if knee is None else int((edges[1:] <= knee).sum())
    low, median, high = (f"{histogram.quantile(q):.2g}" for q in (_TAIL, 0.5, 1 - _TAIL))
    return {
        "zeroed": _path(at[: zeroed + 1], tops[:zeroed]),
        "passed": _path(at[zeroed:], tops[zeroed:]),
        "box": f"0 0 {_WIDTH} {_HEIGHT}",
        "label": f"inputs from {low} to {high}, median {median}",
    }


def _path(at: Int64Array, tops: Int64Array) -> str:
    if not len(tops):
        return ""
    steps = "".join(f"V{top}H{right}" for top, right in zip(tops, at[1:], strict=True))
    return f"M{at[0]} {_HEIGHT}{steps}V{_HEIGHT}Z"
