"""The units of a call site as text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relustat._messages import align
from relustat.stats.relu_stats import ReLUStats

from .unit_shares import zero_shares

_UPPER = ("dead", "calls", "")
_LOWER = ["unit", "fraction", "calls", "since fired", "state"]


def unit_lines(stats: ReLUStats) -> list[str]:
    """A line for each unit, with the largest share of zeros first; of each width apart."""
    lines = []
    for width in stats.widths:
        part = stats.of_width(width)
        if len(stats.widths) > 1:
            lines.append(f"inputs with {width} units, in {part.calls:,} calls")
        upper = ["", part.activation.adjective, *_UPPER]
        lines += align([upper, _LOWER, *_cells(part)])
    return lines


def _cells(part: ReLUStats) -> Iterator[list[str]]:
    shares = zero_shares(part)
    dead, always_on, dead_now, saturated = (
        set(units.tolist())
        for units in (
            part.dead_units,
            part.always_on_units,
            part.dead_for(),
            part.saturated_units,
        )
    )
    for unit in np.argsort(-shares, kind="stable").tolist():
        states = (
            ("dead", unit in dead),
            ("dead now", unit in dead_now),
            ("saturated", unit in saturated),
            ("always on", unit in always_on),
        )
        yield [
            str(unit),
            f"{shares[unit]:.1%}" if not 0.9995 <= shares[unit] < 1 else ">99.9%",
            f"{part.unit_dead_calls[unit]:,}",
            f"{part.calls_since_fired[unit]:,}",
            next((state for state, holds in states if holds), ""),
        ]
