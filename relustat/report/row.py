"""The numbers of one call site."""

from __future__ import annotations

import dataclasses
import math

from relustat.stats.relu_stats import ReLUStats

from .dead_units import dead_now
from .sparkline import sparkline


@dataclasses.dataclass(frozen=True)
class Row:
    """The numbers that the table shows of one call site, unformatted.

    ``after`` names the layer that made the inputs, if it is known. ``low`` and ``high`` bound all
    inputs; ``median`` and ``p99`` are their quantiles. All four are NaN if only zeros were counted.
    ``death_rate`` is the mean over units of dead calls / calls. ``dead_now_units`` is the number of
    units that gave only zeros in the last 100 calls, or in all if there were fewer.
    """

    call_site: str
    after: str
    calls: int
    elements: int
    zero_fraction: float
    units: int
    dead_units: int
    dead_now_units: int
    always_on_units: int
    death_rate: float
    zero_block_fraction: float
    nans: int
    low: float
    median: float
    p99: float
    high: float
    histogram: str

    @classmethod
    def of(cls, call_site: str, stats: ReLUStats, after: str = "") -> Row:
        low = median = p99 = high = math.nan
        picture = ""
        if stats.bins is not None:
            histogram = stats.histogram
            low, high = histogram.range
            median, p99 = histogram.quantile(0.5), histogram.quantile(0.99)
            picture = sparkline(histogram)
        by_width = [stats.of_width(width) for width in stats.widths]
        return cls(
            call_site=call_site,
            after=after,
            calls=stats.calls,
            elements=stats.elements,
            zero_fraction=stats.zero_fraction,
            units=sum(stats.widths),
            dead_units=sum(len(part.dead_units) for part in by_width),
            dead_now_units=sum(len(dead_now(part)) for part in by_width),
            always_on_units=sum(len(part.always_on_units) for part in by_width),
            death_rate=stats.death_rate,
            zero_block_fraction=stats.zero_block_fraction,
            nans=stats.nans,
            low=low,
            median=median,
            p99=p99,
            high=high,
            histogram=picture,
        )

    def cells(self) -> list[str]:
        """The cells of the printed table."""
        return [
            self.call_site,
            self.after,
            f"{self.elements:,}",
            f"{self.zero_fraction:.1%}",
            f"{self.dead_units}/{self.units}",
            str(self.dead_now_units),
            str(self.always_on_units),
            f"{self.death_rate:.1%}",
            "" if math.isnan(self.zero_block_fraction) else f"{self.zero_block_fraction:.1%}",
            *(_short(value) for value in (self.low, self.median, self.p99, self.high)),
            self.histogram,
        ]


def _short(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if 10 <= abs(value) < 1e6 else f"{value:.2g}"
