"""What a page holds of a call site, to be drawn when it is opened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from relustat._printable import printable
from relustat.report.columns import COLUMNS
from relustat.report.compared_row import ComparedRow
from relustat.report.findings import Finding
from relustat.report.plots import drawn_slices
from relustat.report.row import Row
from relustat.stats.bins import Bins
from relustat.stats.relu_stats import ReLUStats

from .epochs import by_epoch, silent_since
from .numbers import plain, short
from .snapshot import Snapshot
from .units import listed, units_of


class Layers:
    """The call sites of one report, or of two, as plain numbers for JSON.

    Args:
        reports: with what each is called.

    Attributes:
        bins: the edges of all bins that occur, which the call sites share.
    """

    def __init__(self, reports: Sequence[tuple[str, Snapshot]]) -> None:
        self._sides = [_Side(label, report) for label, report in reports]
        self.bins: list[list[float]] = []
        self._known: list[Bins] = []

    def layer(self, site: str, change: ComparedRow | None = None) -> dict[str, Any]:
        """All that is drawn of one call site, and what changed between two reports."""
        sides = [side for side in self._sides if site in side.rows]
        return {
            "name": printable(site),
            "sides": [
                {**side.numbers(site), "histogram": self._histogram(side.rows[site].stats)}
                for side in sides
            ],
            "changes": [] if change is None else _changes(change),
        }

    def _histogram(self, stats: ReLUStats) -> dict[str, Any] | None:
        if stats.bins is None:
            return None
        histogram = stats.histogram
        counts = histogram.counts()
        filled = np.flatnonzero(counts)
        first, last = (int(filled[0]), int(filled[-1])) if len(filled) else (0, -1)
        drawn = drawn_slices(histogram)
        return {
            "bins": self._index(stats.bins),
            "first": first,
            "counts": counts[first : last + 1].tolist(),
            "linear": None
            if drawn is None
            else {"edges": short(drawn[0]), "counts": drawn[1].tolist()},
            "underflow": histogram.underflow,
            "overflow": histogram.overflow,
            "nan": histogram.nan,
        }

    def _index(self, bins: Bins) -> int:
        if bins not in self._known:
            self._known.append(bins)
            self.bins.append(short(bins.edges))
        return self._known.index(bins)


class _Side:
    """What one report says of its call sites."""

    def __init__(self, label: str, report: Snapshot) -> None:
        self.rows: dict[str, Row] = {row.call_site: row for row in report.rows}
        self._label = label
        self._call_sites = report.call_sites
        self._groups = report.groups
        self._history = report.history
        self._in_history = frozenset(report.history.call_sites if report.history else ())
        self._findings: dict[str, list[Finding]] = {}
        for finding in report.findings:
            self._findings.setdefault(finding.call_site, []).append(finding)

    def numbers(self, site: str) -> dict[str, Any]:
        """All of one call site but its histogram."""
        row = self.rows[site]
        history = self._history if site in self._in_history else None
        texts = row.texts()
        gives_zero = row.stats.activation.gives_zero
        hidden = {"call_site", "histogram", "inactive" if gives_zero else "zero_fraction"}
        told = [name for name in COLUMNS if name not in hidden and texts[name]]
        return {
            "label": printable(self._label),
            "adjective": row.stats.activation.adjective,
            "noun": row.stats.activation.noun,
            "knee": _drawn(row.stats.activation.knee),
            "units": printable(self._call_sites[site].units),
            "warnings": [printable(each.text) for each in self._findings.get(site, [])],
            "facts": {name: printable(texts[name]) for name in told},
            "widths": [
                units_of(
                    row.stats.of_width(width),
                    None if history is None else silent_since(history, site, width),
                )
                for width in row.stats.widths
            ],
            "history": None if history is None else by_epoch(history, site),
            "groups": [
                {"name": printable(name), "inactive": plain(stats[site].inactive_fraction)}
                for name, stats in self._groups.items()
                if site in stats
            ],
        }


def _drawn(knee: float | None) -> float | None:
    return knee if knee is not None and math.isfinite(knee) else None


def _changes(row: ComparedRow) -> list[dict[str, Any]]:
    """Which units died and were revived between two reports, by number of units."""
    return [
        {"what": what, "of": width, **listed(units)}
        for what, by_width in (("died", row.died_units), ("revived", row.revived_units))
        for width, units in by_width.items()
    ]
