"""What a report is at a moment: a row for each call site."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
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


def rows_of(report: Report, number: int) -> list[dict[str, Any]]:
    """The rows of a record, with None for numbers that are not finite.

    Args:
        report: the counts.
        number: that of the record.
    """
    moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    of_record = {"record": number, "call_sites": len(report), "time": moment}
    return [{**of_record, **finite(row.numbers())} for row in report.rows]


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
            fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        else:
            fits = type(value).__name__ == kind
        if not fits:
            raise ValueError(f"{name} must be of type {kind}, got {value!r}")
        columns[name] = value
    return Row(**columns, stats=ReLUStats(None, {}))
