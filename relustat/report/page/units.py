"""What a page holds of the units of a call site."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from relustat.report.unit_shares import coarse_histograms, frequencies, zero_shares
from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats

from .numbers import short

# Of more units neighbours share a cell, and of more dead ones only the number is said.
_MOST_CELLS = 4096
_MOST_LISTED = 1000

# A thousandth of zeros is as exact as a colour can be.
_PARTS = 1000


def units_of(part: ReLUStats, silent_since: Mapping[int, str] | None) -> dict[str, Any]:
    """The units of one width.

    Args:
        part: their counts.
        silent_since: the epoch since which a unit is dead; None if there are no epochs. A unit that
            is not in it is dead since the last one.
    """
    (units,) = part.widths
    in_cell = max(1, math.ceil(units / _MOST_CELLS))
    dead = part.dead_now_units
    frequency = frequencies(part)
    shown = listed(dead)
    return {
        "units": units,
        "adjective": part.activation.adjective,
        "noun": part.activation.noun,
        "calls": part.calls,
        "parts": part.parts,
        "in_cell": in_cell,
        "zeros": _thousandths(part, in_cell),
        "dead": shown["units"],
        "dead_left_out": shown["left_out"],
        "silent_for": part.calls_since_fired[dead][:_MOST_LISTED].tolist(),
        "silent_since": None
        if silent_since is None
        else [silent_since.get(unit, "the last") for unit in shown["units"]],
        "marked": np.unique(dead // in_cell).tolist(),
        "always_on": len(part.always_on_units),
        "frequency": {
            "edges": frequency.edges.tolist(),
            "counts": frequency.counts.tolist(),
            "never": frequency.never,
        },
        "histograms": _unit_histograms(part, in_cell),
    }


def _thousandths(part: ReLUStats, in_cell: int) -> list[int]:
    """Shares of zeros, rounded so that only what is all zero has 1000, and no zero 0."""
    shares = _joined(zero_shares(part), in_cell)
    rounded = np.clip(np.rint(shares * _PARTS), 1, _PARTS - 1)
    rounded[shares == 0], rounded[shares == 1] = 0, _PARTS
    thousandths: list[int] = rounded.astype(int).tolist()
    return thousandths


def _unit_histograms(part: ReLUStats, in_cell: int) -> dict[str, Any] | None:
    coarse = coarse_histograms(part)
    if coarse is None:
        return None
    shares = _joined(coarse.shares, in_cell)
    top = float(shares.max()) or 1.0
    levels = np.rint(shares * (255 / top)).astype(np.uint8)
    return {
        "edges": short(coarse.edges),
        "top": top,
        "levels": base64.b64encode(levels.tobytes()).decode("ascii"),
    }


def _joined(values: npt.NDArray[np.float64], in_cell: int) -> npt.NDArray[np.float64]:
    """Means of ``in_cell`` neighbours."""
    if in_cell == 1:
        return values
    starts = np.arange(0, len(values), in_cell)
    sizes = np.diff(np.append(starts, len(values)))
    sums = np.add.reduceat(values, starts, axis=0)
    return sums / (sizes if values.ndim == 1 else sizes[:, None])


def listed(units: Int64Array) -> dict[str, Any]:
    """The first of these units, and the number of the others."""
    return {
        "units": units[:_MOST_LISTED].tolist(),
        "left_out": max(0, len(units) - _MOST_LISTED),
    }
