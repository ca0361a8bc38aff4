"""Torch calls that max-pool, and a pooling whose gradient is unpooled by switches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat.ops import library
from relustat.ops.max_pool import OVERLAPS
from relustat.ops.pool_geometry import PoolGeometry
from relustat.ops.switches import Switches


@dataclasses.dataclass(frozen=True)
class PoolCall:
    """A call that max-pools.

    Attributes:
        x: the input.
        pooling: its geometry.
        gives: "values"; "indices" if also PyTorch's, "offsets" if also those of relustat's op.
    """

    x: Tensor
    pooling: PoolGeometry
    gives: str


def find_pool_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> PoolCall | None:
    """The max-pooling that ``function(*args, **kwargs)`` computes, or None.

    Example:
        >>> import torch
        >>> find_pool_call(torch.max_pool2d, (torch.ones(1, 1, 4, 4), 2), {}).pooling.kernel_size
        (2, 2)
        >>> find_pool_call(torch.relu, (torch.ones(1),), {}) is None
        True
    """
    if function is library.max_pool:
        return PoolCall(args[0], PoolGeometry(*args[1:]), "offsets")
    if function not in _POOLS:
        return None
    axes, gives = _POOLS[function]
    try:
        return _bind(axes, gives, *args, **kwargs)
    except (TypeError, ValueError):
        # Wrong arguments: the function itself raises the error.
        return None


def _bind(
    axes: int,
    gives: str,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> PoolCall:
    pooling = PoolGeometry.of("max_pool", axes, kernel_size, stride, padding, dilation, ceil_mode)
    return PoolCall(input, pooling, "indices" if return_indices else gives)


def pool(call: PoolCall, overlap: str) -> Any:
    """Computes the call. Gradients are unpooled by its switches, as ``overlap`` says."""
    y, offsets = Pooled.apply(  # type: ignore[no-untyped-call]
        call.x, call.pooling, overlap
    )
    if call.gives == "indices":
        size = call.x.shape[-call.pooling.axes :]
        return y, Switches.of_pooling(offsets, call.pooling, size).indices()
    return (y, offsets) if call.gives == "offsets" else y


class Pooled(torch.autograd.Function):
    """Max-pooling whose backward is an unpooling, which is not always the adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pooling: PoolGeometry, overlap: str) -> tuple[Tensor, Tensor]:
        y, offsets = library.max_pool(x, *pooling.arguments)
        ctx.mark_non_differentiable(offsets)
        ctx.save_for_backward(offsets)
        ctx.pooling = pooling
        ctx.overlap = overlap
        ctx.input_size = x.shape[-pooling.axes :]
        return y, offsets

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (offsets,) = ctx.saved_tensors
        how = OVERLAPS.index(ctx.overlap)
        x = library.max_unpool(
            gradients[0], offsets, ctx.input_size, *ctx.pooling.arguments, how, False
        )
        return x, None, None


_POOLS: dict[Any, tuple[int, str]] = {
    F.max_pool1d: (1, "values"),
    F.max_pool2d: (2, "values"),
    F.max_pool3d: (3, "values"),
    torch.max_pool1d: (1, "values"),
    torch.max_pool2d: (2, "values"),
    torch.max_pool3d: (3, "values"),
    F.max_pool1d_with_indices: (1, "indices"),
    F.max_pool2d_with_indices: (2, "indices"),
    F.max_pool3d_with_indices: (3, "indices"),
}
