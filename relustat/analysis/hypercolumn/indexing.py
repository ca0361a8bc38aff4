"""Checks of indices, as a tensor takes them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor


def positions_of(op: str, index: tuple[Any, ...], shape: Sequence[int]) -> list[range]:
    """The positions that integers and slices select, one range for each dimension of ``shape``.

    Raises:
        TypeError: if an index is anything else.
        ValueError: if a slice's step is not above 0.
        IndexError: if there are too many indices, or if one is outside its dimension.
    """
    if len(index) > len(shape):
        raise IndexError(f"{op}: there must be at most {len(shape)} indices, got {len(index)}")
    every = (slice(None),) * (len(shape) - len(index))
    asked = zip((*index, *every), shape, strict=True)
    return [_positions(op, each, dim, length) for dim, (each, length) in enumerate(asked)]


def pixels_of(op: str, rows: Any, columns: Any, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Rows and columns as int64 [P], counted from the start.

    Raises:
        TypeError: if they are not integers.
        ValueError: if they are not two vectors of one length.
        IndexError: if a pixel is outside ``size``, height and width.
    """
    down, across = torch.as_tensor(rows), torch.as_tensor(columns)
    if down.ndim != 1 or down.shape != across.shape:
        raise ValueError(
            f"{op}: rows and columns must be two vectors of one length, "
            f"got {list(down.shape)} and {list(across.shape)}"
        )
    if not len(down):  # An empty list makes a tensor of floats.
        down, across = down.long(), across.long()
    return (
        _counted_from_start(op, "rows", down, size[0]),
        _counted_from_start(op, "columns", across, size[1]),
    )


def _counted_from_start(op: str, which: str, positions: Tensor, length: int) -> Tensor:
    """Positions as int64 from 0 to ``length`` - 1; negative ones count from the end.

    Raises:
        TypeError: if they are not integers; ``which`` names them.
        IndexError: if a position is outside.
    """
    if positions.dtype == torch.bool or positions.is_floating_point() or positions.is_complex():
        raise TypeError(f"{op}: {which} must be integers, got {positions.dtype}")
    positions = positions.long()
    outside = positions[(positions < -length) | (positions >= length)]
    if len(outside):
        raise IndexError(
            f"{op}: {which} must be within {-length} and {length - 1}, got {int(outside[0])}"
        )
    return positions % length


def _positions(op: str, index: Any, dim: int, length: int) -> range:
    if isinstance(index, slice):
        if index.step is not None and index.step < 1:
            raise ValueError(f"{op}: a slice's step must be above 0, got {index.step}")
        return range(*index.indices(length))
    if isinstance(index, bool) or not isinstance(index, Integral):
        raise TypeError(
            f"{op}: an index must be an integer or a slice, got a {type(index).__name__}"
        )
    position = int(index)
    if not -length <= position < length:
        raise IndexError(
            f"{op}: an index of dimension {dim} must be within {-length} and {length - 1}, "
            f"got {position}"
        )
    return range(position % length, position % length + 1)
