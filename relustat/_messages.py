"""Words, lists and tables for messages."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from ._printable import columns_of, printable, printed

# The number of names of a longer list that a message shows.
_SHOWN = 5


def many(count: int, noun: str) -> str:
    plural = "es" if noun.endswith("ch") else "s"
    return f"{count} {noun}" + ("" if count == 1 else plural)


def named(site: str) -> str:
    """A call site's name for a message; "" is a single ReLU."""
    return printable(site) or "the only ReLU"


def some(names: Iterable[str], separator: str = ", ") -> str:
    """A list of names for a message, shortened if it is long."""
    listed = list(map(printable, names))
    if len(listed) <= _SHOWN:
        return separator.join(listed)
    return separator.join([*listed[:_SHOWN], f"... ({len(listed)} in all)"])


def align(cells: list[list[str]]) -> list[str]:
    """The lines of a table. The first and the last column are aligned left, others right."""
    shown = [[printed(cell) for cell in row] for row in cells]
    widths = [max(map(columns_of, column)) for column in zip(*shown, strict=True)]
    last = len(widths) - 1
    return ["  ".join(_padded(row, widths, (0, last))).rstrip() for row in shown]


def _padded(row: Sequence[str], widths: Sequence[int], left: Container[int]) -> Iterator[str]:
    for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
        space = " " * (width - columns_of(cell))
        yield cell + space if index in left else space + cell
