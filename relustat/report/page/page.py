"""One self-contained HTML file for a report, or for two side by side."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from relustat._files import replacing
from relustat._optional import import_optional
from relustat._printable import printable
from relustat._version import __version__
from relustat.report.columns import COLUMNS, heading
from relustat.report.compared_row import COMPARED_COLUMNS, ComparedRow
from relustat.report.shown import ShownReport

from . import summary
from .advice import explained
from .layer import Layers
from .overview import COMPARED_NARROW, NARROW, compared_lines, report_lines
from .snapshot import Snapshot

_HERE = Path(__file__).parent


class ShownComparison(Protocol):
    """The part of :class:`relustat.report.Comparison` that a page shows."""

    first: ShownReport
    second: ShownReport
    names: tuple[str, str]
    rows: list[ComparedRow]
    only_first: list[str]
    only_second: list[str]

    @property
    def warnings(self) -> list[str]: ...


def write(path: str | os.PathLike[str], report: ShownReport, title: str) -> None:
    """Writes the page of a report, whole or not at all."""
    shown = Snapshot.of(report.folded())
    layers = Layers([("", shown)])
    _write(
        path,
        "report.html",
        title=title,
        words=COLUMNS,
        **_of_report(shown),
        summary=summary.of_report(shown),
        explained=explained(shown.findings),
        layers=[layers.layer(row.call_site) for row in shown.rows],
        bins=layers.bins,
    )


def write_compared(path: str | os.PathLike[str], comparison: ShownComparison, title: str) -> None:
    """Writes the page of two reports, whole or not at all."""
    first, second = (Snapshot.of(each) for each in (comparison.first, comparison.second))
    layers = Layers(list(zip(comparison.names, (first, second), strict=True)))
    _write(
        path,
        "comparison.html",
        title=title,
        words={**COMPARED_COLUMNS, **COLUMNS},
        **_of_comparison(comparison),
        summary=summary.of_comparison(comparison.names, (first, second), comparison.rows),
        explained=explained(
            [
                each._replace(text=f"{each.text} ({name})")
                for name, report in zip(comparison.names, (first, second), strict=True)
                for each in report.findings
            ]
        ),
        layers=[
            *(layers.layer(row.call_site, row) for row in comparison.rows),
            *(layers.layer(site) for site in _in_one(comparison)),
        ],
        bins=layers.bins,
    )


def overview(report: ShownReport) -> str:
    """The table of a page's beginning, for a notebook."""
    return _render("notebook.html", **_of_report(Snapshot.of(report.folded())))


def compared_overview(comparison: ShownComparison) -> str:
    """The table of a page's beginning of two reports, for a notebook."""
    return _render("notebook.html", **_of_comparison(comparison))


def _of_report(report: Snapshot) -> dict[str, Any]:
    columns, lines = report_lines(report.rows, report.findings)
    return {
        "columns": [_column(name, COLUMNS, NARROW) for name in columns],
        "lines": lines,
        "findings": report.findings,
        "notes": report.notes,
    }


def _of_comparison(comparison: ShownComparison) -> dict[str, Any]:
    columns, lines = compared_lines(comparison.rows)
    return {
        "columns": [_compared_column(name, comparison.names) for name in columns],
        "lines": lines,
        "findings": [],
        "notes": comparison.warnings,
        "names": comparison.names,
        "in_one": _in_one(comparison),
    }


def _in_one(comparison: ShownComparison) -> dict[str, str]:
    """The call sites that one report has alone, and which."""
    first, second = comparison.names
    return {
        **dict.fromkeys(comparison.only_first, first),
        **dict.fromkeys(comparison.only_second, second),
    }


def _column(name: str, explanations: Mapping[str, str], narrow: Collection[str]) -> dict[str, Any]:
    return {
        "name": name,
        "heading": heading(name),
        "explanation": explanations[name],
        "hidden_when_narrow": name not in narrow,
        "of": "",
    }


def _compared_column(name: str, reports: tuple[str, str]) -> dict[str, Any]:
    """A column of two reports, with the name of the one that it is of."""
    column = _column(name, COMPARED_COLUMNS, COMPARED_NARROW)
    if f"other_{name}" in COMPARED_COLUMNS:
        return {**column, "of": reports[0]}
    if name.startswith("other_"):
        plain = name.removeprefix("other_")
        explanation = COMPARED_COLUMNS[plain]
        return {**column, "heading": heading(plain), "explanation": explanation, "of": reports[1]}
    return column


def _write(path: str | os.PathLike[str], template: str, **values: Any) -> None:
    text = _render(template, version=__version__, libraries=_libraries(), **values)
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _render(template: str, **values: Any) -> str:
    text: str = _environment().get_template(template).render(**values)
    return text


@functools.cache
def _environment() -> Any:
    jinja2 = import_optional("jinja2", "html", "a page")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    # In the order in which they were put.
    environment.policies["json.dumps_kwargs"] = {}
    environment.globals["source"] = functools.partial(_source, jinja2.utils.markupsafe.Markup)
    return environment


def _shown(value: Any) -> Any:
    """What a template shows of a value; what is HTML already is a subclass of str."""
    return printable(value) if type(value) is str else value


def _source(markup: Any, name: str) -> Any:
    """The text of a file of our own, which needs no escapes."""
    return markup((_HERE / "template" / name).read_text(encoding="utf-8"))


def _libraries() -> Sequence[Mapping[str, Any]]:
    """What draws the charts, each with its licence."""
    markup = import_optional("markupsafe", "html", "a page").Markup
    folder = _HERE / "vendor"
    return [
        {
            "licence": markup.escape((folder / licence).read_text(encoding="utf-8")),
            "script": markup((folder / script).read_text(encoding="utf-8")),
        }
        for script, licence in (
            ("d3.min.js", "d3.LICENSE"),
            ("plot.umd.min.js", "plot.LICENSE"),
        )
    ]
