"""The counting ReLU in plain torch and NumPy: slow, obvious, and nothing compiled."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

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

from .checks import check_counting_relu, sizes_of_positions
from .tensors import numpy_of

# Calls from several threads may share counters.
_one_at_a_time = threading.Lock()


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


def counting_relu(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
) -> Tensor:
    """``torch.relu(x)``; adds its counts to ``counters``.

    Args:
        x: any real dtype, any shape.
        counters: int64 [words] in the layout of :class:`CounterLayout`, on the input's device.
        edges: float32 [bins + 1], or empty.
        unit_dim: the dimension of ``x`` whose indices are the units; ``x.dim()``: all of ``x`` is
            one unit.
        binning: how a kernel finds bins; here it only says whether there are any.
        mask: bool, in a size that expands to that of ``x`` without its unit dimension. Where it is
            false, nothing is counted.
        blocks: int64 [2], what a counted call adds to the blocks of units and to those of zeros.
    """
    check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks)
    output = torch.relu(x)
    _count(x.detach(), output.detach(), counters, edges, unit_dim, mask, blocks)
    return output


def counting_relu_(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
) -> None:
    """:func:`counting_relu` written over its input."""
    check_counting_relu(x, counters, edges, unit_dim, binning, mask, blocks)
    before = x.detach().clone()
    torch.relu_(x)
    _count(before, x.detach(), counters, edges, unit_dim, mask, blocks)


def _count(
    x: Tensor,
    output: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    mask: Tensor | None,
    blocks: Tensor | None,
) -> None:
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
        words[TICKS] += 1
        if (words[TICKS] - 1) % words[EVERY] == 0:
            values, outputs = (_by_unit(each, unit_dim)[:, kept.ravel()] for each in (x, output))
            _add_call(words, values, outputs, edges)
            if blocks is not None:
                words[BLOCKS : ZERO_BLOCKS + 1] += blocks.cpu().numpy()
        counters.copy_(torch.from_numpy(words))


def _add_call(
    words: npt.NDArray[np.int64],
    x: npt.NDArray[np.generic],  # [units, elements per unit]
    output: npt.NDArray[np.generic],
    edges: Tensor,
) -> None:
    units, elements_per_unit = x.shape
    zeros = (output == 0).sum(axis=1)
    words[CALLS] += 1
    words[ELEMENTS] += x.size
    layout = CounterLayout(units, 1, max(edges.numel() - 1, 0))
    words[layout.zeros] += zeros
    is_dead = zeros == elements_per_unit
    words[layout.dead_calls] += is_dead
    words[layout.since_fired] = np.where(is_dead, words[layout.since_fired] + 1, 0)

    histogram = words[layout.histograms]
    if edges.numel() == 0:
        histogram[0] += np.isnan(x).sum()
        return
    positions = find_slots(x, edges.double().cpu().numpy())
    if len(histogram) != layout.slots:
        positions = positions + layout.slots * np.arange(units)[:, None]
    histogram += np.bincount(positions.ravel(), minlength=len(histogram))


def _by_unit(x: Tensor, unit_dim: int) -> npt.NDArray[np.generic]:
    values = numpy_of(x)
    if unit_dim == x.dim():
        return values.reshape(1, -1)
    return np.moveaxis(values, unit_dim, 0).reshape(x.size(unit_dim), -1)
