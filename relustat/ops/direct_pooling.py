"""The pooling ops for plain inputs: small calls take no longer than PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import library
from .pool_geometry import PoolGeometry

# The geometry of a pooling and its numbers in C++, by the arguments of earlier calls.
_known: dict[tuple[Any, ...], tuple[PoolGeometry, Any]] = {}
_MOST_KNOWN = 1024


def direct_max_pool(
    op: str,
    axes: int,
    x: Tensor,
    numbers: tuple[Any, ...],
) -> tuple[Tensor, Tensor, PoolGeometry]:
    """The output, the offsets and the geometry.

    Args:
        op, axes, numbers: as :meth:`PoolGeometry.of` takes them.
        x: an input that :func:`relustat.ops.inputs.is_called_directly` accepts.
    """
    geometry, pooling = known_pooling(op, axes, numbers)
    y, offsets = library.without_dispatcher.max_pool(x, pooling)
    return y, offsets, geometry


def known_pooling(op: str, axes: int, numbers: tuple[Any, ...]) -> tuple[PoolGeometry, Any]:
    """The geometry of a pooling, and its numbers in C++; arguments as of `direct_max_pool`."""
    kernel_size, stride, padding, dilation, ceil_mode = numbers
    arguments = (axes, *numbers)
    # A key is what cannot change, and is equal to nothing of another type.
    is_key = (
        type(ceil_mode) is bool
        and _is_exact(kernel_size)
        and (stride is None or _is_exact(stride))
        and _is_exact(padding)
        and _is_exact(dilation)
    )
    known = _known.get(arguments) if is_key else None
    if known is None:
        geometry = PoolGeometry.of(op, *arguments)
        known = geometry, library.without_dispatcher.Pooling(*geometry.arguments)
        if is_key and len(_known) < _MOST_KNOWN:
            _known[arguments] = known
    return known


def direct_max_unpool(
    y: Tensor,
    offsets: Tensor,
    input_size: Sequence[int],
    geometry: PoolGeometry,
    overlap: int,
    validate: bool,
) -> Tensor:
    """The unpooled values; ``y`` as for :func:`direct_max_pool`."""
    pooling = library.without_dispatcher.Pooling(*geometry.arguments)
    x: Tensor = library.without_dispatcher.max_unpool(
        y, offsets, input_size, pooling, overlap, validate
    )
    return x


def is_served_on_the_cpu(offsets: Tensor) -> bool:
    """Whether nothing but :func:`direct_indices` has to see these offsets."""
    return (
        not torch.compiler.is_dynamo_compiling()
        and library.without_dispatcher.is_direct(offsets)
        and offsets.is_cpu
    )


def direct_indices(offsets: Tensor, input_size: Sequence[int], geometry: PoolGeometry) -> Tensor:
    """PyTorch's indices, int64 of the offsets' shape and layout."""
    pooling = library.without_dispatcher.Pooling(*geometry.arguments)
    indices: Tensor = library.without_dispatcher.flat_indices(offsets, pooling, input_size)
    return indices


def _is_exact(value: Any) -> bool:
    kind = type(value)
    return kind is int or (kind is tuple and set(map(type, value)) == {int})
