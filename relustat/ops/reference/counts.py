"""Counts in NumPy, for all ops that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from relustat._locks import fork_safe_lock
from relustat._torch_internals import is_in_backward
from relustat.stats.counter_layout import (
    BLOCKS,
    CALLS,
    ELEMENTS,
    EVERY,
    TICKS,
    ZERO_BLOCKS,
    CounterLayout,
)

from .checks import sizes_of_positions
from .tensors import numpy_of

# Calls from several threads may share counters.
_one_at_a_time = fork_safe_lock()


def find_slots(
    values: npt.NDArray[np.generic], edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """The slot of each value: 0 underflow, 1 to n the bins, n + 1 overflow, n + 2 NaN."""
    bins = len(edges) - 1
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        last = values == edges[-1]
        slots = np.searchsorted(edges, values, side="right")
    slots[last] = bins
    slots[np.isnan(values)] = bins + 2
    return slots


def check_room(counters: Tensor, elements: int) -> None:
    """Raises an OverflowError if the counts of a call might not fit: csrc/cpu/counted_calls.cpp."""
    every, counted, ticks = counters[[EVERY, ELEMENTS, TICKS]].tolist()
    most = np.iinfo(np.int64).max
    if every > 0 and (counted > most - elements or ticks == most):
        raise OverflowError(
            f"Counters: counts must stay below 2**63, got {counted} elements and a call with "
            f"{elements} more"
        )


def count_call(
    x: Tensor,
    inactive: Tensor,
    saturated: Tensor | None,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    mask: Tensor | None,
    blocks: Tensor | None,
) -> None:
    """Adds the counts of one call to ``counters``.

    Args:
        x: the input.
        inactive: bool, of x's shape: where it is inactive.
        saturated: the same; None if the activation has no upper knee.
        counters, edges, unit_dim, mask, blocks: as the ops take them.

    Raises:
        OverflowError: if the counts might pass 2^63 - 1.
    """
    units = [unit_dim] if unit_dim < x.dim() else []
    kept = np.ones(sizes_of_positions(x, units), dtype=bool)
    if mask is not None:
        kept &= mask.cpu().numpy()
    if x.numel() == 0 or not kept.any() or is_in_backward():
        return
    with _one_at_a_time:
        words = counters.cpu().numpy().copy()
        if words[EVERY] <= 0:
            return
        check_room(counters, x.numel())
        words[TICKS] += 1
        if (words[TICKS] - 1) % words[EVERY] == 0:
            values, are_inactive, are_saturated = (
                _by_unit(each, unit_dim)[:, kept.ravel()]
                for each in (x, inactive, inactive if saturated is None else saturated)
            )
            has_upper = saturated is not None
            _add_call(words, values, are_inactive, are_saturated if has_upper else None, edges)
            if blocks is not None:
                words[BLOCKS : ZERO_BLOCKS + 1] += blocks.cpu().numpy()
        counters.copy_(torch.from_numpy(words))


def _add_call(
    words: npt.NDArray[np.int64],
    x: npt.NDArray[Any],  # [units, elements per unit], as what follows
    inactive: npt.NDArray[np.bool_],
    saturated: npt.NDArray[np.bool_] | None,
    edges: Tensor,
) -> None:
    units, elements_per_unit = x.shape
    zeros = inactive.sum(axis=1)
    words[CALLS] += 1
    words[ELEMENTS] += x.size
    layout = CounterLayout(units, 1, max(edges.numel() - 1, 0), saturated is not None)
    words[layout.zeros] += zeros
    is_dead = zeros == elements_per_unit
    words[layout.dead_calls] += is_dead
    words[layout.since_fired] = np.where(is_dead, words[layout.since_fired] + 1, 0)
    if saturated is not None:
        words[layout.saturated] += saturated.sum(axis=1)

    histogram = words[layout.histograms]
    if edges.numel() == 0:
        histogram[0] += np.isnan(x).sum()
        return
    positions = find_slots(x, edges.double().cpu().numpy())
    if len(histogram) != layout.slots:
        positions = positions + layout.slots * np.arange(units)[:, None]
    histogram += np.bincount(positions.ravel(), minlength=len(histogram))


def _by_unit(x: Tensor, unit_dim: int) -> npt.NDArray[Any]:
    values = numpy_of(x)
    if unit_dim == x.dim():
        return values.reshape(1, -1)
    return np.moveaxis(values, unit_dim, 0).reshape(x.size(unit_dim), -1)
