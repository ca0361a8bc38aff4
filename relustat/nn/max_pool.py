"""Drop-in max-pooling modules that save switches instead of indices, and their inverses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from relustat.ops.inputs import is_symbolic
from relustat.ops.library import KERNEL_DTYPES
from relustat.ops.max_pool import (
    OVERLAPS,
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


class _MaxPool(nn.Module):
    """What the three pools share. A subclass names it before PyTorch's class."""

    # Modules that swap() made have it, too.
    return_switches = False
    _axes: int
    _pool: Callable[..., tuple[Tensor, Switches]]

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
        if return_indices and return_switches:
            raise ValueError(
                f"{type(self).__name__}: only one of return_indices and return_switches can be "
                "True, got both (switches.indices() are the indices)"
            )
        numbers: Any = kernel_size, stride, padding, dilation
        super().__init__(*numbers, return_indices, ceil_mode)
        if return_switches:
            self.return_switches = True

    def forward(self, input: Tensor) -> Any:
        own: Any = self
        if not self.return_switches and not self._is_ours(input):
            return super().forward(input)
        y, switches = self._pool(
            input, own.kernel_size, own.stride, own.padding, own.dilation, own.ceil_mode
        )
        if self.return_switches:
            return y, switches
        return (y, switches.indices()) if own.return_indices else y

    def _is_ours(self, x: object) -> bool:
        """Whether relustat has a kernel for the input. If not, PyTorch's own pool runs.

        It has none in traces and transforms, for integers, quantised tensors and other layouts, and
        for windows with too many cells.
        """
        return (
            isinstance(x, Tensor)
            and x.dtype in KERNEL_DTYPES
            and x.layout is torch.strided
            and not x.is_nested
            and not is_symbolic(x)
            and not self._is_cast_by_autocast(x)
            and self._taps() <= MOST_TAPS
        )

    def _is_cast_by_autocast(self, x: Tensor) -> bool:
        """Whether autocast pools in float32. It does on the CPU, in 3-D and without indices."""
        return (
            self._axes == 3
            and x.is_cpu
            and torch.is_autocast_enabled("cpu")
            and not (self.return_switches or self.return_indices)
        )

    def _taps(self) -> int:
        own: Any = self
        name = f"max_pool{self._axes}d"
        return math.prod(per_axis(name, "kernel_size", own.kernel_size, self._axes))

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", return_switches=True" if self.return_switches else "")


class MaxPool1d(_MaxPool, nn.MaxPool1d):
    """``nn.MaxPool1d`` with switches, as :class:`MaxPool2d`; takes [N, C, L] or [C, L].

    Example:
        >>> import torch, relustat
        >>> relustat.MaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
        tensor([[3., 2.]])
    """

    _axes = 1
    _pool = staticmethod(max_pool1d)


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
    _pool = staticmethod(max_pool2d)


class MaxPool3d(_MaxPool, nn.MaxPool3d):
    """``nn.MaxPool3d`` with switches, as :class:`MaxPool2d`; [N, C, D, H, W] or [C, D, H, W].

    Example:
        >>> import torch, relustat
        >>> relustat.MaxPool3d(2)(torch.randn(2, 3, 4, 6, 8)).shape
        torch.Size([2, 3, 2, 3, 4])
    """

    _axes = 3
    _pool = staticmethod(max_pool3d)


class _MaxUnpool(nn.Module):
    _unpool: Callable[..., Tensor]

    def __init__(self, overlap: str = "last") -> None:
        super().__init__()
        if overlap not in OVERLAPS:
            raise ValueError(
                f"{type(self).__name__}: overlap must be 'last', 'sum' or 'max', got {overlap!r}"
            )
        self.overlap = overlap

    def forward(self, input: Tensor, switches: Switches) -> Tensor:
        return self._unpool(input, switches, overlap=self.overlap)

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

    _unpool = staticmethod(max_unpool1d)


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

    _unpool = staticmethod(max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """:func:`relustat.functional.max_unpool3d` as a module.

    Example:
        >>> import torch, relustat
        >>> x = torch.randn(2, 3, 4, 6, 8)
        >>> y, switches = relustat.MaxPool3d(2, return_switches=True)(x)
        >>> relustat.MaxUnpool3d()(y, switches).shape
        torch.Size([2, 3, 4, 6, 8])
    """

    _unpool = staticmethod(max_unpool3d)
