"""Unpooling by PyTorch's indices, the same in each run."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_last(restored: Tensor, input: Tensor, indices: Tensor, axes: int) -> None:
    """Of several values with one index, writes the last one where PyTorch has put any of them.

    PyTorch's threads share out the values of a plane, in any memory format, so it is chance which
    one of them is written last. The gradient does not depend on it.

    Args:
        restored: what PyTorch made of ``input`` and ``indices``; it is written over.
        input: the values, [(N,) C, spatial ...].
        indices: where they belong in their planes.
        axes: the number of spatial axes.
    """
    with torch.no_grad():
        cells, values, at = (each.flatten(-axes) for each in (restored, input, indices))
        places = torch.arange(at.size(-1), device=at.device).expand_as(at)
        last = torch.zeros_like(cells, dtype=at.dtype).scatter_reduce_(-1, at, places, "amax")
        # All that have one index have one value now.
        cells.scatter_(-1, at, values.gather(-1, last.gather(-1, at)))
