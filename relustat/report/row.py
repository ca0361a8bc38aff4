"""The numbers of one call site."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from relustat._printable import printed
from relustat.stats.relu_stats import ReLUStats

from . import unit_plots
from .columns import COLUMNS
from .sparkline import sparkline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Row:
    """The numbers of one call site, unformatted: the columns of tables, data frames and files.

    Attributes:
        call_site: where the activation is computed.
        activation: its name.
        after: the layer that made its inputs; empty if none is known.
        calls: calls counted.
        elements: inputs counted.
        zero_fraction: share of outputs that are 0; NaN if inactive inputs do not give 0.
        inactive: share of inputs that are inactive; of a ReLU it is ``zero_fraction``. What follows
            speaks of zeros, and means inactive inputs where an activation is no ReLU.
        saturated: share of inputs from the upper knee on; NaN if there is none.
        units: number of units.
        dead: number of units that gave only zeros.
        dead_now: number of units that gave only zeros in the last 100 calls, or in all if there
            were fewer.
        always_on: number of units that gave no zero.
        death_rate: mean over units of dead calls / calls.
        zero_block_fraction: share of blocks of units that were all 0; NaN if they were not counted.
        nans: inputs that are NaN.
        min: lower bound of all inputs; like the next three NaN if only zeros were counted.
        median: median of the inputs.
        p99: 99th percentile of the inputs.
        max: upper bound of all inputs.
        histogram: the inputs as 12 characters.
        stats: the counts, from which all these are derived. It is no column.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.ReLU())
        >>> with relustat.watch(model) as watch:
        ...     _ = model(torch.tensor([[-1.0, 2.0]]))
        >>> row = watch.report()["0"]
        >>> row.dead, row.units, row.stats.dead_units
        (1, 2, array([0]))
    """

    call_site: str
    activation: str
    after: str
    calls: int
    elements: int
    zero_fraction: float
    inactive: float
    saturated: float
    units: int
    dead: int
    dead_now: int
    always_on: int
    death_rate: float
    zero_block_fraction: float
    nans: int
    min: float
    median: float
    p99: float
    max: float
    histogram: str
    stats: ReLUStats = dataclasses.field(repr=False, hash=False)

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
            activation=stats.activation.name,
            after=after,
            calls=stats.calls,
            elements=stats.elements,
            zero_fraction=stats.zero_fraction,
            inactive=stats.inactive_fraction,
            saturated=stats.saturated_fraction,
            units=sum(stats.widths),
            dead=sum(len(part.dead_units) for part in by_width),
            dead_now=sum(len(part.dead_now_units) for part in by_width),
            always_on=sum(len(part.always_on_units) for part in by_width),
            death_rate=stats.death_rate,
            zero_block_fraction=stats.zero_block_fraction,
            nans=stats.nans,
            min=low,
            median=median,
            p99=p99,
            max=high,
            histogram=picture,
            stats=stats,
        )

    def __str__(self) -> str:
        return printed(repr(self))

    def numbers(self) -> dict[str, Any]:
        """All columns by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    def numbers_within_bins(self) -> dict[str, Any]:
        """The same, with the outermost edge of the bins for what lies beyond it.

        Curves and files that know no infinity so show that a network diverges.
        """
        if self.stats.bins is None:
            return self.numbers()
        edges = self.stats.bins.edges
        beyond = {math.inf: float(edges[-1]), -math.inf: float(edges[0])}
        return {
            name: beyond.get(value, value) if isinstance(value, float) else value
            for name, value in self.numbers().items()
        }

    def texts(self) -> dict[str, str]:
        """All columns by name, as people read them."""
        return {
            "call_site": self.call_site,
            "activation": self.activation,
            "after": self.after,
            "calls": f"{self.calls:,}",
            "elements": f"{self.elements:,}",
            "zero_fraction": percent(self.zero_fraction),
            "inactive": percent(self.inactive),
            "saturated": known_percent(self.saturated),
            "units": f"{self.units:,}",
            "dead": f"{self.dead}/{self.units}",
            "dead_now": f"{self.dead_now}",
            "always_on": f"{self.always_on}",
            "death_rate": percent(self.death_rate),
            "zero_block_fraction": known_percent(self.zero_block_fraction),
            "nans": f"{self.nans:,}",
            **{name: short(getattr(self, name)) for name in ("min", "median", "p99", "max")},
            "histogram": self.histogram,
        }

    def plot_units(self) -> Figure:
        """The units as pictures: their shares of zeros, how often they fire, their histograms.

        :func:`relustat.report.unit_plots.unit_figure` says what is drawn.

        Raises:
            ImportError: if matplotlib is missing.
        """
        return unit_plots.unit_figure(self.call_site, self.stats)


def percent(share: float) -> str:
    """A share as a percentage, which is 100 % only if the share is 1."""
    if math.isnan(share):
        return "-"
    return ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def known_percent(share: float) -> str:
    """The same; empty if it is not known."""
    return "" if math.isnan(share) else percent(share)


def short(value: float) -> str:
    """A number with two or three digits."""
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if 10 <= abs(value) < 1e6 else f"{value:.2g}"
