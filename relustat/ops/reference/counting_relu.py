"""The counting ReLU in plain torch and NumPy: slow, obvious, and nothing compiled."""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_counting_relu
from .counts import check_room, count_call


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
        counters: int64 [words] in the layout of
            :class:`relustat.stats.counter_layout.CounterLayout`, on the input's device.
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
    count_call(x, output.detach() == 0, None, counters, edges, unit_dim, mask, blocks)
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
    check_room(counters, x.numel())
    before = x.detach().clone()
    torch.relu_(x)
    count_call(before, x.detach() == 0, None, counters, edges, unit_dim, mask, blocks)
