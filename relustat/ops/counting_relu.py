"""The counting ReLU as a function: thin, checked, differentiable."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from relustat.stats.activation import Activation
from relustat.stats.bins import Bins, LogBins
from relustat.stats.relu_stats import ReLUStats

from . import library, reference
from .counters import Counters
from .inputs import describe, is_countable, is_dense, is_symbolic
from .reference.checks import check_mask, unit_dims_of
from .unit_dim import UnitDim
from .zero_blocks import count_zero_blocks

aten: Any = torch.ops.aten


def counting_relu(
    x: Tensor,
    counters: Counters,
    *,
    inplace: bool = False,
    unit_dim: UnitDim | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """``relu(x)``, counted in the same pass over memory.

    The output and gradients of any order are bit for bit those of ``torch.nn.functional.relu``.
    Nothing is counted under ``torch.func`` transforms, in ``torch.jit.trace`` and ``torch.export``,
    on the meta device, and in the recomputation of activation checkpointing.

    Args:
        x: any shape and memory layout; float32, float64, bfloat16 or float16, or an integer type
            (counted by the slow reference).
        counters: where the counts are added.
        inplace: write the output over ``x``.
        unit_dim: the unit dimension of this input, or several, if they differ from those of
            ``counters``.
        mask: bool, of x's shape without its unit dimension, or in a shape that expands to it, on
            x's device. Where it is False, as for padding, elements are rectified and not counted.
            A call without any True counts nothing.

    Returns:
        The output, of x's shape, dtype and strides; ``x`` itself if ``inplace``.

    Raises:
        TypeError: if ``x`` is complex, boolean, sparse, quantised or nested, or not a tensor.
        IndexError: if ``unit_dim`` is not a dimension of ``x``.
        ValueError: if one of several unit dimensions stands there twice, or ``mask`` has another
            shape, dtype or device.
        OverflowError: if the counts might pass 2^63 - 1. Then nothing has changed. In CUDA memory
            reading the counters raises it.

    Example:
        >>> import torch, relustat
        >>> counters = relustat.Counters(bins=None)
        >>> relustat.functional.counting_relu(torch.tensor([-1.0, 2.0]), counters)
        tensor([0., 2.])
        >>> counters.stats.zeros
        1
        >>> tokens, is_token = torch.tensor([[-1.0, 2.0], [3.0, 4.0]]), torch.tensor([True, False])
        >>> _ = relustat.functional.counting_relu(tokens, counters, mask=is_token)
        >>> counters.stats.elements
        4
    """
    if mask is not None and not is_dense(mask):
        raise TypeError(
            f"counting_relu: mask must be a dense tensor of torch.bool, got {describe(mask)}"
        )
    is_compiling = torch.compiler.is_dynamo_compiling()
    ops: Any
    if not is_compiling and library.without_dispatcher.is_plain(x):
        ops = library.without_dispatcher
    elif not isinstance(x, Tensor) or is_symbolic(x):
        return F.relu(x, inplace=inplace)
    elif has_torch_function_unary(x):
        return handle_torch_function(
            counting_relu, (x,), x, counters, inplace=inplace, unit_dim=unit_dim, mask=mask
        )
    elif not is_countable(x):
        if not counters.enabled:
            return F.relu(x, inplace=inplace)
        raise TypeError(
            "counting_relu: input must be a dense tensor of float32, float64, bfloat16, float16 "
            f"or an integer type, got {describe(x)}"
        )
    else:
        ops = library if x.dtype in library.KERNEL_DTYPES else reference
    dim, units = counters.units_of(x, unit_dim)
    if mask is not None:
        check_mask(x, unit_dims_of(x, dim), mask)
    if isinstance(dim, tuple):
        return _counted_by_several(x, counters, inplace, dim, mask)
    arguments = arguments_of_op(x, counters, dim, units, mask)
    if is_compiling and not inplace:
        # Inductor leaves the copy out where x is not read again.
        x, inplace = x.clone(), True
    if inplace:
        ops.counting_relu_(x, *arguments)
        return x
    output: Tensor = ops.counting_relu(x, *arguments)
    return output


def arguments_of_op(
    x: Tensor,
    counters: Counters,
    dim: int,
    units: int,
    mask: Tensor | None,
    output: Tensor | None = None,
) -> tuple[Any, ...]:
    """What the op takes beside ``x``: counters, edges, unit_dim, binning, mask and blocks.

    ``output`` is that of an activation without a knee.
    """
    binning, block = counters.binning, counters.zero_blocks
    words, edges = counters.tensors_for(units, x.device)
    if torch.compiler.is_dynamo_compiling():
        # Constants of the graph: beside variables Inductor does not choose the layouts.
        dim, binning = operator.index(dim), operator.index(binning)
        block = None if block is None else operator.index(block)
    blocks = None
    if block is not None:
        blocks = _blocks(x, output, counters.activation, mask, dim, block)
    return words, edges, dim, binning, mask, blocks


def _blocks(
    x: Tensor,
    output: Tensor | None,
    activation: Activation,
    mask: Tensor | None,
    dim: int,
    block: int,
) -> Tensor:
    if output is not None and activation.near_zero is not None:
        # Kernels compare in float32, too.
        magnitude = output.detach().abs()
        values = magnitude if magnitude.dtype == torch.float64 else magnitude.float()
        return count_zero_blocks(values, mask, dim, block, activation.near_zero)
    if activation.upper is None and activation.lower != 0:
        x = x if x.dtype == torch.float64 else x.float()
    return count_zero_blocks(x, mask, dim, block, activation.lower)


def _counted_by_several(
    x: Tensor, counters: Counters, inplace: bool, unit_dims: tuple[int, ...], mask: Tensor | None
) -> Tensor:
    """Units are made of several dimensions, in ascending order: these become one."""
    first, last = unit_dims[0], unit_dims[-1]
    if last - first + 1 == len(unit_dims) and x.is_contiguous():
        flat = x.flatten(first, last)
        output = counting_relu(flat, counters, inplace=inplace, unit_dim=first, mask=mask)
        return x if inplace else output.view(x.shape)
    # A view that has them as one dimension need not exist.
    others = [dim for dim in range(x.dim()) if dim not in unit_dims]
    with torch.no_grad():
        units_last = x.permute(*others, *unit_dims).flatten(len(others))
        if inplace:
            units_last = units_last.clone()
    # First, because it may raise an error. (In a graph, a watch would take F.relu for another one.)
    rectified: Tensor = aten.relu_.default(x) if inplace else aten.relu.default(x)
    with torch.no_grad():
        counting_relu(units_last, counters, unit_dim=-1, mask=mask)
    return rectified


def relu_stats(
    x: Tensor,
    bins: Bins | None = LogBins(),
    unit_dim: UnitDim = "auto",
    *,
    unit_histograms: bool = False,
    mask: Tensor | None = None,
    zero_blocks: int | None = None,
) -> tuple[Tensor, ReLUStats]:
    """``relu(x)`` and the statistics of this one call.

    Args and errors are those of :class:`relustat.Counters` and :func:`counting_relu`.

    Example:
        >>> import torch, relustat
        >>> y, stats = relustat.functional.relu_stats(torch.tensor([[-1.0, 2.0]]))
        >>> stats.zeros, stats.dead_units.tolist()
        (1, [0])
    """
    counters = Counters(
        bins, unit_dim=unit_dim, unit_histograms=unit_histograms, zero_blocks=zero_blocks
    )
    return counting_relu(x, counters, mask=mask), counters.stats
