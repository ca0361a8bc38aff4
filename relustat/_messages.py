"""Words, lists and tables for messages."""

from __future__ import annotations

from collections.abc import Iterable

# The number of names of a longer list that a message shows.
_SHOWN = 5


def many(count: int, noun: str) -> str:
    plural = "es" if noun.endswith("ch") else "s"
    return f"{count} {noun}" + ("" if count == 1 else plural)


def named(site: str) -> str:
    """A call site's name for a message; "" is a single ReLU."""
    return site or "the only ReLU"


def some(names: Iterable[str], separator: str = ", ") -> str:
    """A list of names for a message, shortened if it is long."""
    listed = list(names)
    if len(listed) <= _SHOWN:
        return separator.join(listed)
    return separator.join([*listed[:_SHOWN], f"... ({len(listed)} in all)"])


def align(cells: list[list[str]]) -> list[str]:
    """The lines of a table. The first and the last column are aligned left, others right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if index in (0, last) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
