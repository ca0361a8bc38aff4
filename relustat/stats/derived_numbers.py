"""Numbers that follow from the counts of a ReLU."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from relustat._checks import is_integer

from .activation import Activation
from .bins import Bins
from .counter_layout import slot_count
from .histogram import Histogram, Int64Array
from .unit_counts import UnitCounts

# In calls.
_OF_LATE = 100


class DerivedNumbers:
    """The totals, rates and units of counts by width: see :class:`relustat.ReLUStats`."""

    __slots__ = ()

    bins: Bins | None
    by_width: Mapping[int, UnitCounts]
    activation: Activation

    # Totals

    @property
    def calls(self) -> int:
        """Calls counted; calls with an empty input are not."""
        return sum(counts.calls for counts in self.by_width.values())

    @property
    def elements(self) -> int:
        """Elements counted, NaNs included."""
        return sum(counts.elements for counts in self.by_width.values())

    @property
    def inactive(self) -> int:
        """Inactive inputs: up to the lower knee, NaN not. Of a ReLU they are its zeros.

        Of an activation without a knee: inputs whose outputs are near 0.
        """
        return sum(int(counts.zeros.sum()) for counts in self.by_width.values())

    @property
    def saturated(self) -> int | None:
        """Inputs from the upper knee on, +inf included; None if there is no upper knee."""
        if self.activation.upper is None:
            return None
        return sum(
            int(counts.saturated.sum())
            for counts in self.by_width.values()
            if counts.saturated is not None
        )

    @property
    def zeros(self) -> int:
        """Outputs equal to 0: inputs <= 0, -0.0 included, NaN not.

        Raises:
            ValueError: if the activation does not give 0 where it is inactive, as a LeakyReLU.
        """
        self._check_gives_zero("zeros", "inactive")
        return self.inactive

    @property
    def nans(self) -> int:
        """NaN inputs."""
        return sum(int(counts.slots[:, -1].sum()) for counts in self.by_width.values())

    @property
    def zero_fraction(self) -> float:
        """``zeros / elements``; NaN if nothing was counted, or inactive outputs are not 0."""
        return self.inactive_fraction if self.activation.gives_zero else math.nan

    @property
    def inactive_fraction(self) -> float:
        """``inactive / elements``; NaN if nothing was counted."""
        return self.inactive / self.elements if self.elements else math.nan

    @property
    def saturated_fraction(self) -> float:
        """``saturated / elements``; NaN if nothing was counted, or there is no upper knee."""
        saturated = self.saturated
        return math.nan if saturated is None or not self.elements else saturated / self.elements

    @property
    def activation_rate(self) -> float:
        """Share of inputs that are active. It is ``1 - inactive_fraction`` without NaNs."""
        if not self.elements:
            return math.nan
        return (self.elements - self.inactive - self.nans) / self.elements

    @property
    def death_rate(self) -> float:
        """Mean over units of the share of calls in which all outputs of the unit were 0.

        That is the share of units that a call, a batch as a rule, leaves silent as a whole.
        """
        rates = [counts.dead_calls / counts.calls for counts in self.by_width.values()]
        return float(np.concatenate(rates).mean()) if rates else math.nan

    @property
    def blocks(self) -> int:
        """Blocks of ``block`` neighbouring units at one position; 0 if they were not counted.

        The last block of a position has the units that are left, which may be fewer.
        """
        return sum(counts.blocks for counts in self.by_width.values())

    @property
    def zero_blocks(self) -> int:
        """Blocks whose outputs were all 0: what structured sparsity skips."""
        return sum(counts.zero_blocks for counts in self.by_width.values())

    @property
    def zero_block_fraction(self) -> float:
        """``zero_blocks / blocks``; NaN if blocks were not counted."""
        return self.zero_blocks / self.blocks if self.blocks else math.nan

    @property
    def histogram(self) -> Histogram:
        """Histogram of all inputs.

        Raises:
            ValueError: if only zeros were counted (``bins=None``).
        """
        bins = self._bins_for("histogram")
        slots = np.zeros(slot_count(len(bins)), dtype=np.int64)
        for counts in self.by_width.values():
            slots += counts.slots.sum(axis=0)
        return Histogram(
            bins,
            slots[1:-2].copy(),
            underflow=int(slots[0]),
            overflow=int(slots[-2]),
            nan=int(slots[-1]),
        )

    def quantile(self, q: float) -> float:
        """See :meth:`Histogram.quantile`."""
        return self.histogram.quantile(q)

    @property
    def mean(self) -> float:
        """See :attr:`Histogram.mean`."""
        return self.histogram.mean

    @property
    def std(self) -> float:
        """See :attr:`Histogram.std`."""
        return self.histogram.std

    # Units

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths (numbers of units) of the inputs, in the order in which they came."""
        return tuple(self.by_width)

    @property
    def unit_inactive(self) -> Int64Array:
        """Inactive inputs of each unit, int64 [units]."""
        return self._only_width("unit_inactive").zeros

    @property
    def unit_zeros(self) -> Int64Array:
        """Zeros of each unit, int64 [units].

        Raises:
            ValueError: if the activation does not give 0 where it is inactive.
        """
        self._check_gives_zero("unit_zeros", "unit_inactive")
        return self._only_width("unit_zeros").zeros

    @property
    def unit_saturated(self) -> Int64Array | None:
        """Saturated inputs of each unit, int64 [units]; None if there is no upper knee."""
        counts = self._only_width("unit_saturated")
        if self.activation.upper is None:
            return None
        return np.zeros_like(counts.zeros) if counts.saturated is None else counts.saturated

    @property
    def unit_elements(self) -> Int64Array:
        """Elements of each unit, int64 [units]."""
        counts = self._only_width("unit_elements")
        units = len(counts.zeros)
        return np.full(units, counts.elements // units if units else 0, dtype=np.int64)

    @property
    def unit_dead_calls(self) -> Int64Array:
        """Calls in which all outputs of the unit were 0, int64 [units]."""
        return self._only_width("unit_dead_calls").dead_calls

    @property
    def dead_units(self) -> Int64Array:
        """Indices of the units whose outputs were all 0 since the last reset, int64 [dead]."""
        return np.nonzero(self.unit_inactive == self.unit_elements)[0].astype(np.int64)

    @property
    def saturated_units(self) -> Int64Array:
        """Indices of the units whose inputs were all saturated, int64 [saturated]."""
        saturated = self.unit_saturated
        if saturated is None:
            return np.zeros(0, dtype=np.int64)
        return np.nonzero(saturated == self.unit_elements)[0].astype(np.int64)

    @property
    def calls_since_fired(self) -> Int64Array:
        """Counted calls since each unit last gave an output other than 0, int64 [units].

        A unit that never did has all calls. Sparse autoencoders know it as "passes since fired".
        Of a sum ``a + b`` it is the minimum, so a unit is as dead as in its liveliest part.
        """
        return self._only_width("calls_since_fired").since_fired

    def dead_for(self, calls: int = 100) -> Int64Array:
        """Indices of the units that gave only zeros in the last ``calls`` calls, int64 [dead].

        Raises:
            ValueError: if ``calls`` is not an integer of at least 1.

        Example:
            >>> import torch, relustat
            >>> relu = relustat.CountingReLU()
            >>> for x in (1.0, -1.0, -1.0):
            ...     _ = relu(torch.tensor([[x, 2.0]]))
            >>> relu.stats.dead_for(2).tolist(), relu.stats.dead_units.tolist()
            ([0], [])
        """
        if not is_integer(calls) or calls < 1:
            raise ValueError(f"dead_for: calls must be an integer of at least 1, got {calls!r}")
        return np.nonzero(self.calls_since_fired >= calls)[0].astype(np.int64)

    @property
    def dead_now_units(self) -> Int64Array:
        """Indices of the units that are dead now, int64 [dead].

        They gave only zeros in the last 100 counted calls, or in all if there were fewer.

        Example:
            >>> import torch, relustat
            >>> relu = relustat.CountingReLU()
            >>> for first in [1.0, *[-1.0] * 100]:
            ...     _ = relu(torch.tensor([[first, 2.0]]))
            >>> relu.stats.dead_now_units.tolist(), relu.stats.dead_units.tolist()
            ([0], [])
        """
        return np.union1d(self.dead_units, self.dead_for(_OF_LATE))

    @property
    def always_on_units(self) -> Int64Array:
        """Indices of the units with no output of 0 since the last reset, int64 [always on]."""
        return np.nonzero(self._only_width("always_on_units").zeros == 0)[0].astype(np.int64)

    @property
    def unit_histograms(self) -> Int64Array | None:
        """Counts of each unit's inputs per bin, int64 [units, n]; None without ``unit_histograms``.

        Flow and NaN are in ``by_width[width].slots``.
        """
        counts = self._only_width("unit_histograms")
        if self.bins is None or counts.slots.shape[0] != len(counts.zeros):
            return None
        return counts.slots[:, 1:-2]

    def _check_gives_zero(self, name: str, instead: str) -> None:
        if not self.activation.gives_zero:
            activation = self.activation
            raise ValueError(
                f"{name}: the outputs of inactive inputs must be 0, got those of "
                f"{activation.name}; ask {instead}, which counts {activation.inactive_inputs}"
            )

    def _only_width(self, name: str) -> UnitCounts:
        if not self.by_width:
            none = np.zeros(0, dtype=np.int64)
            return UnitCounts(0, 0, none, none, none, np.zeros((1, 1), dtype=np.int64))
        if len(self.by_width) > 1:
            raise ValueError(
                f"{name}: units are told apart only within one width, got inputs of widths "
                f"{', '.join(map(str, self.widths))}; ask of_width({self.widths[0]}).{name}"
            )
        return next(iter(self.by_width.values()))

    def _bins_for(self, name: str) -> Bins:
        if self.bins is None:
            raise ValueError(f"{name}: needs bins, got bins=None, which counts zeros only")
        return self.bins
