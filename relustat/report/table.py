"""A report as text, plain and coloured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relustat._messages import align
from relustat._optional import import_optional
from relustat._printable import columns_of, printed

from .columns import PRINTED, heading_lines, without_empty
from .row import Row


def lines(rows: Sequence[Row]) -> list[str]:
    """The lines of the printed table; none without rows."""
    if not rows:
        return []
    names, cells = _cells(rows)
    return align([*heading_lines(names), *cells])


def _cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    texts = [[printed(row.texts()[name]) for name in PRINTED] for row in rows]
    return without_empty(PRINTED, texts)


def rich_group(rows: Sequence[Row], warnings: Sequence[str], notes: Sequence[str]) -> Any:
    """The table, warnings and notes in colours.

    Raises:
        ImportError: if rich is missing.
    """
    table_module, text_module, console_module = (
        import_optional(f"rich.{name}", "rich", "a coloured table")
        for name in ("table", "text", "console")
    )
    shown = [text_module.Text(printed(f"! {warning}"), "yellow") for warning in warnings]
    shown += [text_module.Text(printed(f"  {note}")) for note in notes]
    if not rows:
        return console_module.Group(*shown)
    names, cells = _cells(rows)
    table = table_module.Table(box=None, header_style="bold", pad_edge=False)
    for index, (upper, lower, *column) in enumerate(
        zip(*heading_lines(names), *cells, strict=True)
    ):
        is_last = index == len(names) - 1
        # A narrow terminal cuts the picture, but never a name or a number.
        table.add_column(
            f"{upper}\n{lower}",
            justify="left" if index == 0 or is_last else "right",
            no_wrap=True,
            min_width=None if is_last else max(map(columns_of, (upper, lower, *column))),
        )
    for row, line in zip(rows, cells, strict=True):
        style = "red" if row.nans else "yellow" if row.dead_now else ""
        table.add_row(*(text_module.Text(cell) for cell in line), style=style)
    return console_module.Group(table, *shown)
