"""Max-pooling that records switches, and unpooling by them, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from relustat._torch_internals import is_jit_traced

from . import library, reference
from .direct_pooling import direct_max_pool, direct_max_unpool
from .inputs import is_called_directly
from .pool_geometry import PoolGeometry
from .switches import Switches

OVERLAPS = ("last", "sum", "max")
_MAX_POOL = {axes: f"max_pool{axes}d" for axes in (1, 2, 3)}
_MAX_UNPOOL = {axes: f"max_unpool{axes}d" for axes in (1, 2, 3)}


def max_pool1d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Switches]:
    """:func:`max_pool2d` along one axis: ``x`` is [N, C, L] or [C, L].

    Example:
        >>> import torch, relustat
        >>> y, switches = relustat.functional.max_pool1d(torch.tensor([[3.0, 1.0, 2.0]]), 2, 1)
        >>> y.tolist(), switches.offsets.tolist()
        ([[3.0, 2.0]], [[0, 1]])
    """
    return _max_pool(1, x, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Switches]:
    """Max-pooling, and where each maximum came from.

    The output is bit for bit ``torch.nn.functional.max_pool2d``'s, and ``switches.indices()`` are
    its indices: the first of equal values, the last of NaNs. Gradients of any order exist. Only the
    switches are saved for backward.

    Args:
        x: [N, C, H, W] or [C, H, W], contiguous or channels_last; float32, float64, bfloat16 or
            float16, or an integer type (pooled by the slow reference).
        kernel_size, stride, padding, dilation, ceil_mode: as ``nn.MaxPool2d`` takes them. A window
            may have at most 32,767 cells.

    Returns:
        The output, of x's dtype and memory format, and its switches.

    Raises:
        ValueError: if padding is more than half the kernel size, a number is not positive, the
            output would be empty, or a dilated window would hold no cell of the input.
        TypeError: if ``x`` is complex or boolean, or not a tensor.

    Example:
        >>> import torch, relustat
        >>> x = torch.relu(torch.randn(2, 3, 13, 13))
        >>> y, switches = relustat.functional.max_pool2d(x, 3, 2)
        >>> tuple(y.shape), switches.offsets.dtype
        ((2, 3, 6, 6), torch.uint8)
    """
    return _max_pool(2, x, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Switches]:
    """:func:`max_pool2d` along three axes: ``x`` is [N, C, D, H, W] or [C, D, H, W].

    Example:
        >>> import torch, relustat
        >>> y, switches = relustat.functional.max_pool3d(torch.randn(2, 3, 4, 6, 8), 2)
        >>> tuple(y.shape)
        (2, 3, 2, 3, 4)
    """
    return _max_pool(3, x, kernel_size, stride, padding, dilation, ceil_mode)


def max_unpool1d(y: Tensor, switches: Switches, *geometry: Any, overlap: str = "last") -> Tensor:
    """:func:`max_unpool2d` along one axis.

    Example:
        >>> import torch, relustat
        >>> y, switches = relustat.functional.max_pool1d(torch.tensor([[1.0, 3.0, 2.0]]), 2, 1)
        >>> relustat.functional.max_unpool1d(y, switches, overlap="sum").tolist()
        [[0.0, 6.0, 0.0]]
    """
    return _max_unpool(1, y, switches, geometry, overlap)


def max_unpool2d(y: Tensor, switches: Switches, *geometry: Any, overlap: str = "last") -> Tensor:
    """Puts values where the maxima of a pooling were, and 0 everywhere else.

    If windows overlap, several can have their maximum in one cell; ``overlap`` says what happens
    then. The result is the same on every device, also under
    ``torch.use_deterministic_algorithms(True)``. Gradients of any order exist.

    Args:
        y: values of the shape of the pooled output; any floating dtype of :func:`max_pool2d`'s.
        switches: the switches of the pooling; they hold its geometry and the size to restore.
        geometry: nothing; the error for PyTorch's arguments leads to switches.
        overlap: "last": the last window in row-major order wins, as in PyTorch on the CPU.
            "sum": values add up, as in the gradient of the pooling; 16-bit values add up in float32
            and are rounded once. "max": the largest value wins, and NaN is the largest of all.

    Returns:
        A tensor of y's dtype, batch and channels, and of the pooling's input size.

    Raises:
        ValueError: if switches and ``y`` do not fit, or a switch is not a cell of the input.
        TypeError: if ``y`` is complex or boolean, or not a tensor, or if ``switches`` are not
            :class:`relustat.Switches`, or if there are more arguments.

    Source: the unpooling of Zeiler and Fergus, Visualizing and Understanding Convolutional
    Networks, ECCV 2014.

    Example:
        >>> import torch, relustat
        >>> x = torch.relu(torch.randn(2, 3, 13, 13))
        >>> y, switches = relustat.functional.max_pool2d(x, 3, 2)
        >>> restored = relustat.functional.max_unpool2d(y, switches)
        >>> torch.equal(relustat.functional.max_pool2d(restored, 3, 2)[0], y)
        True
    """
    return _max_unpool(2, y, switches, geometry, overlap)


def max_unpool3d(y: Tensor, switches: Switches, *geometry: Any, overlap: str = "last") -> Tensor:
    """:func:`max_unpool2d` along three axes.

    Example:
        >>> import torch, relustat
        >>> y, switches = relustat.functional.max_pool3d(torch.randn(2, 3, 4, 6, 8), 2)
        >>> tuple(relustat.functional.max_unpool3d(y, switches).shape)
        (2, 3, 4, 6, 8)
    """
    return _max_unpool(3, y, switches, geometry, overlap)


def _max_pool(
    axes: int,
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    ceil_mode: bool,
) -> tuple[Tensor, Switches]:
    op = _MAX_POOL[axes]
    numbers = kernel_size, stride, padding, dilation, ceil_mode
    if is_called_directly(x):
        y, offsets, pooling = direct_max_pool(op, axes, x, numbers)
        return y, Switches.of_pooling(offsets, pooling, x.shape[-axes:])
    return max_pool_by(op, x, PoolGeometry.of(op, axes, *numbers))


def max_pool_by(op: str, x: Tensor, pooling: PoolGeometry) -> tuple[Tensor, Switches]:
    """:func:`max_pool2d` by a geometry, of one to three axes; ``op`` names the caller."""
    y, offsets = ops_for(op, x).max_pool(x, *pooling.arguments)
    return y, switches_of(x, offsets, pooling)


def switches_of(x: Tensor, offsets: Tensor, pooling: PoolGeometry) -> Switches:
    """The switches of the pooling of ``x`` that gave these offsets."""
    axes = pooling.axes
    # In a TorchScript trace sizes are tensors, and ops take no lists of tensors.
    size = [int(n) for n in x.shape[-axes:]] if is_jit_traced() else x.shape[-axes:]
    return Switches.of_pooling(offsets, pooling, size)


def check_no_geometry(op: str, axes: int, geometry: Any) -> None:
    """Raises an error if an unpooling is given PyTorch's arguments."""
    if geometry:
        raise TypeError(
            f"{op}: takes switches, which hold the geometry of their pooling, and only overlap= "
            f"besides, got {geometry!r}; MaxPool{axes}d(..., return_switches=True) "
            "gives them, and Switches.from_indices makes them of indices"
        )


def _max_unpool(
    axes: int, y: Tensor, switches: Switches, geometry: tuple[Any, ...], overlap: str
) -> Tensor:
    op = _MAX_UNPOOL[axes]
    check_no_geometry(op, axes, geometry)
    if not isinstance(switches, Switches):
        raise TypeError(
            f"{op}: switches must be relustat.Switches, got {type(switches).__name__} "
            "(Switches.from_indices makes them of indices)"
        )
    if switches.pooling.axes != axes:
        raise ValueError(
            f"{op}: switches must be of a {axes}-D pooling, got a {switches.pooling.axes}-D one"
        )
    if overlap not in OVERLAPS:
        raise ValueError(f"{op}: overlap must be 'last', 'sum' or 'max', got {overlap!r}")
    how = OVERLAPS.index(overlap), not switches.are_known()
    if is_called_directly(y):
        return direct_max_unpool(y, switches.offsets, switches.input_size, switches.pooling, *how)
    x: Tensor = ops_for(op, y).max_unpool(
        y, switches.offsets, switches.input_size, *switches.pooling.arguments, *how
    )
    return x


def ops_for(op: str, x: Tensor) -> Any:
    """The module whose ops pool this input.

    Raises:
        TypeError: if there is none.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}: input must be a tensor, got {type(x).__name__}")
    if x.layout is not torch.strided or x.is_nested or x.is_quantized:
        kind = "a nested tensor" if x.is_nested else f"{x.layout}, {x.dtype}"
        raise TypeError(f"{op}: input must be a dense tensor, got {kind}")
    if x.dtype in library.KERNEL_DTYPES:
        return library
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise TypeError(
            f"{op}: input must be float32, float64, bfloat16, float16 or an integer type, "
            f"got {x.dtype}"
        )
    return reference
