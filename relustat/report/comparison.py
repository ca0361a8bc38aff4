"""Two reports side by side."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from relustat._messages import align, some
from relustat._optional import import_optional
from relustat._printable import printable, printed_lines

from . import page
from .columns import heading_lines
from .compared_row import COMPARED_COLUMNS, ComparedRow
from .joined import crowded_places
from .shown import ShownReport

if TYPE_CHECKING:
    import pandas


class Comparison(Mapping[str, ComparedRow]):
    """What is different in a second report: what :meth:`relustat.Report.compare` returns.

    It is a mapping from the name of a call site that both have to its :class:`ComparedRow`. Those
    come first of whose units the largest share died, and of these those whose share of zeros grew
    most. ``print(comparison)`` shows a line for each.

    Attributes:
        first: the one report, with the calls of loops folded as it is printed.
        second: the other.
        names: what the two are called.
        rows: a row for each call site that both have, the worst first.
        only_first: names of call sites that only the first report has.
        only_second: names of call sites that only the second report has.
    """

    def __init__(self, first: ShownReport, second: ShownReport, names: Sequence[str]) -> None:
        self.names = checked_names("compare", names)
        # What is one row in one of them is one row in both.
        places = crowded_places(first.call_sites) | crowded_places(second.call_sites)
        self.first, self.second = first.folded(places), second.folded(places)
        mine = {row.call_site: row for row in self.first.rows}
        theirs = {row.call_site: row for row in self.second.rows}
        self.only_first = [name for name in mine if name not in theirs]
        self.only_second = [name for name in theirs if name not in mine]
        both = [ComparedRow.of(row, theirs[name]) for name, row in mine.items() if name in theirs]
        self.rows = sorted(both, key=ComparedRow.badness, reverse=True)
        self._by_name = {row.call_site: row for row in self.rows}

    def __getitem__(self, name: str) -> ComparedRow:
        if name not in self._by_name:
            raise KeyError(f"Comparison: no call site of both reports is named {name!r}")
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Comparison):
            return NotImplemented
        mine, theirs = ((each.first, each.second, each.names) for each in (self, other))
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]

    @property
    def warnings(self) -> list[str]:
        """What could not be compared."""
        first, second = self.names
        found = [] if self.rows else ["no call site is in both reports"]
        if self.only_first:
            found.append(f"only in {first}: {some(self.only_first)}")
        if self.only_second:
            found.append(f"only in {second}: {some(self.only_second)}")
        found += [f"{row.call_site}: {row.unlike}" for row in self.rows if row.unlike]
        return list(map(printable, found))

    def __str__(self) -> str:
        cells = [[row.texts()[name] for name in COMPARED_COLUMNS] for row in self.rows]
        lines = align([*heading_lines(list(COMPARED_COLUMNS)), *cells]) if cells else []
        return printed_lines([*lines, *(f"! {warning}" for warning in self.warnings)])

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.rows)} call sites; print() shows it>"

    def _repr_html_(self) -> str:
        try:
            return page.compared_overview(self)
        except ImportError:  # Jinja2 is missing
            return f"<pre>{html.escape(str(self))}</pre>"

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each call site of both, the worst first, indexed by its name.

        The columns are the attributes of :class:`ComparedRow` that are numbers.
        """
        frame_module = import_optional("pandas", "pandas", "to_pandas")
        frame: pandas.DataFrame = frame_module.DataFrame(
            [row.numbers() for row in self.rows], columns=list(COMPARED_COLUMNS)
        ).set_index("call_site")
        return frame

    def to_html(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Writes a page with both; see :meth:`relustat.Report.to_html`."""
        first, second = self.names
        page.write_compared(path, self, title or f"ReLUs of {first} and {second}")


def checked_names(caller: str, names: Sequence[str]) -> tuple[str, str]:
    """What two reports are called.

    Raises:
        ValueError: if these are not two, or do not differ.
    """
    texts = [] if isinstance(names, str) else [str(name) for name in names]
    if len(texts) != 2 or texts[0] == texts[1]:
        raise ValueError(f"{caller}: names must be two, and differ, got {names!r}")
    return texts[0], texts[1]
