"""Pictures of the units of a call site, with matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from relustat._figures import new_figure
from relustat._messages import many
from relustat._printable import printable
from relustat.stats.relu_stats import ReLUStats

from .unit_shares import CoarseHistograms, coarse_histograms, frequencies, zero_shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_COLORS = "cividis"
_DEAD, _FIRES = "#d55e00", "#0072b2"


def unit_figure(name: str, stats: ReLUStats) -> Figure:
    """A row of panels for each number of units that the inputs had.

    The first panel has a cell for each unit, coloured by its share of zeros. A unit that is dead
    now has a mark. The second panel shows how many units fire how often: the histogram of log10
    of the share of a unit's outputs that are not 0. Beside it are the units that never fired. The
    third panel has a line of colours for each unit, where histograms of units were kept.

    Args:
        name: the call site, for the title.
        stats: its statistics.

    Raises:
        ImportError: if matplotlib is missing.
    """
    parts = [stats.of_width(width) for width in stats.widths]
    coarse = [coarse_histograms(part) for part in parts]
    columns = 3 if any(each is not None for each in coarse) else 2
    rows = max(1, len(parts))
    figure = new_figure(figsize=(3.6 * columns, 2.6 * rows + 0.4), layout="constrained")
    title = f"{printable(name)}: {many(sum(stats.widths), 'unit')}"
    figure.suptitle(title, fontsize=10, parse_math=False)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.ravel()[len(parts) * columns :]:
        axes.remove()
    for line, part, histograms in zip(panels, parts, coarse, strict=False):
        _draw_strip(line[0], part)
        _draw_frequencies(line[1], part)
        if columns == 3:
            _draw_histograms(line[2], histograms)
    return figure


def _draw_strip(axes: Axes, part: ReLUStats) -> None:
    shares = zero_shares(part)
    units = len(shares)
    # About twice as wide as high, in whole eights, so that people can count.
    width = 8 * math.ceil(math.sqrt(2 * units) / 8)
    cells = np.full(width * math.ceil(units / width), math.nan)
    cells[:units] = shares
    image = axes.imshow(
        cells.reshape(-1, width), cmap=_COLORS, vmin=0, vmax=1, interpolation="none"
    )
    dead = part.dead_now_units
    axes.plot(dead % width, dead // width, "x", color=_DEAD, markersize=4, linestyle="")
    axes.set_title(f"dead now (x): {len(dead)} of {units}", fontsize=8)
    axes.set_xlabel(f"unit, {width} in a line", fontsize=8)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", integer=True, nbins=6)
    _add_bar(axes, image, f"share of {part.activation.noun}", location="bottom")


def _draw_histograms(axes: Axes, histograms: CoarseHistograms | None) -> None:
    if histograms is None:
        axes.remove()
        return
    edges, shares = histograms
    image = axes.pcolormesh(edges, np.arange(len(shares) + 1), shares, cmap=_COLORS)
    axes.invert_yaxis()
    axes.set_xlabel("input", fontsize=8)
    axes.set_ylabel("unit", fontsize=8)
    axes.tick_params(labelsize=7)
    _add_bar(axes, image, "share of its inputs")


def _add_bar(axes: Axes, image: ScalarMappable, label: str, location: str = "right") -> None:
    bar = axes.figure.colorbar(image, ax=axes, location=location)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _draw_frequencies(axes: Axes, part: ReLUStats) -> None:
    edges, counts, never = frequencies(part)
    axes.stairs(counts, edges, fill=True, color=_FIRES)
    left = edges[0] - 0.5
    axes.bar(left, never, width=0.25, color=_DEAD)
    ticks = list(range(math.ceil(edges[0]), 1))
    axes.set_xticks([left, *ticks], ["never", *(f"$10^{{{tick}}}$" for tick in ticks)])
    axes.set_xlabel("share of outputs that are not 0", fontsize=8)
    axes.set_ylabel("units", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="y", integer=True, nbins=5)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
