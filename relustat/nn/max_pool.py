"""Drop-in max-pooling modules that save switches instead of indices, and their inverses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from relustat.ops.direct_pooling import direct_max_pool
from relustat.ops.inputs import is_called_directly, is_symbolic
from relustat.ops.library import KERNEL_DTYPES
from relustat.ops.max_pool import (
    OVERLAPS,
    check_no_geometry,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from relustat.ops.pool_geometry import MOST_TAPS, per_axis
from relustat.ops.switches import Switches

from ._torchscript import not_scriptable

_POOLS: dict[int, Callable[..., tuple[Tensor, Switches]]] = {
    1: max_pool1d,
    2: max_pool2d,
    3: max_pool3d,
}

_UNPOOLS: dict[int, Callable[..., Tensor]] = {
    1: max_unpool1d,
    2: max_unpool2d,
    3: max_unpool3d,
}


class _MaxPool(nn.Module):
    """What the three pools share. A subclass names it before PyTorch's class."""

    _axes: int

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        return_switches: bool = False,
    ) -> None:
        check_one_return(self, return_indices, return_switches)
        numbers: Any = kernel_size, stride, padding, dilation
        super().__init__(*numbers, return_indices, ceil_mode)
        self.return_switches = return_switches

    def forward(self, input: Tensor) -> Any:
        if returns_switches(self) or has_kernel(self, self._axes, input):
            return pooled(self, self._axes, input)
        return super().forward(input)

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", return_switches=True" if returns_switches(self) else "")


def pooled(module: Any, axes: int, x: Tensor) -> Any:
    """What a pooling module gives, by relustat's op.

    Args:
        module: an ``nn.MaxPool*d``, perhaps with ``return_switches``.
        axes: the number of pooled axes.
        x: its input.
    """
    numbers = numbers_of(module)
    if is_called_directly(x) and not (returns_switches(module) or module.return_indices):
        y: Tensor = direct_max_pool(f"max_pool{axes}d", axes, x, numbers)[0]
        return y
    return returned(module, *_POOLS[axes](x, *numbers))


def numbers_of(module: Any) -> tuple[Any, ...]:
    """The geometry of a pooling module, in the order of the functions' arguments."""
    return (
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        module.ceil_mode,
    )


def returned(module: Any, y: Tensor, switches: Switches) -> Any:
    """What a pooling module returns of its output and switches."""
    if returns_switches(module):
        return y, switches
    return (y, switches.indices()) if module.return_indices else y


def returns_switches(module: Any) -> bool:
    return bool(getattr(module, "return_switches", False))


def check_one_return(module: nn.Module, return_indices: bool, return_switches: bool) -> None:
    """Raises a ValueError if a pooling module is asked for both."""
    if return_indices and return_switches:
        raise ValueError(
            f"{type(module).__name__}: only one of return_indices and return_switches can be "
            "True, got both (switches.indices() are the indices)"
        )


def has_kernel(module: Any, axes: int, x: object) -> bool:
    """Whether relustat has a kernel for an input. If not, PyTorch's own pool runs.

    It has none in traces and transforms, for integers, quantised tensors and other layouts, and
    for windows with too many cells.
    """
    return (
        (is_called_directly(x) or _is_served(x))
        and not _is_cast_by_autocast(module, axes, x)
        and _taps(module, axes) <= MOST_TAPS
    )


def _is_served(x: object) -> bool:
    return (
        isinstance(x, Tensor)
        and x.dtype in KERNEL_DTYPES
        and x.layout is torch.strided
        and not x.is_nested
        and not is_symbolic(x)
    )


def _is_cast_by_autocast(module: Any, axes: int, x: Any) -> bool:
    """Whether autocast pools in float32. It does on the CPU, in 3-D and without indices."""
    return (
        axes == 3
        and x.is_cpu
        and torch.is_autocast_enabled("cpu")
        and not (returns_switches(module) or module.return_indices)
    )


def _taps(module: Any, axes: int) -> int:
    if type(module.kernel_size) is int:
        return int(module.kernel_size**axes)
    return math.prod(per_axis(f"max_pool{axes}d", "kernel_size", module.kernel_size, axes))


class MaxPool1d(_MaxPool, nn.MaxPool1d):
    """``nn.MaxPool1d`` with switches, as :class:`MaxPool2d`; takes [N, C, L] or [C, L].

    Example:
        >>> import torch, relustat
        >>> relustat.MaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
        tensor([[3., 2.]])
    """

    _axes = 1


class MaxPool2d(_MaxPool, nn.MaxPool2d):
    """``nn.MaxPool2d`` that saves a byte per output for backward, not int64 indices and the input.

    Outputs, indices and float32 gradients are bit for bit those of ``nn.MaxPool2d``. If more than
    two windows share a cell, 16-bit gradients are summed in float32 and rounded once. PyTorch
    rounds each sum on the CPU.

    Args:
        kernel_size, stride, padding, dilation, ceil_mode: as in ``nn.MaxPool2d``.
        return_indices: also return PyTorch's int64 indices.
        return_switches: also return :class:`relustat.Switches`, for :class:`MaxUnpool2d`.

    Shape:
        [N, C, H, W] or [C, H, W], contiguous or channels_last; float32, float64, bfloat16, float16.
        Without ``return_switches``, inputs that have no kernel run in ``nn.MaxPool2d``: integers,
        quantised tensors, and windows of more than 32,767 cells.

    Raises:
        ValueError: if both indices and switches are asked for, and in all cases in which
            :func:`relustat.functional.max_pool2d` raises it.

    Example:
        >>> import torch, relustat
        >>> pool = relustat.MaxPool2d(3, 2, return_switches=True)
        >>> y, switches = pool(torch.randn(2, 3, 13, 13))
        >>> relustat.MaxUnpool2d()(y, switches).shape
        torch.Size([2, 3, 13, 13])
    """

    _axes = 2


class MaxPool3d(_MaxPool, nn.MaxPool3d):
    """``nn.MaxPool3d`` with switches, as :class:`MaxPool2d`; [N, C, D, H, W] or [C, D, H, W].

    Example:
        >>> import torch, relustat
        >>> relustat.MaxPool3d(2)(torch.randn(2, 3, 4, 6, 8)).shape
        torch.Size([2, 3, 2, 3, 4])
    """

    _axes = 3


class _MaxUnpool(nn.Module):
    _axes: int

    def __init__(self, *geometry: Any, overlap: str = "last", **names: Any) -> None:
        super().__init__()
        name = type(self).__name__
        if len(geometry) == 1 and isinstance(geometry[0], str):
            (overlap,), geometry = geometry, ()
        check_no_geometry(name, self._axes, names or geometry)
        if overlap not in OVERLAPS:
            raise ValueError(f"{name}: overlap must be 'last', 'sum' or 'max', got {overlap!r}")
        self.overlap = overlap

    def forward(
        self, input: Tensor, switches: Switches | None = None, *geometry: Any, **names: Any
    ) -> Tensor:
        check_no_geometry(type(self).__name__, self._axes, names or geometry)
        return _UNPOOLS[self._axes](input, switches, overlap=self.overlap)

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def extra_repr(self) -> str:
        return f"overlap={self.overlap!r}"


class MaxUnpool1d(_MaxUnpool):
    """:func:`relustat.functional.max_unpool1d` as a module.

    Example:
        >>> import torch, relustat
        >>> y, switches = relustat.functional.max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
        >>> relustat.MaxUnpool1d()(y, switches)
        tensor([[0., 3., 2., 0.]])
    """

    _axes = 1


class MaxUnpool2d(_MaxUnpool):
    """:func:`relustat.functional.max_unpool2d` as a module: the inverse of :class:`MaxPool2d`.

    Args:
        overlap: what a cell holds that is the maximum of several windows: "last", "sum" or "max".

    Example:
        >>> import torch, relustat
        >>> y, switches = relustat.MaxPool2d(2, return_switches=True)(torch.randn(1, 4, 4))
        >>> relustat.MaxUnpool2d(overlap="sum")(y, switches).count_nonzero()
        tensor(4)
    """

    _axes = 2


class MaxUnpool3d(_MaxUnpool):
    """:func:`relustat.functional.max_unpool3d` as a module.

    Example:
        >>> import torch, relustat
        >>> x = torch.randn(2, 3, 4, 6, 8)
        >>> y, switches = relustat.MaxPool3d(2, return_switches=True)(x)
        >>> relustat.MaxUnpool3d()(y, switches).shape
        torch.Size([2, 3, 4, 6, 8])
    """

    _axes = 3
