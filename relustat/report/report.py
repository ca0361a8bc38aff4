"""A report: the statistics of all call sites as text, data frame, picture and file."""

from __future__ import annotations

import dataclasses
import functools
import html
import itertools
import operator
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torch import nn

from relustat._messages import align, many, some
from relustat._optional import import_optional
from relustat.nn.module_paths import named_modules
from relustat.nn.swapping import counters_of
from relustat.stats import npz
from relustat.stats.relu_stats import ReLUStats

from . import plots
from .call_site import CallSite
from .dead_units import died, has_several_samples
from .row import Row

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

# More calls of one place are one row of the printed table.
_MOST_CALLS_APART = 10
# If a larger share of values lies outside the bins, quantiles and pictures mislead.
_MUCH_OUTSIDE = 0.01

_NOT_COUNTED = ": not counted, "

_HEADINGS = (
    *("call site", "after", "elements", "zero", "dead", "dead now", "on", "death rate"),
    "zero blocks",
    *("min", "median", "p99", "max", "inputs"),
)

_NOT_ALWAYS_KNOWN = ("after", "zero blocks")


def not_counted(name: str, reason: str) -> str:
    """The warning of a ReLU that was called and not counted."""
    return f"{name}{_NOT_COUNTED}{reason}"


class Report:
    """Statistics of all call sites of a model, in the order of execution.

    ``print(report)`` shows a line for each call site: the layer that made its inputs, if one is
    known; the number of elements; the share of zeros among the outputs; the number of dead units
    (all outputs 0) of all units; that of units that are dead now (all outputs 0 in the last 100
    calls, or in all), and of units that are always on (no output 0); the death rate (mean over
    units of the share of calls with only zeros); the share of blocks of units whose outputs were
    all 0, if they were counted; minimum, median, 99th percentile and maximum of the inputs; and
    their histogram between the percentiles 0.5 and 99.5. More than 10 calls of one place, as in a
    loop, are one line. Warnings follow, and how units were found where no layer told it.

    Attributes:
        stats: statistics by call-site name.
        call_sites: where each is.
    """

    # Reports that version 0.1 pickled have none.
    _groups: Mapping[str, Mapping[str, ReLUStats]] = MappingProxyType({})

    def __init__(
        self,
        stats: Mapping[str, ReLUStats],
        notes: list[str] | None = None,
        call_sites: Mapping[str, CallSite] | None = None,
        groups: Mapping[str, Mapping[str, ReLUStats]] | None = None,
    ) -> None:
        known = call_sites or {}
        self.stats = dict(stats)
        self.call_sites = {name: known.get(name, CallSite(name, name)) for name in self.stats}
        self._notes = list(notes or [])
        self._groups = {name: dict(each) for name, each in (groups or {}).items()}

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
        never = [f"{path}: never called" for path, each in stats.items() if not each.calls]
        return cls({path: each for path, each in stats.items() if each.calls}, never)

    @property
    def groups(self) -> dict[str, Report]:
        """The report of each group; see :meth:`relustat.Watch.group` and :func:`relustat.watch`.

        Elements, zeros and histograms of groups add up to the whole. A call whose samples are of
        several groups is a call of each.
        """
        return {
            name: Report(
                {site: stats for site, stats in each.items() if stats.calls},
                call_sites=self.call_sites,
            )
            for name, each in self._groups.items()
        }

    @property
    def rows(self) -> list[Row]:
        """One for each call site."""
        return [
            Row.of(name, stats, self.call_sites[name].short_after())
            for name, stats in self.stats.items()
        ]

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
        modules: dict[str, list[str]] = {}
        for name, site in self.call_sites.items():
            modules.setdefault(site.module or "(model)", []).append(name)
        sites = {
            module: functools.reduce(
                CallSite.merged, (self.call_sites[name]._replace(place=module) for name in names)
            )
            for module, names in modules.items()
        }
        stats = {module: self._sum(names) for module, names in modules.items()}
        groups = {name: each.by_module().stats for name, each in self.groups.items()}
        return Report(stats, self._notes, sites, groups)

    def _sum(self, names: list[str]) -> ReLUStats:
        return functools.reduce(operator.add, (self.stats[name] for name in names))

    def _folded(self) -> Report:
        """The report with one row for the many calls of one place."""
        places: dict[str, list[str]] = {}
        for name, site in self.call_sites.items():
            places.setdefault(site.place, []).append(name)
        many_calls = {
            place: names for place, names in places.items() if len(names) > _MOST_CALLS_APART
        }
        if not many_calls:
            return self
        stats, sites = {}, {}
        for name, site in self.call_sites.items():
            names = many_calls.get(site.place)
            shown = name if names is None else f"{site.place} ({many(len(names), 'call')})"
            if shown not in stats:
                stats[shown] = self.stats[name] if names is None else self._sum(names)
                sites[shown] = site
        return Report(stats, self._notes, sites, self._groups)

    @property
    def warnings(self) -> list[str]:
        """Warnings of dead units, NaNs, values outside the bins, and layers never called.

        A death rate over one half is one, too, unless a unit has a single element in each call:
        then it is the share of zeros.
        """
        report = self._folded()
        return report._warnings(report.rows)

    @property
    def notes(self) -> list[str]:
        """How units were found where no layer told it, and the groups."""
        found: dict[str, list[str]] = {}
        for name, site in self._folded().call_sites.items():
            if site.units:
                found.setdefault(site.units, []).append(name)
        notes = [f"{some(names)}: units: {how}" for how, names in found.items()]
        if self._groups:
            notes.append(f"groups: {some(self._groups)}: each has a report in .groups")
        return notes

    def _warnings(self, rows: list[Row]) -> list[str]:
        is_any = rows or any(_NOT_COUNTED in note for note in self._notes)
        found = [] if is_any else ["no ReLU was seen"]
        for row in rows:
            if row.dead_units:
                found.append(
                    f"{row.call_site}: {row.dead_units} of {row.units} units gave only zeros "
                    f"in {many(row.calls, 'call')}"
                )
            found += [f"{row.call_site}: {died}" for died in died(self.stats[row.call_site])]
            if row.death_rate > 0.5 and has_several_samples(self.stats[row.call_site]):
                found.append(
                    f"{row.call_site}: on average, a unit gave only zeros in {row.death_rate:.1%} "
                    "of the calls (death rate)"
                )
            if row.nans:
                found.append(f"{row.call_site}: {row.nans:,} of {row.elements:,} inputs were NaN")
        for name, stats in self.stats.items():
            if stats.bins is None:
                continue
            histogram = stats.histogram
            outside = (histogram.underflow + histogram.overflow) / max(histogram.sum(), 1)
            if outside > _MUCH_OUTSIDE:
                found.append(
                    f"{name}: {outside:.1%} of the inputs lay outside the bins, "
                    f"which reach from {stats.bins.edges[0]:g} to {stats.bins.edges[-1]:g}"
                )
        return found + self._notes

    def _table(self, rows: list[Row]) -> list[list[str]]:
        """The cells of the printed table, without the columns in which nothing is known."""
        cells = [row.cells() for row in rows]
        known = [
            name not in _NOT_ALWAYS_KNOWN or any(each[index] for each in cells)
            for index, name in enumerate(_HEADINGS)
        ]
        return [list(itertools.compress(each, known)) for each in ([*_HEADINGS], *cells)]

    def __str__(self) -> str:
        report = self._folded()
        rows = report.rows
        lines = align(report._table(rows)) if rows else []
        lines += [f"! {warning}" for warning in report._warnings(rows)]
        return "\n".join([*lines, *(f"  {note}" for note in report.notes)])

    def __repr__(self) -> str:
        return f"<Report of {many(len(self.stats), 'call site')}; print() shows it>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __rich__(self) -> Any:
        table_module = import_optional("rich.table", "rich", "a coloured table")
        text_module = import_optional("rich.text", "rich", "a coloured table")
        console_module = import_optional("rich.console", "rich", "a coloured table")
        report = self._folded()
        rows = report.rows
        headings, *cells = report._table(rows)
        table = table_module.Table(box=None, header_style="bold", pad_edge=False)
        for index, column in enumerate(zip(headings, *cells, strict=True)):
            is_last = index == len(headings) - 1
            # A narrow terminal cuts the picture, but never a name or a number.
            table.add_column(
                column[0],
                justify="left" if index == 0 or is_last else "right",
                no_wrap=True,
                min_width=None if is_last else max(map(len, column)),
            )
        for row, line in zip(rows, cells, strict=True):
            style = "red" if row.nans else "yellow" if row.dead_now_units else ""
            table.add_row(*(text_module.Text(cell) for cell in line), style=style)
        warnings = [
            text_module.Text(f"! {warning}", "yellow") for warning in report._warnings(rows)
        ]
        notes = [text_module.Text(f"  {note}") for note in report.notes]
        return console_module.Group(*([table] if rows else []), *warnings, *notes)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each call site, indexed by its name."""
        frame_module = import_optional("pandas", "pandas", "to_pandas")
        frame: pandas.DataFrame = frame_module.DataFrame(
            [dataclasses.asdict(row) for row in self.rows],
            columns=[field.name for field in dataclasses.fields(Row)],
        ).set_index("call_site")
        return frame

    def to_dict(self) -> dict[str, Any]:
        """All counts and warnings as plain numbers, lists and strings, for JSON."""
        return {
            "version": npz.VERSION,
            "call_sites": {name: stats.to_dict() for name, stats in self.stats.items()},
            "where": {name: site._asdict() for name, site in self.call_sites.items()},
            "warnings": self.warnings,
            "notes": self.notes,
            **(
                {"groups": {name: each.to_dict() for name, each in self.groups.items()}}
                if self._groups
                else {}
            ),
        }

    def plot(self) -> Figure:
        """A grid of normalised histograms, one for each call site.

        :func:`relustat.report.plots.histogram_grid` says what is drawn.

        Raises:
            ImportError: if matplotlib is missing.
        """
        return plots.histogram_grid(self.stats)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all counts to an ``.npz`` file, whole or not at all. Warnings are not written."""
        npz.save(
            path,
            {
                name: {**stats.to_dict(), "where": self.call_sites[name]._asdict()}
                for name, stats in self.stats.items()
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Reads a file that :meth:`save` or :meth:`ReLUStats.save` wrote.

        Raises:
            ValueError: if it is not such a file, or a newer relustat wrote it.
        """
        states = npz.load(path)
        named = {name or Path(path).stem: state for name, state in states.items()}
        return cls(
            {name: ReLUStats.from_dict(state) for name, state in named.items()},
            call_sites={
                name: CallSite.from_dict(name, state.get("where", {}))
                for name, state in named.items()
            },
        )
