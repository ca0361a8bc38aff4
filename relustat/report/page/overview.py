"""The lines of the table at the beginning of a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from relustat.report.columns import PRINTED, without_empty
from relustat.report.compared_row import COMPARED_COLUMNS, ComparedRow
from relustat.report.findings import Finding
from relustat.report.row import Row

from .spark import sparks

# A phone shows the other columns; what is hidden is shown when a call site is opened.
NARROW = frozenset({"call_site", "histogram", "zero_fraction", "inactive", "dead", "dead_now"})
COMPARED_NARROW = frozenset(
    {"call_site", "zero_fraction", "other_zero_fraction", "died", "revived"}
)

_SHARES = frozenset({"zero_fraction", "inactive", "saturated", "other_zero_fraction"})
_TEXTS = frozenset({"call_site", "activation", "after"})
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
            "cells": _cells(names, row.numbers(), text, sparks([row.stats])),
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
            "cells": _cells(
                names, row.numbers(), row.texts(), sparks([row.row.stats, row.other_row.stats])
            ),
        }
        for row in rows
    ]


def _warnings(kinds: Sequence[str]) -> str:
    return f"warnings: {', '.join(kinds)}" if kinds else ""


def _histogram_first(names: Sequence[str]) -> list[str]:
    pictures = [name for name in _PICTURES if name in names]
    return [names[0], *pictures, *(name for name in names[1:] if name not in pictures)]


def _cells(
    names: Sequence[str],
    numbers: Mapping[str, Any],
    texts: Mapping[str, str],
    pictures: Sequence[dict[str, str] | None],
) -> list[dict[str, Any]]:
    """Cells: what they show, what they are sorted by, and their shares of a bar behind them."""
    drawn = dict(zip(_PICTURES, pictures, strict=False))
    return [
        {"name": name, "picture": drawn[name], "is_picture": True}
        if name in drawn
        else {
            "name": name,
            "is_picture": False,
            "text": texts[name],
            "value": _sorted_by(numbers[name]),
            "is_number": name not in _TEXTS,
            "share": _sorted_by(numbers[name]) if name in _SHARES else "",
        }
        for name in names
    ]


def _sorted_by(value: Any) -> str:
    """A value as JavaScript reads it; empty if it is not known."""
    if isinstance(value, float) and not math.isfinite(value):
        return "" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return str(value)
