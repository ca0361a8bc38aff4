"""Where each count lies among the words of the counters: csrc/relu/counters.h in Python."""

from __future__ import annotations

import dataclasses

EVERY, TICKS, CALLS, ELEMENTS, BLOCKS, ZERO_BLOCKS = range(6)
_HEADER = 6


@dataclasses.dataclass(frozen=True)
class CounterLayout:
    """The words of one ReLU's counters for inputs with one number of units.

    The words are int64. The first six have fixed positions: ``EVERY`` (count one call in this
    many; 0 counts none), ``TICKS`` (calls seen while that is not 0), ``CALLS`` and ``ELEMENTS``
    (counted ones), ``BLOCKS`` of units and ``ZERO_BLOCKS``. Then follow, for each unit, its zeros,
    its dead calls, and the counted calls since it last gave an output other than 0; if the
    activation has an upper knee, its saturated inputs; at last the histograms, [rows, slots]. Of
    another activation than ReLU, the zeros are its inactive inputs.

    Args:
        units: number of units.
        rows: 1, or ``units`` if each unit has a histogram of its own.
        bins: number of bins; 0: only NaNs are counted.
        saturates: whether the activation has an upper knee.

    Example:
        >>> from relustat.stats.counter_layout import CounterLayout
        >>> layout = CounterLayout(units=3, rows=1, bins=2)
        >>> layout.zeros, layout.dead_calls, layout.since_fired
        (slice(6, 9, None), slice(9, 12, None), slice(12, 15, None))
        >>> layout.slots, layout.size
        (5, 20)
    """

    units: int
    rows: int
    bins: int
    saturates: bool = False

    @property
    def zeros(self) -> slice:
        return slice(_HEADER, _HEADER + self.units)

    @property
    def dead_calls(self) -> slice:
        return slice(self.zeros.stop, self.zeros.stop + self.units)

    @property
    def since_fired(self) -> slice:
        return slice(self.dead_calls.stop, self.dead_calls.stop + self.units)

    @property
    def saturated(self) -> slice:
        stop = self.since_fired.stop
        return slice(stop, stop + self.units if self.saturates else stop)

    @property
    def histograms(self) -> slice:
        return slice(self.saturated.stop, None)

    @property
    def slots(self) -> int:
        """See :func:`slot_count`."""
        return slot_count(self.bins)

    @property
    def size(self) -> int:
        """Number of words."""
        return int(self.histograms.start) + self.rows * self.slots


def slot_count(bins: int) -> int:
    """Words of one histogram: underflow, the bins, overflow, NaN; only NaN without bins."""
    return 1 if bins == 0 else bins + 3
