"""The relatives of the counting ReLU in plain torch and NumPy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from relustat.ops.family import CLAMP, THRESHOLD, computed, of_op

from .checks import check_counting_activation
from .counts import check_room, count_call
from .tensors import numpy_of


def counting_activation(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    activation: int,
    first: float,
    second: float,
    slopes: Tensor | None = None,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
) -> Tensor:
    """The activation of ``x``; adds its counts to ``counters``.

    Args:
        x: float32, float64, bfloat16 or float16.
        counters, edges, unit_dim, binning, mask, blocks: as
            :func:`relustat.reference.counting_relu` takes them.
        activation, first, second: the kind and the numbers of :mod:`relustat.ops.family`.
        slopes: of PReLU, one or one for each channel, in any size.
    """
    check_counting_activation(
        "counting_activation",
        x,
        counters,
        edges,
        unit_dim,
        binning,
        activation,
        first,
        second,
        slopes,
        mask,
        blocks,
    )
    member = of_op(activation, first, second, slopes is not None)
    output = computed(member, x, None if slopes is None else slopes.flatten(), False)
    _count(x, None, counters, edges, unit_dim, activation, first, second, mask, blocks)
    return output


def counting_activation_(
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    activation: int,
    first: float,
    second: float,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
) -> None:
    """:func:`counting_activation` written over its input."""
    check_counting_activation(
        "counting_activation_",
        x,
        counters,
        edges,
        unit_dim,
        binning,
        activation,
        first,
        second,
        None,
        mask,
        blocks,
    )
    check_room(counters, x.numel())
    before = x.detach().clone()
    computed(of_op(activation, first, second, False), x, None, True)
    _count(before, None, counters, edges, unit_dim, activation, first, second, mask, blocks)


def count_activation(
    x: Tensor,
    output: Tensor | None,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    activation: int,
    first: float,
    second: float,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
) -> None:
    """Counts a call that was computed elsewhere; ``output`` is what is looked at, if it is."""
    check_counting_activation(
        "count_activation",
        x,
        counters,
        edges,
        unit_dim,
        binning,
        activation,
        first,
        second,
        None,
        mask,
        blocks,
        output=output,
        is_computed=False,
    )
    _count(x, output, counters, edges, unit_dim, activation, first, second, mask, blocks)


def _count(
    x: Tensor,
    output: Tensor | None,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    activation: int,
    first: float,
    second: float,
    mask: Tensor | None,
    blocks: Tensor | None,
) -> None:
    values = numpy_of(x)
    saturated = None
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        if output is not None:
            inactive = np.abs(numpy_of(output)) <= _in_float32(first, x.dtype)
        elif activation == CLAMP:
            # PyTorch rounds its knees to the input's type.
            inactive = values <= torch.tensor(first, dtype=x.dtype).item()
            saturated = values >= torch.tensor(second, dtype=x.dtype).item()
        elif activation == THRESHOLD:
            inactive = values <= _in_float32(first, x.dtype)
        else:
            inactive = values <= 0
    are_saturated = None if saturated is None else torch.from_numpy(np.asarray(saturated))
    count_call(
        x.detach(),
        torch.from_numpy(np.asarray(inactive)),
        are_saturated,
        counters,
        edges,
        unit_dim,
        mask,
        blocks,
    )


def _in_float32(number: float, dtype: torch.dtype) -> float:
    return number if dtype == torch.float64 else float(np.float32(number))
