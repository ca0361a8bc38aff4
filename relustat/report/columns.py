"""The columns of a report, by the names that they have everywhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

COLUMNS = {
    "call_site": "the position in the model's code where a ReLU is computed",
    "activation": "what is computed there, if it is not a ReLU everywhere",
    "after": "the layer that made its inputs",
    "calls": "calls counted",
    "elements": "inputs counted",
    "zero_fraction": "share of outputs that are 0",
    "inactive": "share of inactive inputs: up to the lower knee, or with an output near 0",
    "saturated": "share of saturated inputs: from the upper knee on",
    "units": "number of units: channels, or features",
    "dead": "units that gave only zeros",
    "dead_now": "units that gave only zeros in the last 100 calls, or in all if there were fewer",
    "always_on": "units that gave no zero",
    "death_rate": "mean over units of the share of calls in which the unit gave only zeros",
    "zero_block_fraction": "share of the blocks of neighbouring units that were all 0",
    "nans": "inputs that are not a number",
    "min": "lower bound of all inputs",
    "median": "median of the inputs",
    "p99": "99th percentile of the inputs",
    "max": "upper bound of all inputs",
    "histogram": "the inputs between their percentiles 0.5 and 99.5",
}
"""What each column says of a call site."""

PRINTED = tuple(name for name in COLUMNS if name not in {"calls", "units", "nans"})
"""The columns of the printed table. It writes ``dead`` and ``units`` as one: ``3/32``."""

_SAYS_NOTHING = {
    "after": {""},
    "zero_block_fraction": {""},
    "saturated": {""},
    "activation": {"ReLU"},
    "zero_fraction": {"-"},
}
"""Cells of the columns that the printed table leaves out if all rows have these."""


def heading(name: str) -> str:
    """The name of a column as people read it."""
    return name.replace("_", " ")


def heading_lines(names: Sequence[str]) -> list[list[str]]:
    """The names in two lines, of which the last words are the lower one."""
    words = [heading(name).rsplit(" ", 1) for name in names]
    return [[each[0] if len(each) > 1 else "" for each in words], [each[-1] for each in words]]


def without_empty(
    names: Sequence[str], lines: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """The names and the cells without the columns in which nothing is known."""
    cells = dict(zip(names, zip(*lines, strict=True), strict=False))
    known = [not set(cells.get(name, ())) <= _SAYS_NOTHING.get(name, set()) for name in names]
    if cells.get("inactive") == cells.get("zero_fraction"):
        known[list(names).index("inactive")] = False
    kept = [list(itertools.compress(line, known)) for line in (names, *lines)]
    return kept[0], kept[1:]
