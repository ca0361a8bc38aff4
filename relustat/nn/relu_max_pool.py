"""Drop-in modules for a ReLU and the max-pool behind it, in one pass over memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat.ops.counters import Counters
from relustat.ops.counting_relu import counting_relu
from relustat.ops.relu_max_pool import relu_max_pool
from relustat.ops.unit_dim import UnitDim
from relustat.stats.bins import Bins, LogBins

from .counted_module import CountedModule, described
from .max_pool import check_one_return, has_kernel, numbers_of, returned, returns_switches

_PLAIN: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class _ReLUMaxPool(CountedModule):
    """What the three modules share."""

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
        bins: Bins | None = LogBins(),
        unit_dim: UnitDim = "auto",
        unit_histograms: bool = False,
        every: int = 1,
        zero_blocks: int | None = None,
    ) -> None:
        check_one_return(self, return_indices, return_switches)
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        self.return_switches = return_switches
        self.counters = Counters(
            bins,
            unit_dim=unit_dim,
            unit_histograms=unit_histograms,
            every=every,
            zero_blocks=zero_blocks,
        )

    def forward(self, input: Tensor) -> Any:
        if returns_switches(self) or has_kernel(self, self._axes, input):
            results = relu_max_pool(self._axes, input, self.counters, numbers_of(self))
            return returned(self, *results)
        rectified = counting_relu(input, self.counters)
        return _PLAIN[self._axes](rectified, *numbers_of(self), return_indices=self.return_indices)

    def extra_repr(self) -> str:
        parts = [
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        ]
        if self.return_switches:
            parts.append("return_switches=True")
        if not torch.compiler.is_dynamo_compiling():
            parts.append(described(self.counters))
        return ", ".join(parts)


class ReLUMaxPool1d(_ReLUMaxPool):
    """A counting ReLU and ``nn.MaxPool1d`` in one pass, as :class:`ReLUMaxPool2d`.

    Example:
        >>> import torch, relustat
        >>> relustat.ReLUMaxPool1d(2)(torch.tensor([[1.0, -3.0, -2.0, -1.0]]))
        tensor([[1., 0.]])
    """

    _axes = 1


class ReLUMaxPool2d(_ReLUMaxPool):
    """A counting ReLU and ``nn.MaxPool2d`` behind it, in one pass over memory.

    Outputs, indices, gradients and counts are bit for bit those of :class:`CountingReLU` and
    :class:`MaxPool2d`. The input is read once. For backward two bytes are saved for each output,
    and no rectified map. To have a model's own modules do so, use
    :func:`relustat.swap` with ``fuse=True``.

    Args:
        kernel_size, stride, padding, dilation, return_indices, ceil_mode: as in ``nn.MaxPool2d``.
        return_switches: also return :class:`relustat.Switches`, for :class:`MaxUnpool2d`.
        bins, unit_dim, unit_histograms, every, zero_blocks: see :class:`relustat.Counters`.

    Shape:
        As of :class:`MaxPool2d`. Inputs without a kernel are rectified, counted and pooled in two
        steps.

    Raises:
        ValueError: if both indices and switches are asked for, and in all cases in which
            :func:`relustat.functional.relu_max_pool2d` raises it.

    Example:
        >>> import torch, relustat
        >>> module = relustat.ReLUMaxPool2d(2)
        >>> module(torch.randn(8, 16, 4, 4)).shape, module.stats.elements
        (torch.Size([8, 16, 2, 2]), 2048)
    """

    _axes = 2


class ReLUMaxPool3d(_ReLUMaxPool):
    """A counting ReLU and ``nn.MaxPool3d`` in one pass, as :class:`ReLUMaxPool2d`.

    Example:
        >>> import torch, relustat
        >>> relustat.ReLUMaxPool3d(2)(torch.randn(2, 3, 4, 6, 8)).shape
        torch.Size([2, 3, 2, 3, 4])
    """

    _axes = 3
