"""What counts must fulfil, wherever they come from: kernels, files, dicts, states or sums.

Each rule holds for one call, and for sums of calls. No count of a width, and no sum of such counts
over units, is above its elements. So no sum wraps if that of the elements does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from .activation import Activation
from .bins import Bins
from .exact import row_sums, total
from .histogram import Int64Array

_Rules = dict[str, "bool | np.bool[bool]"]


class Counts(Protocol):
    """What :class:`relustat.stats.unit_counts.UnitCounts` has."""

    @property
    def calls(self) -> int: ...
    @property
    def elements(self) -> int: ...
    @property
    def zeros(self) -> Int64Array: ...
    @property
    def dead_calls(self) -> Int64Array: ...
    @property
    def since_fired(self) -> Int64Array: ...
    @property
    def slots(self) -> Int64Array: ...
    @property
    def blocks(self) -> int: ...
    @property
    def zero_blocks(self) -> int: ...
    @property
    def saturated(self) -> Int64Array | None: ...


def check_arrays(units: int, arrays: Mapping[str, Int64Array]) -> None:
    """Checks the counts of each unit, and the histograms, one by one.

    Raises:
        ValueError: if an array is not int64, has another shape, or has a negative count.
    """
    for name, counts in arrays.items():
        is_histogram = name == "slots"
        shapes = "[1 or {0}, slots]" if is_histogram else "[{0}]"
        fits = (
            counts.ndim == 2 and counts.shape[0] in (1, units) and counts.shape[1] > 0
            if is_histogram
            else counts.shape == (units,)
        )
        if not fits:
            raise ValueError(
                f"ReLUStats: {name} must be {shapes.format(units)}, got {list(counts.shape)}"
            )
        if counts.dtype != np.int64 or (counts.size and counts.min() < 0):
            raise ValueError(f"ReLUStats: {name} must be int64 and not negative, got {counts}")


def check_agreement(counts: Counts) -> None:
    """Checks the counts of one width against one another; :func:`check_arrays` comes first.

    Raises:
        ValueError: if they do not agree.
    """
    calls, elements, slots = counts.calls, counts.elements, counts.slots
    zeros, dead_calls, saturated = counts.zeros, counts.dead_calls, counts.saturated
    units = len(zeros)
    of_unit = elements // units if units else 0
    alive_calls, nonzeros = calls - dead_calls, of_unit - zeros
    of_row = of_unit if len(slots) == units else elements
    binned = row_sums(slots)
    rules: _Rules = {
        "elements must be a multiple of units": 0 <= elements == of_unit * units,
        # A call without elements is not counted.
        "a unit must have an element in each call": (1 if elements else 0) <= calls <= of_unit,
        "zeros must be at most elements": (nonzeros >= 0).all(),
        # Knees may be one number in the input's type. Then an input is both.
        "saturated must be at most elements": saturated is None or (saturated <= of_unit).all(),
        "dead calls must be at most calls": (alive_calls >= 0).all(),
        "a dead call must have a zero": (dead_calls <= zeros).all(),
        "a call that is not dead must have another output": (alive_calls <= nonzeros).all(),
        "a unit dead in all calls must have only zeros": (
            (alive_calls > 0) | (nonzeros == 0)
        ).all(),
        "calls since a unit fired must be at most its dead ones": (
            (counts.since_fired <= dead_calls).all()
        ),
        "blocks must be at most elements": 0 <= counts.zero_blocks <= counts.blocks <= elements,
        "all elements must be in the histogram": (
            (binned <= of_row).all() if slots.shape[1] == 1 else (binned == of_row).all()
        ),
    }
    _check_rules(rules, counts, "")


def check_shard(shard: tuple[int, int] | None) -> None:
    """Raises a ValueError if this is not the index of a shard and the number of shards."""
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise ValueError(f"ReLUStats: shard must be one of {shard[1]}, got {shard[0]}")


def check_meaning(
    counts: Counts, bins: Bins | None, activation: Activation, block: int | None
) -> None:
    """Checks the counts of one width against what was counted; the other checks come first.

    Raises:
        ValueError: if they do not agree.
    """
    elements, slots = counts.elements, counts.slots
    zeros, saturated = counts.zeros, counts.saturated
    units = len(zeros)
    inactive, nans = zeros, slots[:, -1]
    of_row = elements // units if units else 0
    of_knee = saturated
    if len(slots) != units:
        inactive, of_row = zeros.sum(keepdims=True), elements
        of_knee = None if saturated is None else saturated.sum(keepdims=True)
    rules: _Rules = {}
    if activation.near_zero is None:
        rules["NaN must be neither inactive nor saturated"] = (
            inactive <= of_row - nans
        ).all() and (of_knee is None or (of_knee <= of_row - nans).all())
    # Other knees are rounded to the input's type.
    if activation.near_zero is None and activation.lower == 0:
        active = elements - int(zeros.sum())
        rules["a block of zeros must have a zero, and another block another output"] = (
            counts.zero_blocks <= elements - active and counts.blocks - counts.zero_blocks <= active
        )
        if bins is not None:
            knee = int(np.searchsorted(bins.edges, 0.0, side="right"))
            below = slots[:, :knee].sum(axis=1)
            rules["zeros must be what the histogram has up to 0"] = (
                (below <= inactive) & (inactive <= below + slots[:, knee])
            ).all()
    if block is None:
        rules["blocks must have a size"] = counts.blocks == 0
    else:
        # Shards of units that were put side by side have more blocks than all units at once.
        in_position = -(-units // block)
        rules["each position must have its blocks"] = (
            counts.blocks >= (elements // units if units else 0) * in_position
        )
    _check_rules(rules, counts, f" of {activation.described} in {bins}, block={block}")


def _check_rules(rules: _Rules, counts: Counts, of: str) -> None:
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise ValueError(
            f"ReLUStats: counts must agree: {broken[0]}; got{of} calls={counts.calls}, "
            f"elements={counts.elements}, units={len(counts.zeros)}, zeros={total(counts.zeros)}, "
            f"dead calls={total(counts.dead_calls)}, in the histogram {total(counts.slots)}, "
            f"NaNs={total(counts.slots[:, -1])}, blocks={counts.blocks}, "
            f"zero blocks={counts.zero_blocks}"
        )
