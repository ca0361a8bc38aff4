"""The lines of the table at the beginning of a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relustat.report.columns import PRINTED, without_empty
from relustat.report.compared_row import COMPARED_COLUMNS, ComparedRow
from relustat.report.findings import Finding
from relustat.report.row import Row
from relustat.report.sparkline import central_range
from relustat.report.unit_shares import slices
from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats

# A phone shows the other columns; what is hidden is shown when a call site is opened.
NARROW = frozenset({"call_site", "histogram", "zero_fraction", "dead", "dead_now"})
COMPARED_NARROW = frozenset(
    {"call_site", "zero_fraction", "other_zero_fraction", "died", "revived"}
)

# Of the small picture, which is drawn in this box.
_SLICES, _WIDTH, _HEIGHT = 30, 90, 20

_SHARES = frozenset({"zero_fraction", "other_zero_fraction"})
_TEXTS = frozenset({"call_site", "after"})
_PICTURES = ("histogram", "other_histogram")

Line = dict[str, Any]


def report_lines(rows: Sequence[Row], findings: Sequence[Finding]) -> tuple[list[str], list[Line]]:
    """The columns, and a line of cells for each row.

    The histogram comes second, because people look at it first.
    """
    texts = [row.texts() for row in rows]
    order = _histogram_first(PRINTED)
    names, _ = without_empty(order, [[each[name] for name in order] for each in texts])
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        kinds.setdefault(finding.call_site, []).append(finding.kind)
    return names, [
        {
            "name": row.call_site,
            "kinds": kinds.get(row.call_site, []),
            "warnings": _warnings(kinds.get(row.call_site, [])),
            "cells": [
                _cell(name, text[name], row.numbers(), {"histogram": row.stats}) for name in names
            ],
        }
        for row, text in zip(rows, texts, strict=True)
    ]


def compared_lines(rows: Sequence[ComparedRow]) -> tuple[list[str], list[Line]]:
    """The columns, and a line of cells for each row of two reports."""
    names = _histogram_first(tuple(COMPARED_COLUMNS))
    return names, [
        {
            "name": row.call_site,
            "kinds": [
                kind for kind, count in (("died", row.died), ("revived", row.revived)) if count
            ],
            "warnings": "",
            "cells": [
                _cell(
                    name,
                    row.texts()[name],
                    row.numbers(),
                    dict(zip(_PICTURES, (row.row.stats, row.other_row.stats), strict=True)),
                )
                for name in names
            ],
        }
        for row in rows
    ]


def _warnings(kinds: Sequence[str]) -> str:
    return f"warnings: {', '.join(kinds)}" if kinds else ""


def _histogram_first(names: Sequence[str]) -> list[str]:
    pictures = [name for name in _PICTURES if name in names]
    return [names[0], *pictures, *(name for name in names[1:] if name not in pictures)]


def _cell(
    name: str, text: str, numbers: Mapping[str, Any], pictured: Mapping[str, ReLUStats]
) -> dict[str, Any]:
    """A cell: what it shows, what it is sorted by, and its share of a bar behind it."""
    value = numbers[name]
    if name in pictured:
        low, median, high = (_bound(pictured[name], q) for q in (0.005, 0.5, 0.995))
        picture = spark(pictured[name])
        label = f"inputs from {low} to {high}, median {median}" if picture else "no histogram"
        return {"name": name, "picture": picture, "label": label, "value": "", "text": ""}
    is_number = name not in _TEXTS
    return {
        "name": name,
        "text": text,
        "value": "" if is_number and math.isnan(value) else value,
        "is_number": is_number,
        "share": f"{value:.4f}" if name in _SHARES and not math.isnan(value) else "",
    }


def _bound(stats: ReLUStats, q: float) -> str:
    return "" if stats.bins is None else f"{stats.quantile(q):.2g}"


def spark(stats: ReLUStats) -> dict[str, str] | None:
    """The histogram as two paths of SVG: of the inputs set to zero, and of those passed on."""
    if stats.bins is None:
        return None
    within = central_range(stats.histogram, 0.005)
    if within is None:
        return None
    edges = slices(*within, _SLICES)
    counts = stats.histogram.counts_between(edges)
    # Whole numbers keep a page of thousands of call sites small.
    tops = _HEIGHT - np.ceil(_HEIGHT * counts / max(int(counts.max()), 1)).astype(int)
    at = np.rint((edges - edges[0]) * (_WIDTH / (edges[-1] - edges[0]))).astype(int)
    zeroed = int((edges[1:] <= 0).sum())
    return {
        "zeroed": _path(at[: zeroed + 1], tops[:zeroed]),
        "passed": _path(at[zeroed:], tops[zeroed:]),
        "box": f"0 0 {_WIDTH} {_HEIGHT}",
    }


def _path(at: Int64Array, tops: Int64Array) -> str:
    if not len(tops):
        return ""
    steps = "".join(f"V{top}H{right}" for top, right in zip(tops, at[1:], strict=True))
    return f"M{at[0]} {_HEIGHT}{steps}V{_HEIGHT}Z"
