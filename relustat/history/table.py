"""A history as text and as a data frame."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from relustat._messages import align
from relustat._optional import import_optional
from relustat.report.columns import COLUMNS
from relustat.report.row import Row
from relustat.report.sparkline import share_line

from .series import CountsByEpoch

if TYPE_CHECKING:
    import pandas

_HEADINGS = ("at end", "dead", "deaths", "revivals")

_OF_UNITS = ("dead", "deaths", "revivals")

# The number of epochs whose share of zeros a line shows.
_POINTS = 12


def text(history: CountsByEpoch) -> str:
    """A line for each call site, as :class:`relustat.history.History` describes it."""
    if not history.call_sites:
        return "! no ReLU was seen"
    epochs = np.array([span.first for span in history.spans])
    points = np.linspace(epochs[0], epochs[-1], min(_POINTS, len(epochs)))
    shown = np.searchsorted(epochs, points, side="right") - 1
    zeros = np.array([history.trend(site, "inactive_fraction")[1] for site in history.call_sites])
    low, high = np.nanmin(zeros), np.nanmax(zeros)
    heights = (zeros[:, shown] - low) / max(high - low, sys.float_info.min)
    all_give_zero = all(history.total(site).activation.gives_zero for site in history.call_sites)
    what = "zero" if all_give_zero else "inactive"
    picture = f"{what} in epochs {epochs[0]} to {epochs[-1]}: ▁ {low:.0%}, █ {high:.0%}"
    rows = [
        [*_cells(history, site), share_line(heights[index])]
        for index, site in enumerate(history.call_sites)
    ]
    headings = ["call site", f"{what} at start", *_HEADINGS, picture]
    return "\n".join(align([headings, *rows]))


def _cells(history: CountsByEpoch, site: str) -> list[str]:
    _, zeros = history.trend(site, "inactive_fraction")
    called = zeros[~np.isnan(zeros)]
    widths = history.total(site).widths
    dead = sum(len(history.dead_units(site, width)) for width in widths)
    changes = (np.nansum(history.trend(site, name)[1]) for name in ("deaths", "revivals"))
    return [
        site,
        f"{called[0]:.1%}",
        f"{called[-1]:.1%}",
        f"{dead}/{sum(widths)}",
        *(f"{count:.0f}" for count in changes),
    ]


def frame(history: CountsByEpoch) -> pandas.DataFrame:
    """What :meth:`relustat.history.History.to_pandas` returns."""
    frame_module = import_optional("pandas", "pandas", "to_pandas")
    rows = []
    for site in history.call_sites:
        numbers = {name: history.trend(site, name)[1] for name in _OF_UNITS}
        for index, span in enumerate(history.spans):
            if site in span.stats:
                row = Row.of(site, span.stats[site]).numbers()
                of_units = {name: values[index] for name, values in numbers.items()}
                rows.append({"first": span.first, "last": span.last, **row, **of_units})
    made: pandas.DataFrame = frame_module.DataFrame(
        rows, columns=["first", "last", *COLUMNS, "deaths", "revivals"]
    )
    return made.astype({"deaths": int, "revivals": int}).set_index(["call_site", "first"])
