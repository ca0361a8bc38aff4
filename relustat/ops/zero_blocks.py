"""Blocks of neighbouring units that are all inactive, in one read of the input."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .reference.checks import sizes_of_positions, unit_dims_of


def count_zero_blocks(
    x: Tensor, mask: Tensor | None, unit_dim: int, block: int, knee: float = 0.0
) -> Tensor:
    """The number of blocks of one call, and of those whose outputs are all 0: int64 [2].

    Args:
        x: the input of the ReLU, or what else is at most ``knee`` where a unit is inactive.
        mask: see :func:`relustat.functional.counting_relu`. It fits.
        unit_dim: the dimension of ``x`` whose indices are the units; ``x.dim()``: all is one unit.
        block: number of neighbouring units in a block. The last one of a position has the units
            that are left.
        knee: that of the activation.

    Example:
        >>> import torch
        >>> from relustat.ops.zero_blocks import count_zero_blocks
        >>> count_zero_blocks(torch.tensor([[-1.0, -2.0, 3.0, 0.0, -1.0]]), None, 1, 2).tolist()
        [3, 2]
    """
    x = x.detach()
    unit_dims = unit_dims_of(x, unit_dim)
    values = x if unit_dims else x.unsqueeze(unit_dim)
    dim = unit_dim % values.dim()
    if values.numel() == 0:
        return torch.zeros(2, dtype=torch.int64, device=x.device)
    # NaN is the largest value, and no zero.
    are_zero = [largest <= knee for largest in _largest(values, dim, block)]
    if mask is None:
        count = torch.stack([torch.ones_like(each).sum() for each in are_zero]).sum()
    else:
        kept = mask.expand(sizes_of_positions(x, unit_dims)).unsqueeze(dim)
        are_zero = [each & kept for each in are_zero]
        count = kept.sum() * sum([each.size(dim) for each in are_zero])
    return torch.stack([count, torch.stack([each.sum() for each in are_zero]).sum()])


def _largest(x: Tensor, dim: int, block: int) -> Iterator[Tensor]:
    """The largest value of each block: of the whole ones, and of the units that are left."""
    whole = x.size(dim) // block * block
    if whole:
        yield x.narrow(dim, 0, whole).unflatten(dim, (-1, block)).amax(dim + 1)
    if whole < x.size(dim):
        yield x.narrow(dim, whole, x.size(dim) - whole).amax(dim, keepdim=True)
