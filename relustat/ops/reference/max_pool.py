"""Max-pooling with switches, and unpooling, in plain NumPy: slow and obvious.

Arguments are those of the ops: one number for each axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from relustat.ops.pool_geometry import PoolGeometry

from .checks import (
    OVERLAP_LAST,
    OVERLAP_MAX,
    OVERLAP_SUM,
    check_pooled,
    check_unpooled,
    check_unpooled_backward,
)
from .tensors import empty_like, numpy_of

# A signalling NaN is a NaN, and so is the sum of two infinities.
_quiet = np.errstate(invalid="ignore", over="ignore")


@_quiet
def max_pool(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[Tensor, Tensor]:
    """The largest value of each window, and its offset there.

    Args:
        x: [(N,) C, spatial ...], any real dtype.
        kernel_size, stride, padding, dilation, ceil_mode: of one to three axes.
    """
    pooling = _pooling(kernel_size, stride, padding, dilation, ceil_mode)
    windows = check_pooled(f"max_pool{pooling.axes}d", x, pooling)
    values = numpy_of(x)
    batch = values.shape[: -pooling.axes]
    largest = np.zeros((*batch, *windows), values.dtype)
    offsets = np.full((*batch, *windows), -1, np.int64)
    # The taps of a window in row-major order, for all windows at once.
    for offset, tap in enumerate(product(*map(range, pooling.kernel_size))):
        inside = np.ones(windows, bool)
        positions = []
        for axis, windows_here in enumerate(windows):
            start = tap[axis] * pooling.dilation[axis] - pooling.padding[axis]
            cells = start + pooling.stride[axis] * np.arange(windows_here)
            is_cell = (cells >= 0) & (cells < x.shape[axis - pooling.axes])
            inside &= is_cell.reshape(-1, *[1] * (pooling.axes - axis - 1))
            positions.append(np.where(is_cell, cells, 0))
        everywhere: Any = (..., *np.ix_(*positions))
        seen = values[everywhere]
        takes_over = inside & ((offsets < 0) | (seen > largest) | (seen != seen))
        largest[takes_over] = seen[takes_over]
        offsets[takes_over] = offset
    like = empty_like(x, (*batch, *windows), pooling.axes)
    return _fill(like, largest), _fill(torch.empty_like(like, dtype=pooling.offsets_dtype), offsets)


@_quiet
def max_unpool(
    y: Tensor,
    offsets: Tensor,
    input_size: Sequence[int],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    overlap: int,
    validate: bool = True,
) -> Tensor:
    """The values ``y`` at the cells of their switches, 0 elsewhere."""
    pooling = _pooling(kernel_size, stride, padding, dilation, ceil_mode)
    op = f"max_unpool{pooling.axes}d"
    check_unpooled(op, y, offsets, pooling, input_size, overlap)
    indices, points = _indices(op, offsets, pooling, input_size, validate)
    values = numpy_of(y).reshape(indices.shape)
    planes = np.zeros((len(indices), int(np.prod(input_size))), values.dtype)
    for plane, index, value, point in zip(planes, indices, values, points, strict=True):
        index, value = index[point], value[point]
        if overlap == OVERLAP_LAST:
            plane[index] = value  # NumPy keeps the last of repeated indices
        elif overlap == OVERLAP_SUM:
            np.add.at(plane, index, value)
        else:
            for i in _winners(index, value):
                plane[index[i]] = value[i]
    sizes = (*y.shape[: -pooling.axes], *input_size)
    return _fill(empty_like(y, sizes, pooling.axes), planes.reshape(sizes))


@_quiet
def max_unpool_backward(
    gradient: Tensor,
    y: Tensor | None,
    offsets: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    overlap: int,
) -> Tensor:
    """The gradient of :func:`max_unpool`: for each value that stayed, that of its cell."""
    pooling = _pooling(kernel_size, stride, padding, dilation, ceil_mode)
    op = f"max_unpool{pooling.axes}d's backward"
    input_size = gradient.shape[-pooling.axes :]
    check_unpooled_backward(op, gradient, y, offsets, pooling, overlap)
    indices, points = _indices(op, offsets, pooling, input_size, validate=True)
    planes = numpy_of(gradient).reshape(len(indices), int(np.prod(input_size)))
    gathered = np.zeros(indices.shape, planes.dtype)
    values = numpy_of(y).reshape(indices.shape) if y is not None else gathered
    for plane, index, value, point, out in zip(
        planes, indices, values, points, gathered, strict=True
    ):
        stays = point.copy()
        if overlap == OVERLAP_LAST:
            last = np.zeros(len(plane), np.int64)
            last[index] = np.arange(len(index))
            stays &= last[index] == np.arange(len(index))
        elif overlap == OVERLAP_MAX:
            stays[:] = False
            stays[_winners(index, value)] = True
        out[stays] = plane[index[stays]]
    return _fill(empty_like(gradient, offsets.shape, pooling.axes), gathered.reshape(offsets.shape))


def _winners(index: npt.NDArray[np.int64], value: npt.NDArray[Any]) -> list[int]:
    """The largest value for each cell: the first of equals, the last NaN."""
    winners: dict[int, int] = {}
    for i, cell in enumerate(index.tolist()):
        best = winners.get(cell)
        if best is None or value[i] > value[best] or value[i] != value[i]:
            winners[cell] = i
    return list(winners.values())


def _pooling(
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> PoolGeometry:
    return PoolGeometry(
        tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation), bool(ceil_mode)
    )


def _indices(
    op: str, offsets: Tensor, pooling: PoolGeometry, input_size: Sequence[int], validate: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """For each plane: the flat cell of each switch, and whether it is a cell."""
    cpu = offsets.cpu().contiguous()
    # As int32: 256 taps are more than uint8 holds.
    points = (cpu >= 0) & (cpu.int() < pooling.taps)
    for cells, position in zip(input_size, pooling.coordinates(cpu), strict=True):
        points &= (position >= 0) & (position < cells)
    if validate and not points.all():
        first = int((~points).flatten().nonzero()[0])
        windows = int(np.prod(offsets.shape[-pooling.axes :]))
        raise ValueError(
            f"{op}: a switch must stand for a cell of the input, got "
            f"{int(cpu.flatten()[first])} in window {first % windows} of a plane, "
            f"where windows have {pooling.taps} cells"
        )
    indices = pooling.flat_indices(torch.where(points, cpu, 0), input_size)
    indices = torch.where(points, indices, 0)
    planes = int(np.prod(offsets.shape[: -pooling.axes]))
    shape = (planes, int(np.prod(offsets.shape[-pooling.axes :])))
    return indices.reshape(shape).numpy(), points.reshape(shape).numpy()


def _fill(tensor: Tensor, values: npt.NDArray[Any]) -> Tensor:
    return tensor.copy_(torch.from_numpy(values))
