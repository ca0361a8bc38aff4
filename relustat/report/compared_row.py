"""One call site in two reports."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from relustat._printable import printed
from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats
from relustat.stats.same_layout import described_shard

from .columns import COLUMNS
from .row import Row, percent

COMPARED_COLUMNS = {
    "call_site": COLUMNS["call_site"],
    "zero_fraction": COLUMNS["zero_fraction"],
    "other_zero_fraction": "the same in the other report",
    "zero_fraction_change": "how much the share of zeros grew, in percentage points",
    "dead_now": COLUMNS["dead_now"],
    "other_dead_now": "the same in the other report",
    "died": "units that are dead now in the second report, and not in the first",
    "revived": "units that are dead now in the first report, and not in the second",
    "histogram_distance": "share of the inputs that would have to move to another bin",
    "histogram": COLUMNS["histogram"],
    "other_histogram": "the same in the other report",
}
"""What each column says of a call site in two reports."""


@dataclasses.dataclass(frozen=True, eq=False)
class ComparedRow:
    """One call site in two reports, this and the other.

    Attributes:
        call_site: its name.
        zero_fraction: share of outputs that are 0, in this report; of another activation than ReLU
            that of inactive inputs.
        other_zero_fraction: the same in the other one.
        zero_fraction_change: the other less this.
        dead_now: number of units that are dead now in this report; see :class:`Row`.
        other_dead_now: the same in the other one.
        died: number of units that are dead now in the other report alone.
        revived: number of units that are dead now in this report alone.
        histogram_distance: share of the inputs that would have to move to another bin to make both
            histograms equal (the total variation distance); NaN if their bins are not the same.
        histogram: the inputs as 12 characters, in this report.
        other_histogram: the same in the other one.
        died_units: indices of the units that died, int64 [died], by number of units.
        revived_units: indices of the units that were revived, int64 [revived], by number of units.
        unlike: why some of it could not be compared; empty if all was.
        row: all numbers in this report.
        other_row: all numbers in the other one.
    """

    call_site: str
    zero_fraction: float
    other_zero_fraction: float
    zero_fraction_change: float
    dead_now: int
    other_dead_now: int
    died: int
    revived: int
    histogram_distance: float
    histogram: str
    other_histogram: str
    died_units: dict[int, Int64Array]
    revived_units: dict[int, Int64Array]
    unlike: str
    row: Row = dataclasses.field(repr=False)
    other_row: Row = dataclasses.field(repr=False)

    @classmethod
    def of(cls, row: Row, other: Row) -> ComparedRow:
        are_same = row.stats.shard == other.stats.shard
        widths = [width for width in row.stats.widths if are_same and width in other.stats.widths]
        died, revived = {}, {}
        for width in widths:
            before, after = (each.stats.of_width(width).dead_now_units for each in (row, other))
            died[width] = np.setdiff1d(after, before)
            # A unit that gives NaN is not dead, but it is not revived either.
            revived[width] = np.setdiff1d(before, after) if not other.nans else after[:0]
        return cls(
            call_site=row.call_site,
            zero_fraction=row.inactive,
            other_zero_fraction=other.inactive,
            zero_fraction_change=other.inactive - row.inactive,
            dead_now=row.dead_now,
            other_dead_now=other.dead_now,
            died=sum(map(len, died.values())),
            revived=sum(map(len, revived.values())),
            histogram_distance=_distance(row.stats, other.stats),
            histogram=row.histogram,
            other_histogram=other.histogram,
            died_units=died,
            revived_units=revived,
            unlike=_unlike(row.stats, other.stats),
            row=row,
            other_row=other,
        )

    def badness(self) -> tuple[float, float]:
        """What rows are sorted by: the share of units that died, and the growth of zeros."""
        change = self.zero_fraction_change
        return self.died / max(self.row.units, 1), -1.0 if math.isnan(change) else change

    def __str__(self) -> str:
        return printed(repr(self))

    def numbers(self) -> dict[str, Any]:
        """All columns by name."""
        return {name: getattr(self, name) for name in COMPARED_COLUMNS}

    def texts(self) -> dict[str, str]:
        """All columns by name, as people read them."""
        change, distance = self.zero_fraction_change, self.histogram_distance
        return {
            "call_site": self.call_site,
            "zero_fraction": percent(self.zero_fraction),
            "other_zero_fraction": percent(self.other_zero_fraction),
            "zero_fraction_change": "-"
            if math.isnan(change)
            else f"{round(100 * change, 1) + 0.0:+.1f} pp",
            "dead_now": f"{self.dead_now}/{self.row.units}",
            "other_dead_now": f"{self.other_dead_now}/{self.other_row.units}",
            "died": f"{self.died}",
            "revived": f"{self.revived}",
            "histogram_distance": percent(distance),
            "histogram": self.histogram,
            "other_histogram": self.other_histogram,
        }


def _distance(stats: ReLUStats, other: ReLUStats) -> float:
    if stats.bins is None or stats.bins != other.bins:
        return math.nan
    if not stats.elements or not other.elements:
        return math.nan
    one, two = (
        np.append(each.histogram.counts(flow=True), each.nans) / each.elements
        for each in (stats, other)
    )
    return float(np.abs(one - two).sum() / 2)


def _unlike(stats: ReLUStats, other: ReLUStats) -> str:
    found = []
    if sorted(stats.widths) != sorted(other.widths):
        widths = (", ".join(map(str, sorted(each.widths))) for each in (stats, other))
        found.append(f"the numbers of units differ ({' and '.join(widths)})")
    if stats.shard != other.shard:
        shards = " and ".join(map(described_shard, (stats.shard, other.shard)))
        found.append(f"the units are not the same ({shards})")
    if stats.activation != other.activation:
        activations = " and ".join(each.activation.described for each in (stats, other))
        found.append(f"the activations differ ({activations})")
    if stats.bins != other.bins:
        found.append(f"the bins differ ({stats.bins} and {other.bins})")
    if other.nans:
        found.append("the other has NaN inputs, so units that were revived are not known")
    return "; ".join(found)
