"""Pictures of histograms, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from relustat._figures import as_plain_text, new_figure
from relustat._messages import some
from relustat._optional import import_optional
from relustat._patterns import NameChoice, described
from relustat._printable import printable
from relustat.stats.activation import RELU
from relustat.stats.bins import LinearBins
from relustat.stats.histogram import Histogram
from relustat.stats.relu_stats import ReLUStats

from .sparkline import central_range
from .unit_shares import slices

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PASSED, _ZEROED, _OTHER = "#1f77b4", "#c7c7c7", "#d55e00"
_SLICES = 100


def figure_of(
    stats: Mapping[str, ReLUStats],
    other: Mapping[str, ReLUStats] | None,
    names: tuple[str, str],
    choice: NameChoice,
    axes: Axes | None,
) -> Figure:
    """A figure of the chosen call sites; what :meth:`relustat.Report.plot` returns.

    Raises:
        ValueError: if nothing is chosen that was asked for, or several call sites are for ``axes``.
    """
    sites = dict.fromkeys([*stats, *(other or {})])
    chosen = [name for name in sites if choice.takes(name)]
    there = some(sites or ["none"])
    if choice.only is not None and not chosen:
        given = ", ".join(map(described, choice.only))
        raise ValueError(f"plot: only must fit a call site, got {given}; there are {there}")
    mine = {name: stats.get(name) for name in chosen}
    if axes is None:
        return histogram_grid(mine, other=other, names=names)
    if len(chosen) != 1:
        raise ValueError(
            f"plot: ax takes one call site, got {len(chosen)}; choose one by only=, of {there}"
        )
    if other is not None:
        _add_legend(axes, names)
    return _draw_histogram(axes, chosen[0], mine[chosen[0]], other, names)


def histogram_grid(
    stats: Mapping[str, ReLUStats | None],
    columns: int = 4,
    *,
    other: Mapping[str, ReLUStats] | None = None,
    names: tuple[str, str] = ("this", "other"),
) -> Figure:
    """A panel for each call site with the histogram of its inputs, normalised to unit area.

    Inputs up to the knee are grey; a ReLU sets them to zero. The x-axis shows the central 99.8 % of
    the inputs. Counts in bins of unequal width, such as logarithmic ones, are interpolated to 100
    equal slices. The share of zeros in the title is exact.

    Args:
        stats: statistics by call-site name; None where only ``other`` has some.
        columns: number of panels in a row.
        other: statistics whose histograms are drawn as outlines over these.
        names: what the legend calls the two.

    Raises:
        ImportError: if matplotlib is missing.
    """
    columns = max(1, min(columns, len(stats)))
    rows = max(1, math.ceil(len(stats) / columns))
    figure = new_figure(figsize=(3.1 * columns, 2.2 * rows), layout="constrained")
    for index, (name, site) in enumerate(stats.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        _draw_histogram(axes, name, site, other, names)
    if other is not None:
        keys = _keys(names)
        as_plain_text(figure.legend(handles=keys, loc="outside upper right", ncols=2, fontsize=8))
    shown = [each for each in (*stats.values(), *(other or {}).values()) if each is not None]
    is_relu = all(each.activation == RELU for each in shown)
    what = "input of the ReLU" if is_relu else "input of the activation"
    grey = "set to zero" if is_relu else "up to the knee"
    figure.supxlabel(f"{what}, the middle 99.8 %; grey: {grey}", fontsize=8)
    return figure


def _draw_histogram(
    axes: Axes,
    name: str,
    stats: ReLUStats | None,
    other: Mapping[str, ReLUStats] | None,
    names: tuple[str, str],
) -> Figure:
    """Draws one panel of :func:`histogram_grid`; returns its figure."""
    theirs = None if other is None else other.get(name)
    shown = [each for each in (stats, theirs) if each is not None]
    shares = [f"{100 * each.inactive_fraction:.1f}" for each in shown]
    knee, adjective = shown[0].activation.knee, shown[0].activation.adjective
    where = "" if other is None or len(shares) == 2 else f", only in {names[stats is None]}"
    title = f"{name}: {' and '.join(shares)} % {adjective}{where}"
    axes.set_title(printable(title), fontsize=9, parse_math=False)
    axes.tick_params(labelsize=7)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    drawn = [_density(each) if each is not None else None for each in (stats, theirs)]
    ranges = [edges[[0, -1]] for edges, _ in filter(None, drawn)]
    if not ranges:
        kept = [each for each in (stats, theirs) if each is not None and each.bins is not None]
        in_bins = any(each.histogram.sum(flow=False) for each in kept)
        why = "all inputs in one bin" if in_bins else "no input within the bins"
        text = why if kept else "no histogram kept"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize=8)
        axes.set_xticks([])
    else:
        if drawn[0] is not None:
            edges, density = drawn[0]
            axes.stairs(density, edges, fill=True, color=_PASSED)
            below = edges <= (-math.inf if knee is None else knee)
            if below.sum() > 1:
                axes.stairs(density[: below.sum() - 1], edges[below], fill=True, color=_ZEROED)
        if drawn[1] is not None:
            axes.stairs(drawn[1][1], drawn[1][0], color=_OTHER)
        low, high = (float(each) for each in (np.min(ranges), np.max(ranges)))
        axes.set_xlim(low, high)
        axes.set_ylim(0, None)
        # Labels with four digits must not touch, nor widen a column at its ends.
        axes.locator_params(axis="x", nbins=5, prune="both")
        if low < 0 < high:
            axes.axvline(0, color="black", linewidth=0.6)
    figure: Figure = axes.get_figure(root=True)  # type: ignore[assignment]
    return figure


def _keys(names: tuple[str, str]) -> list[Artist]:
    """What a legend shows of the two."""
    patches = import_optional("matplotlib.patches", "plot", "plotting")
    filled, line = {"facecolor": _PASSED}, {"facecolor": "none", "edgecolor": _OTHER}
    return [
        patches.Patch(label=printable(name), **look)
        for name, look in zip(names, (filled, line), strict=True)
    ]


def _add_legend(axes: Axes, names: tuple[str, str]) -> None:
    """Says in the panel which is which."""
    as_plain_text(axes.legend(handles=_keys(names), fontsize=7, frameon=False))


def _density(stats: ReLUStats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Edges and densities in the central range; None if there is nothing to draw."""
    if stats.bins is None:
        return None
    counted = drawn_slices(stats.histogram)
    if counted is None:
        return None
    edges, counts = counted
    return edges, counts / np.diff(edges) / stats.histogram.sum()


def drawn_slices(
    histogram: Histogram,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]] | None:
    """Edges and counts in the central 99.8 % of the inputs; None if all are in one bin."""
    within = central_range(histogram, 0.001)
    if within is None:
        return None
    low, high = within
    if isinstance(histogram.bins, LinearBins):
        first = int(np.searchsorted(histogram.edges, low, side="right")) - 1
        last = int(np.searchsorted(histogram.edges, high))
        return histogram.edges[first : last + 1], histogram.counts()[first:last]
    edges = slices(low, high, _SLICES)
    return edges, histogram.counts_between(edges)
