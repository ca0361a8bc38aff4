"""Pictures of a history, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from relustat._figures import new_figure
from relustat._printable import printable
from relustat.stats.histogram import Int64Array

from .series import CountsByEpoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_SHARE, _DIED, _REVIVED = "#1f77b4", "#d62728", "#2ca02c"


def history_grid(history: CountsByEpoch, columns: int = 4) -> Figure:
    """A panel for each call site: the shares of zeros and of dead units by epoch.

    Marks above show the epochs in which any unit died or was revived.

    Args:
        history: what was counted.
        columns: number of panels in a row.

    Raises:
        ImportError: if matplotlib is missing.
    """
    sites = history.call_sites
    columns = max(1, min(columns, len(sites)))
    rows = max(1, math.ceil(len(sites) / columns))
    figure = new_figure(figsize=(3.1 * columns, 1.5 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for index, axes in enumerate(panels):
        if index >= len(sites):
            axes.remove()
            continue
        _draw_history(axes, history, sites[index])
        # Also above a gap in the last row.
        axes.tick_params(labelbottom=index + columns >= len(sites))
    figure.supxlabel("epoch", fontsize=8)
    if sites:
        handles, labels = panels[0].get_legend_handles_labels()
        ncols = 4 if columns > 1 else 2
        figure.legend(
            handles, labels, loc="outside upper center", ncols=ncols, fontsize=8, frameon=False
        )
    return figure


def _draw_history(axes: Axes, history: CountsByEpoch, site: str) -> None:
    widths = history.total(site).widths
    units = sum(widths)
    now = sum(len(history.dead_units(site, width)) for width in widths)
    axes.set_title(f"{printable(site)}: {now}/{units} dead", fontsize=8, parse_math=False)
    epochs, zeros = history.trend(site, "inactive_fraction")
    dead = history.trend(site, "dead")[1] / history.trend(site, "units")[1]
    gives_zero = history.total(site).activation.gives_zero
    what = "zeros, of all outputs" if gives_zero else "inactive, of all inputs"
    shares = {what: zeros, "dead units, of all units": dead}
    draw_shares(axes, epochs, shares, top=125)
    for name, marker, height, color in [("deaths", 7, 119, _DIED), ("revivals", 6, 109, _REVIVED)]:
        at = epochs[history.trend(site, name)[1] > 0]
        heights = np.full(len(at), height)
        axes.plot(at, heights, color=color, label=name, marker=marker, markersize=4, linestyle="")


def draw_shares(
    axes: Axes,
    epochs: Int64Array,
    shares: Mapping[str, npt.NDArray[np.float64]],
    top: float = 104,
) -> None:
    """Draws a share and a share of dead units by epoch.

    Args:
        axes: the axes to draw into.
        epochs: int64 [epochs].
        shares: the two shares from 0 to 1, float64 [epochs], by their labels.
        top: the upper end of the axis, in percent.
    """
    *_, dead = shares.values()
    axes.fill_between(epochs, 100 * dead, color=_DIED, alpha=0.25, linewidth=0)
    for (label, values), color in zip(shares.items(), (_SHARE, _DIED), strict=True):
        axes.plot(epochs, 100 * values, ".-", color=color, label=label, linewidth=1, markersize=2)
    axes.set_ylim(-4, top)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    axes.locator_params(axis="x", integer=True, nbins=5, min_n_ticks=1)
    axes.tick_params(labelsize=7)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
