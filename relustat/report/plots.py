"""Pictures of statistics, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from relustat._optional import import_optional
from relustat.stats.bins import LinearBins
from relustat.stats.histogram import Histogram
from relustat.stats.relu_stats import ReLUStats

from .sparkline import central_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PASSED, _ZEROED = "#1f77b4", "#c7c7c7"
_SLICES = 100


def histogram_grid(stats: Mapping[str, ReLUStats], columns: int = 4) -> Figure:
    """A panel for each call site with the histogram of its inputs, normalised to unit area.

    Inputs that the ReLU sets to zero are grey. The x-axis shows the central 99.8 % of the inputs.
    Counts in bins of unequal width, such as logarithmic ones, are interpolated to 100 equal
    slices. The share of zeros in the title is exact.

    Args:
        stats: statistics by call-site name.
        columns: number of panels in a row.

    Raises:
        ImportError: if matplotlib is missing.
    """
    figure_module = import_optional("matplotlib.figure", "plot", "plotting")
    columns = max(1, min(columns, len(stats)))
    rows = max(1, math.ceil(len(stats) / columns))
    # Not pyplot's figure: it needs no screen, and nobody has to close it.
    figure: Figure = figure_module.Figure(figsize=(3.1 * columns, 2.2 * rows), layout="constrained")
    for index, (name, site) in enumerate(stats.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(f"{name}: {100 * site.zero_fraction:.1f} % zero", fontsize=9)
        _draw(axes, site.histogram if site.bins is not None else None)
    figure.supxlabel("input of the ReLU; grey: set to zero", fontsize=8)
    return figure


def _draw(axes: Axes, histogram: Histogram | None) -> None:
    axes.tick_params(labelsize=7)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    within = central_range(histogram, 0.001) if histogram is not None else None
    if histogram is None or within is None:
        text = "no histogram kept" if histogram is None else "all inputs in one bin"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize=8)
        axes.set_xticks([])
        return
    low, high = within
    if isinstance(histogram.bins, LinearBins):
        first = int(np.searchsorted(histogram.edges, low, side="right")) - 1
        last = int(np.searchsorted(histogram.edges, high))
        edges = histogram.edges[first : last + 1]
        counts = histogram.counts()[first:last]
    else:
        edges = _slices(low, high)
        counts = histogram.counts_between(edges)
    density = counts / np.diff(edges) / histogram.sum()
    axes.stairs(density, edges, fill=True, color=_PASSED)
    below = edges <= 0
    if below.sum() > 1:
        axes.stairs(density[: below.sum() - 1], edges[below], fill=True, color=_ZEROED)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, None)
    # Labels with four digits must not touch.
    axes.locator_params(axis="x", nbins=5)
    if edges[0] < 0 < edges[-1]:
        axes.axvline(0, color="black", linewidth=0.6)


def _slices(low: float, high: float) -> npt.NDArray[np.float64]:
    """About 100 equal slices. 0 is an edge: no slice holds both zeroed and passed inputs."""
    step = (high - low) / _SLICES
    return np.float64(step) * np.arange(math.floor(low / step), math.ceil(high / step) + 1)
