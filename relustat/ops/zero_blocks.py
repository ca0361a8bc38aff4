"""Counts blocks of neighbouring units whose outputs are all 0, in one read of the input."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from relustat._torch_internals import is_in_backward
from relustat.stats.counter_layout import BLOCKS, EVERY, TICKS, ZERO_BLOCKS

from .reference.checks import sizes_of_positions, why_mask_does_not_fit

# An op, so that no compiler computes it twice, as in activation checkpointing.
_library = torch.library.Library("relustat", "FRAGMENT")
_library.define(
    "count_zero_blocks(Tensor x, Tensor? mask, Tensor(a!) counters, int unit_dim, int block) -> ()",
    tags=(torch.Tag.pt2_compliant_tag,),
)

# Calls from several threads may share counters.
_one_at_a_time = threading.Lock()


def count_zero_blocks(
    x: Tensor, mask: Tensor | None, counters: Tensor, unit_dim: int, block: int
) -> None:
    """Adds the blocks of one call to its counters, before the call itself is counted there.

    Args:
        x: the input of the ReLU.
        mask: see :func:`relustat.functional.counting_relu`.
        counters: see :class:`relustat.stats.counter_layout.CounterLayout`.
        unit_dim: the dimension of ``x`` whose indices are the units; ``x.dim()``: all is one unit.
        block: number of neighbouring units in a block.
    """
    if torch.compiler.is_dynamo_compiling():
        op: Any = torch.ops.relustat.count_zero_blocks.default
        op(x, mask, counters, unit_dim, block)
    else:
        _count(x, mask, counters, unit_dim, block)


def _count(x: Tensor, mask: Tensor | None, counters: Tensor, unit_dim: int, block: int) -> None:
    unit_dims = (unit_dim,) if unit_dim < x.dim() else ()
    problem = "" if mask is None else why_mask_does_not_fit(x, unit_dims, mask)
    if problem:
        raise ValueError(f"counting_relu: {problem}")
    if x.numel() == 0 or is_in_backward():
        return
    with torch.no_grad():
        values = x.detach() if unit_dims else x.detach().unsqueeze(unit_dim)
        # NaN is the largest value, and no zero.
        blocks = [largest <= 0 for largest in _largest(values, unit_dim, block)]
        if mask is not None:
            positions = mask.expand(sizes_of_positions(x, unit_dims))
            kept = positions.unsqueeze(unit_dim % values.dim())
            are_counted = [kept.expand_as(each) for each in blocks]
        else:
            are_counted = [torch.ones_like(each) for each in blocks]
        count = torch.stack([each.sum() for each in are_counted]).sum()
        zero = torch.stack(
            [(each & counted).sum() for each, counted in zip(blocks, are_counted, strict=True)]
        ).sum()
        with _one_at_a_time:
            # Not to wait for the device, all is computed there.
            every = counters[EVERY]
            is_counted = (every > 0) & (counters[TICKS] % every.clamp(min=1) == 0)
            counters[BLOCKS : ZERO_BLOCKS + 1] += torch.stack([count, zero]) * is_counted


def _largest(x: Tensor, unit_dim: int, block: int) -> Iterator[Tensor]:
    """The largest value of each block: of the whole ones, and of the units that are left."""
    whole = x.size(unit_dim) // block * block
    if whole:
        parts = x.narrow(unit_dim, 0, whole).unflatten(unit_dim, (-1, block))
        yield parts.amax(unit_dim + 1 if unit_dim >= 0 else unit_dim)
    if whole < x.size(unit_dim):
        yield x.narrow(unit_dim, whole, x.size(unit_dim) - whole).amax(unit_dim, keepdim=True)


_library.impl("count_zero_blocks", _count, "CompositeExplicitAutograd")
torch.library.register_fake("relustat::count_zero_blocks", lambda *_: None)
