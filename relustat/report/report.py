"""A report: the statistics of all call sites as text, data frame, picture and file."""

from __future__ import annotations

import dataclasses
import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from relustat._messages import align, many
from relustat._optional import import_optional
from relustat.nn.counting_relu import CountingReLU
from relustat.nn.module_paths import named_modules
from relustat.stats import npz
from relustat.stats.relu_stats import ReLUStats

from . import plots
from .row import Row

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

# If a larger share of values lies outside the bins, quantiles and pictures mislead.
_MUCH_OUTSIDE = 0.01


_HEADINGS = (
    *("call site", "elements", "zero", "dead", "on", "death rate"),
    *("min", "median", "p99", "max", "inputs"),
)


class Report:
    """Statistics of all call sites of a model, in the order of execution.

    ``print(report)`` shows a line for each call site: the number of elements; the share of zeros
    among the outputs; the number of dead units (all outputs 0) of all units, and of units that are
    always on (no output 0); the death rate (mean over units of the share of calls with only
    zeros); minimum, median, 99th percentile and maximum of the inputs; and their histogram between
    the percentiles 0.5 and 99.5. Warnings follow.

    Attributes:
        stats: statistics by call-site name.
    """

    def __init__(self, stats: Mapping[str, ReLUStats], notes: list[str] | None = None) -> None:
        self.stats = dict(stats)
        self._notes = list(notes or [])

    @classmethod
    def of(cls, model: nn.Module) -> Report:
        """The report of a model's :class:`relustat.CountingReLU` modules, by their paths.

        Example:
            >>> import torch, relustat
            >>> model = relustat.swap(torch.nn.Sequential(torch.nn.ReLU()))
            >>> _ = model(torch.randn(2, 3))
            >>> relustat.Report.of(model)
            <Report of 1 call site; print() shows it>
        """
        stats = {
            path or "relu": module.stats
            for module, path in named_modules(model)
            if isinstance(module, CountingReLU)
        }
        never = [f"{path}: never called" for path, each in stats.items() if not each.calls]
        return cls({path: each for path, each in stats.items() if each.calls}, never)

    @property
    def rows(self) -> list[Row]:
        """One for each call site."""
        return [Row.of(name, stats) for name, stats in self.stats.items()]

    @property
    def warnings(self) -> list[str]:
        """Warnings of dead units, NaNs, values outside the bins, and layers never called."""
        return self._warnings(self.rows)

    def _warnings(self, rows: list[Row]) -> list[str]:
        found = [] if rows else ["no ReLU was called"]
        for row in rows:
            if row.dead_units:
                found.append(
                    f"{row.call_site}: {row.dead_units} of {row.units} units gave only zeros "
                    f"in {many(row.calls, 'call')}"
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

    def __str__(self) -> str:
        rows = self.rows
        table = align([list(_HEADINGS), *(row.cells() for row in rows)]) if rows else []
        return "\n".join([*table, *(f"! {warning}" for warning in self._warnings(rows))])

    def __repr__(self) -> str:
        return f"<Report of {many(len(self.stats), 'call site')}; print() shows it>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __rich__(self) -> Any:
        table_module = import_optional("rich.table", "rich", "a coloured table")
        text_module = import_optional("rich.text", "rich", "a coloured table")
        console_module = import_optional("rich.console", "rich", "a coloured table")
        rows = self.rows
        table = table_module.Table(box=None, header_style="bold", pad_edge=False)
        for index, column in enumerate(zip(_HEADINGS, *(row.cells() for row in rows), strict=True)):
            is_last = index == len(_HEADINGS) - 1
            # A narrow terminal cuts the picture, but never a name or a number.
            table.add_column(
                column[0],
                justify="left" if index == 0 or is_last else "right",
                no_wrap=True,
                min_width=None if is_last else max(map(len, column)),
            )
        for row in rows:
            style = "red" if row.nans else "yellow" if row.dead_units else ""
            table.add_row(*(text_module.Text(cell) for cell in row.cells()), style=style)
        warnings = [text_module.Text(f"! {warning}", "yellow") for warning in self._warnings(rows)]
        return console_module.Group(*([table] if rows else []), *warnings)

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
            "warnings": self.warnings,
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
        npz.save(path, {name: stats.to_dict() for name, stats in self.stats.items()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Reads a file that :meth:`save` or :meth:`ReLUStats.save` wrote.

        Raises:
            ValueError: if it is not such a file, or a newer relustat wrote it.
        """
        states = npz.load(path)
        return cls(
            {name or Path(path).stem: ReLUStats.from_dict(state) for name, state in states.items()}
        )
