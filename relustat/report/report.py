"""A report: the statistics of all call sites as text, data frame, picture, page and file."""

from __future__ import annotations

import difflib
import html
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torch import nn

from relustat._messages import many, some
from relustat._optional import import_optional
from relustat._patterns import NameChoice, Patterns
from relustat._printable import printable, printed_lines
from relustat.nn.module_paths import named_modules
from relustat.nn.swapping import counters_of
from relustat.stats import json_file, npz
from relustat.stats.relu_stats import ReLUStats

from . import joined, page, plots, saved, table
from .call_site import CallSite
from .columns import COLUMNS
from .comparison import Comparison, checked_names
from .findings import Finding, findings, never_called
from .row import Row
from .shown import EpochCounts

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Report(Mapping[str, Row]):
    """Statistics of all call sites of a model, in the order of execution.

    It is a mapping from the name of a call site to its :class:`Row`, which has all numbers.

    ``print(report)`` shows a line for each call site. Its columns, and those of data frames, files
    and pages, are the attributes of :class:`Row`. More than 10 calls of one place, as in a loop,
    are one line. Warnings follow, and how units were found where no layer told it.

    Attributes:
        stats: statistics by call-site name.
        call_sites: where each is.
        history: counts by epoch, which the page of :meth:`to_html` shows; None if there are none.
            A watch with snapshots gives its own.
    """

    # Reports that version 0.1 pickled have none.
    _groups: Mapping[str, Mapping[str, ReLUStats]] = MappingProxyType({})
    history: EpochCounts | None = None

    def __init__(
        self,
        stats: Mapping[str, ReLUStats],
        notes: list[str] | None = None,
        call_sites: Mapping[str, CallSite] | None = None,
        groups: Mapping[str, Mapping[str, ReLUStats]] | None = None,
        history: EpochCounts | None = None,
    ) -> None:
        known = call_sites or {}
        self.stats = dict(stats)
        self.call_sites = {name: known.get(name, CallSite(name, name)) for name in self.stats}
        self._notes = list(notes or [])
        self._groups = {
            name: {site: counts for site, counts in each.items() if counts.calls}
            for name, each in (groups or {}).items()
        }
        self.history = history

    @classmethod
    def of(cls, model: nn.Module) -> Report:
        """The report of a model's counting modules, by their paths.

        These are :class:`relustat.CountingReLU` modules and those of :func:`relustat.swap`.

        Example:
            >>> import torch, relustat
            >>> model = relustat.swap(torch.nn.Sequential(torch.nn.ReLU()))
            >>> _ = model(torch.randn(2, 3))
            >>> relustat.Report.of(model)
            <Report of 1 call site; print() shows it>
        """
        counters = {path or "relu": counters_of(module) for module, path in named_modules(model)}
        stats = {path: each.stats for path, each in counters.items() if each is not None}
        never = [never_called(path) for path, each in stats.items() if not each.calls]
        return cls({path: each for path, each in stats.items() if each.calls}, never)

    # A mapping of rows

    def __getitem__(self, name: str) -> Row:
        """The row of a call site.

        Raises:
            KeyError: if there is no such call site. The message names similar ones.
        """
        if name not in self.stats:
            similar = difflib.get_close_matches(str(name), self.stats) or self.stats or ["none"]
            raise KeyError(f"Report: no call site is named {name!r}; there are {some(similar)}")
        return Row.of(name, self.stats[name], self.call_sites[name].short_after())

    def __contains__(self, name: object) -> bool:
        return name in self.stats

    def __iter__(self) -> Iterator[str]:
        return iter(self.stats)

    def __len__(self) -> int:
        return len(self.stats)

    def __eq__(self, other: object) -> bool:
        """Whether all is the same that a file holds."""
        if not isinstance(other, Report):
            return NotImplemented
        mine, theirs = (
            (each.stats, each.call_sites, each._notes, each._groups) for each in (self, other)
        )
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]

    @property
    def rows(self) -> list[Row]:
        """One for each call site."""
        return list(self.values())

    @property
    def groups(self) -> dict[str, Report]:
        """The report of each group; see :meth:`relustat.Watch.group` and :func:`relustat.watch`.

        Elements, zeros and histograms of groups add up to the whole. A call whose samples are of
        several groups is a call of each.
        """
        return {
            name: Report(each, call_sites=self.call_sites) for name, each in self._groups.items()
        }

    # Rows joined

    def by_module(self) -> Report:
        """The report with one row for each module: the sums of its call sites.

        Functions that the model itself calls are the row "(model)".

        Example:
            >>> import torch, relustat
            >>> cell = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
            >>> with relustat.watch(cell) as watch:
            ...     _ = cell(cell(torch.randn(2, 4)))
            >>> list(watch.report().by_module().stats)
            ['1']
        """
        rows = joined.by_module(self.call_sites)
        sites = {
            module: joined.merged([self.call_sites[name] for name in names], module)
            for module, names in rows.items()
        }
        return self._with_rows(rows, sites)

    def folded(self, places: Collection[str] | None = None) -> Report:
        """The report as it is printed: the calls of one place are one row if they are over 10.

        Args:
            places: the places that are one row; None: those with over 10 calls.
        """
        rows = joined.by_place(self.call_sites, places)
        if len(rows) == len(self.call_sites):
            return self
        return self._with_rows(
            rows, {row: self.call_sites[names[0]] for row, names in rows.items()}
        )

    def _with_rows(self, rows: joined.Names, sites: dict[str, CallSite]) -> Report:
        groups = {name: joined.sums(each, rows) for name, each in self._groups.items()}
        return Report(joined.sums(self.stats, rows), self._notes, sites, groups)

    # What was found

    @property
    def findings(self) -> list[Finding]:
        """The warnings with their kinds and call sites."""
        return findings(self.folded().rows, self._notes)

    @property
    def warnings(self) -> list[str]:
        """Warnings of dead units, NaNs, values outside the bins, and layers never called.

        A death rate over one half is one, too, unless a unit has a single element in each call:
        then it is the share of zeros.
        """
        return list(map(str, self.findings))

    def with_warnings(self, warnings: Iterable[str]) -> Report:
        """The report with more warnings, which it shows and keeps in files.

        Example:
            >>> import relustat
            >>> report = relustat.Report({}).with_warnings(["the second epoch is missing"])
            >>> report.warnings[-1]
            'the second epoch is missing'
        """
        notes = [*self._notes, *warnings]
        return Report(self.stats, notes, self.call_sites, self._groups, self.history)

    @property
    def notes(self) -> list[str]:
        """How units were found where no layer told it, and the groups."""
        found: dict[str, list[str]] = {}
        for name, site in self.folded().call_sites.items():
            if site.units:
                found.setdefault(site.units, []).append(name)
        notes = [f"{some(names)}: units: {how}" for how, names in found.items()]
        if self._groups:
            notes.append(f"groups: {some(self._groups)}: each has a report in .groups")
        return list(map(printable, notes))

    def __str__(self) -> str:
        lines = table.lines(self.folded().rows)
        lines += [f"! {warning}" for warning in self.warnings]
        return printed_lines([*lines, *(f"  {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return f"<Report of {many(len(self.stats), 'call site')}; print() shows it>"

    def __rich__(self) -> Any:
        return table.rich_group(self.folded().rows, self.warnings, self.notes)

    def _repr_html_(self) -> str:
        try:
            return page.overview(self)
        except ImportError:  # Jinja2 is missing
            return f"<pre>{html.escape(str(self))}</pre>"

    # Side by side

    def compare(self, other: Report, names: tuple[str, str] = ("this", "other")) -> Comparison:
        """This report beside another: what changed at each call site, the worst first.

        Args:
            other: a later checkpoint, another seed, another model. Call sites are compared by name.
            names: what to call the two.

        Returns:
            A :class:`Comparison`, which ``print`` shows.

        Raises:
            TypeError: if ``other`` is no report.
            ValueError: if ``names`` are not two that differ.

        Example:
            >>> import torch, relustat
            >>> first, second = (
            ...     relustat.Report({"relu": relustat.functional.relu_stats(torch.tensor([x]))[1]})
            ...     for x in ([1.0, 2.0], [1.0, -2.0])
            ... )
            >>> change = first.compare(second)["relu"]
            >>> change.zero_fraction_change, change.died_units
            (0.5, {2: array([1])})
        """
        return Comparison(self, _checked_report("compare", other), names)

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        other: Report | None = None,
        names: tuple[str, str] = ("this", "other"),
        title: str | None = None,
    ) -> None:
        """Writes a page to look at in a browser: one file, which needs no network.

        It has a table of all call sites, to sort and to filter; what the warnings mean and what
        people do about them; and for each call site, once it is opened, its histogram, how often
        its units fire, which are dead and since when, the :attr:`history` and the groups.

        Args:
            path: the file to write, whole or not at all.
            other: a report to show beside this one.
            names: what to call the two.
            title: the heading, such as the name of the model.

        Raises:
            ImportError: if Jinja2 is missing.
            OSError: if the file cannot be written.
            TypeError: if ``other`` is no report.
            ValueError: if ``names`` are not two that differ.

        Example:
            >>> import pathlib, tempfile, torch, relustat
            >>> model = torch.nn.ReLU()
            >>> with relustat.watch(model) as watch:
            ...     _ = model(torch.tensor([[-1.0, 2.0]]))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = pathlib.Path(folder) / "relus.html"
            ...     watch.report().to_html(path)
            ...     path.stat().st_size < 600_000
            True
        """
        if other is not None:
            self.compare(other, names).to_html(path, title=title)
        else:
            page.write(path, self, title or "What the ReLUs did")

    def plot(
        self,
        *,
        other: Report | None = None,
        names: tuple[str, str] = ("this", "other"),
        only: Patterns | None = None,
        ax: Axes | None = None,
    ) -> Figure:
        """A grid of normalised histograms, one for each call site.

        :func:`relustat.report.histogram_grid` says what is drawn.

        Args:
            other: a report to draw as outlines over this one.
            names: what the legend calls the two.
            only: draw these call sites alone: a glob of names, a compiled regular expression, or
                several.
            ax: axes of matplotlib to draw the only call site into; None: a new figure.

        Returns:
            The figure, which a notebook shows.

        Raises:
            ImportError: if matplotlib is missing.
            TypeError: if ``other`` is no report, or ``only`` no pattern.
            ValueError: if ``only`` fits no call site, if several are for ``ax``, or if ``names`` do
                not differ.
        """
        choice = NameChoice.of("plot", only, None)
        names = checked_names("plot", names)
        theirs = None if other is None else _checked_report("plot", other).stats
        return plots.figure_of(self.stats, theirs, names, choice, ax)

    # Handing on

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each call site, indexed by its name; columns are those of :class:`Row`."""
        frame_module = import_optional("pandas", "pandas", "to_pandas")
        frame: pandas.DataFrame = frame_module.DataFrame(
            [row.numbers() for row in self.rows], columns=list(COLUMNS)
        ).set_index("call_site")
        return frame

    def to_dict(self) -> dict[str, Any]:
        """All counts, rows and warnings as plain numbers, lists and strings, for JSON.

        ``rows`` has the columns of :class:`Row`, with None for what is NaN or infinite.
        :meth:`from_dict` reads it back. A history has a ``to_dict`` of its own.
        """
        return {
            "version": npz.VERSION,
            "rows": [saved.finite(row.numbers()) for row in self.rows],
            "call_sites": {name: stats.to_dict() for name, stats in self.stats.items()},
            "where": {name: site._asdict() for name, site in self.call_sites.items()},
            "warnings": self.warnings,
            "given_warnings": self._notes,
            "notes": self.notes,
            **(
                {"groups": {name: each.to_dict() for name, each in self.groups.items()}}
                if self._groups
                else {}
            ),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Report:
        """The report whose :meth:`to_dict` this is, also by way of JSON.

        Raises:
            ValueError: if it is not such a dict, or a newer relustat wrote it.

        Example:
            >>> import json, torch, relustat
            >>> _, stats = relustat.functional.relu_stats(torch.tensor([[-1.0, 2.0]]))
            >>> report = relustat.Report({"fc.relu": stats})
            >>> relustat.Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
            True
        """
        return cls(*saved.from_dict(state))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all counts to a file, whole or not at all.

        It is JSON if its name ends in ``.json``, as :meth:`to_dict` says. Else it is an ``.npz``
        archive, which is smaller and has no groups.

        Raises:
            OSError: if it cannot be written. The file that was there stays.
            ValueError: if its name ends as that of a page, a table or a picture.

        Example:
            >>> import pathlib, tempfile, torch, relustat
            >>> _, stats = relustat.functional.relu_stats(torch.tensor([[-1.0, 2.0]]))
            >>> report = relustat.Report({"fc.relu": stats})
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = pathlib.Path(folder) / "relus.json"
            ...     report.save(path)
            ...     path.read_text()[:14], relustat.Report.load(path) == report
            ('{"version": 1,', True)
        """
        if json_file.is_named(path):
            json_file.save(path, self.to_dict())
        else:
            npz.save(path, saved.sites_to_npz(self.stats, self.call_sites), self._notes)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Reads a file that :meth:`save` or :meth:`ReLUStats.save` wrote.

        Raises:
            ValueError: if it is not such a file, or a newer relustat wrote it.
        """
        stats, given, call_sites, groups = saved.read(path)
        named = {name or Path(path).stem: each for name, each in stats.items()}
        return cls(named, given, call_sites, groups)


def _checked_report(caller: str, other: object) -> Report:
    if not isinstance(other, Report):
        raise TypeError(f"{caller}: other must be a Report, got {type(other).__name__}")
    return other
