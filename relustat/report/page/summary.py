"""What a page says first: the numbers of the whole, and where to look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from relustat._messages import many
from relustat.report.compared_row import ComparedRow
from relustat.report.row import Row, percent

from .snapshot import Snapshot


class Fact(NamedTuple):
    """A number of the whole.

    Attributes:
        title: what it is.
        text: the number.
        call_site: the call site of which it is said, to open it; empty if it is of all.
    """

    title: str
    text: str
    call_site: str = ""


def of_report(report: Snapshot) -> list[Fact]:
    """The numbers of a report, and its worst call site."""
    rows = report.rows
    if not rows:
        return []
    return [
        Fact("call sites", f"{len(rows):,}"),
        Fact("inputs counted", f"{sum(row.elements for row in rows):,}"),
        Fact(_what(rows), _zeros(rows)),
        Fact("units dead now", _dead_now(rows)),
        Fact("warnings", f"{len(report.findings):,}" if report.findings else "none"),
        _worst(rows),
    ]


def _worst(rows: Sequence[Row]) -> Fact:
    """Where NaNs came up first; without any, where the largest share of units is dead, or zero."""
    nan = [row for row in rows if row.nans]
    if nan:
        share = percent(nan[0].nans / nan[0].elements)
        text = f"{share} of the inputs are NaN, in {len(nan)} of {many(len(rows), 'call site')}"
        return Fact("worst", text, nan[0].call_site)
    worst = max(rows, key=_badness)
    if not worst.dead_now:
        noun = worst.stats.activation.noun
        return Fact(f"most {noun}", percent(worst.inactive), worst.call_site)
    share = percent(worst.dead_now / worst.units)
    text = f"{worst.dead_now} of {worst.units} units are dead now ({share})"
    return Fact("worst", text, worst.call_site)


def of_comparison(
    names: Sequence[str], reports: Sequence[Snapshot], rows: Sequence[ComparedRow]
) -> list[Fact]:
    """The numbers of two reports, and where most has changed."""
    facts = []
    for name, report in zip(names, reports, strict=True):
        zeros, dead_now = _zeros(report.rows), _dead_now(report.rows)
        facts.append(Fact(name, f"{zeros} zeros, {dead_now} units dead now"))
    facts.append(Fact("units that died", f"{sum(row.died for row in rows):,}"))
    facts.append(Fact("units revived", f"{sum(row.revived for row in rows):,}"))
    if rows:
        worst = rows[0]
        change = worst.texts()["zero_fraction_change"]
        facts.append(
            Fact("worst change", f"{worst.died} units died; zeros {change}", worst.call_site)
        )
    return facts


def _zeros(rows: Sequence[Row]) -> str:
    elements = sum(row.elements for row in rows)
    return percent(sum(row.stats.inactive for row in rows) / elements if elements else math.nan)


def _what(rows: Sequence[Row]) -> str:
    all_give_zero = all(row.stats.activation.gives_zero for row in rows)
    return "zero fraction" if all_give_zero else "inactive"


def _dead_now(rows: Sequence[Row]) -> str:
    dead_now, units = (sum(getattr(row, name) for row in rows) for name in ("dead_now", "units"))
    return f"{dead_now:,} of {units:,}"


def _badness(row: Row) -> tuple[float, float]:
    zeros = row.inactive
    return row.dead_now / max(row.units, 1), -1.0 if math.isnan(zeros) else zeros
