"""What a page shows of a report, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from relustat.report.call_site import CallSite
from relustat.report.findings import Finding
from relustat.report.row import Row
from relustat.report.shown import EpochCounts, ShownReport
from relustat.stats.relu_stats import ReLUStats


class Snapshot(NamedTuple):
    """The rows, warnings and counts of a report."""

    rows: list[Row]
    findings: list[Finding]
    notes: list[str]
    call_sites: Mapping[str, CallSite]
    groups: Mapping[str, Mapping[str, ReLUStats]]
    history: EpochCounts | None

    @classmethod
    def of(cls, report: ShownReport) -> Snapshot:
        return cls(
            report.rows,
            report.findings,
            report.notes,
            report.call_sites,
            {name: group.stats for name, group in report.groups.items()},
            report.history,
        )
