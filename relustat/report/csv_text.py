"""Rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What a spreadsheet takes for the beginning of a formula, and the mark itself.
_MARKED = tuple("=+-@\t\r\n'")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    r"""A line of names and a line for each row, UTF-8.

    A spreadsheet runs none of it. A text that begins with ``=``, ``+``, ``-``, ``@``, a tab, the
    end of a line or ``'`` gets one ``'`` before it: ``text.removeprefix("'")`` gives every text
    back. All texts are in quotes. Numbers are as they are, also negative ones. Half of a surrogate
    pair, which UTF-8 does not know, is written as ``\ud800``.

    Example:
        >>> from relustat.report.csv_text import csv_text
        >>> print(csv_text(["call_site", "min"], [{"call_site": "=1+1", "min": -2.0}]).decode())
        "call_site","min"
        "'=1+1",-2.0
        <BLANKLINE>
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_MARKED) else value
