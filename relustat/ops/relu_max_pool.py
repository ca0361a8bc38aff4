"""ReLU, its counts and max-pooling in one pass over memory, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import has_torch_function_unary

from . import library
from .counters import Counters
from .counting_relu import arguments_of_op, counting_relu
from .direct_pooling import known_pooling
from .inputs import describe, is_called_directly, is_dense, is_symbolic
from .max_pool import max_pool_by, ops_for, switches_of
from .pool_geometry import PoolGeometry
from .reference.checks import check_mask, check_pooled, unit_dims_of
from .switches import Switches
from .unit_dim import UnitDim

_NAMES = {axes: f"relu_max_pool{axes}d" for axes in (1, 2, 3)}


def relu_max_pool1d(
    x: Tensor,
    counters: Counters,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    *,
    unit_dim: UnitDim | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Switches]:
    """:func:`relu_max_pool2d` along one axis: ``x`` is [N, C, L] or [C, L].

    Example:
        >>> import torch, relustat
        >>> counters = relustat.Counters()
        >>> x = torch.tensor([[3.0, -1.0, -2.0, -4.0]])
        >>> y, switches = relustat.functional.relu_max_pool1d(x, counters, 2)
        >>> y.tolist(), switches.offsets.tolist(), counters.stats.zeros
        ([[3.0, 0.0]], [[0, 0]], 3)
    """
    numbers = kernel_size, stride, padding, dilation, ceil_mode
    return relu_max_pool(1, x, counters, numbers, unit_dim, mask)


def relu_max_pool2d(
    x: Tensor,
    counters: Counters,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    *,
    unit_dim: UnitDim | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Switches]:
    """Max-pooling of ``relu(x)``, counted, in one pass over ``x``.

    The result is bit for bit that of :func:`counting_relu` and then
    :func:`relustat.functional.max_pool2d`, and so are the counts, which are of ``x``: outputs,
    switches (in a window without anything above 0 they point at its first cell), and gradients.
    For backward a byte of switches and a byte of flags are saved for each output, and no rectified
    map. There is none in memory at any time, unless its rows or slices are longer than what a
    processor's cache holds.

    Under function modes, in traces, for integers and where units are made of several dimensions,
    these two functions run instead. Like ``max_pool2d`` it raises under ``torch.func.grad``.

    Args:
        x: [N, C, H, W] or [C, H, W], contiguous or channels_last; float32, float64, bfloat16 or
            float16, or an integer type.
        counters: where the counts are added.
        kernel_size, stride, padding, dilation, ceil_mode: as ``nn.MaxPool2d`` takes them. A window
            may have at most 32,767 cells.
        unit_dim, mask: as :func:`counting_relu` takes them.

    Returns:
        The output, of x's dtype and memory format, and its switches.

    Raises:
        TypeError, ValueError, IndexError: what :func:`counting_relu` and
            :func:`relustat.functional.max_pool2d` raise. Then nothing is counted.

    Example:
        >>> import torch, relustat
        >>> counters = relustat.Counters()
        >>> x = torch.randn(2, 3, 12, 12)
        >>> y, switches = relustat.functional.relu_max_pool2d(x, counters, 2)
        >>> torch.equal(y, torch.max_pool2d(torch.relu(x), 2)), counters.stats.elements
        (True, 864)
    """
    numbers = kernel_size, stride, padding, dilation, ceil_mode
    return relu_max_pool(2, x, counters, numbers, unit_dim, mask)


def relu_max_pool3d(
    x: Tensor,
    counters: Counters,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    *,
    unit_dim: UnitDim | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Switches]:
    """:func:`relu_max_pool2d` along three axes: ``x`` is [N, C, D, H, W] or [C, D, H, W].

    Example:
        >>> import torch, relustat
        >>> counters = relustat.Counters()
        >>> x = torch.randn(2, 3, 4, 6, 8)
        >>> y, switches = relustat.functional.relu_max_pool3d(x, counters, 2)
        >>> tuple(y.shape)
        (2, 3, 2, 3, 4)
    """
    numbers = kernel_size, stride, padding, dilation, ceil_mode
    return relu_max_pool(3, x, counters, numbers, unit_dim, mask)


def relu_max_pool(
    axes: int,
    x: Tensor,
    counters: Counters,
    numbers: tuple[Any, ...],
    unit_dim: UnitDim | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Switches]:
    """:func:`relu_max_pool2d` along this number of axes.

    Args:
        axes: 1 to 3.
        x, counters, unit_dim, mask: as there.
        numbers: kernel_size, stride, padding, dilation and ceil_mode.
    """
    op = _NAMES[axes]
    if mask is not None and not is_dense(mask):
        raise TypeError(f"{op}: mask must be a dense tensor of torch.bool, got {describe(mask)}")
    is_direct = is_called_directly(x)
    if is_direct:
        pooling, numbers_in_c = known_pooling(op, axes, numbers)
    else:
        pooling = PoolGeometry.of(op, axes, *numbers)
    ops = ops_for(op, x)
    # Before anything is counted.
    check_pooled(op, x, pooling)
    dim, units = counters.units_of(x, unit_dim)
    if mask is not None:
        check_mask(x, unit_dims_of(x, dim), mask)
    if ops is not library or isinstance(dim, tuple) or not (is_direct or _is_compiled(x)):
        return max_pool_by(op, counting_relu(x, counters, unit_dim=unit_dim, mask=mask), pooling)
    counting = arguments_of_op(x, counters, dim, units, mask)
    if is_direct:
        y, offsets = library.without_dispatcher.relu_max_pool(x, *counting, numbers_in_c)
    else:
        y, offsets = library.relu_max_pool(x, *counting, *pooling.arguments)
    return y, switches_of(x, offsets, pooling)


def _is_compiled(x: Tensor) -> bool:
    """Whether an op in a graph is all that there is to see of a call."""
    is_compiling = torch.compiler.is_dynamo_compiling()
    return is_compiling and not is_symbolic(x) and not has_torch_function_unary(x)
