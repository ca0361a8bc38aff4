"""What a report is at a moment: a row for each call site."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from relustat.report.columns import COLUMNS
from relustat.report.report import Report
from relustat.report.row import Row
from relustat.report.saved import finite
from relustat.stats.relu_stats import ReLUStats

_TYPES_OF_ROW = {field.name: str(field.type) for field in dataclasses.fields(Row)}

TYPES = {"record": "int", "call_sites": "int", "time": "str"} | {
    name: _TYPES_OF_ROW[name] for name in COLUMNS
}
"""What a row has, by the names of the types: "int", "float" or "str"."""


def rows_of(report: Report) -> list[dict[str, Any]]:
    """The numbers of a report: None for those that are not known, and edges for infinite ones."""
    return [finite(row.numbers_within_bins()) for row in report.rows]


def record_of(rows: Sequence[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """The rows with the number of their record, their own number, and the time."""
    moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    of_record = {"record": number, "call_sites": len(rows), "time": moment}
    return [{**of_record, **row} for row in rows]


def as_row(found: Mapping[str, Any]) -> Row:
    """A row of a report, without its counts.

    Raises:
        ValueError: if a column is missing, or of another type.
    """
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        kind, value = TYPES[name], found.get(name)
        if kind == "float":
            value = math.nan if value is None else value
            # JSON may have an integer that no float holds.
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            fits = is_number and (abs(value) < 2**1023 or value != value)
        else:
            fits = type(value).__name__ == kind
        if not fits:
            raise ValueError(f"{name} must be of type {kind}, got {value!r}")
        columns[name] = value
    return Row(**columns, stats=ReLUStats(None, {}))
