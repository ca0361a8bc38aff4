"""Single pixels of a bilinearly resized map."""

from __future__ import annotations

import torch
from torch import Tensor


def resized_at(values: Tensor, size: tuple[int, int], rows: Tensor, columns: Tensor) -> Tensor:
    """Some pixels of ``F.interpolate(values, size, mode="bilinear", align_corners=False)``.

    Args:
        values: float [N, C, h, w].
        size: height and width of the resized map.
        rows: int64, within 0 and the height.
        columns: int64, within 0 and the width; broadcast against ``rows``.

    Returns:
        [N, C, ...], where rows and columns broadcast to [...]; float32 for 16-bit maps.
    """
    dtype = torch.promote_types(values.dtype, torch.float32)
    above, below, down = _neighbours(rows, size[0], values.shape[2], dtype)
    left, right, across = _neighbours(columns, size[1], values.shape[3], dtype)
    upper = values[..., above, left] * (1 - across) + values[..., above, right] * across
    lower = values[..., below, left] * (1 - across) + values[..., below, right] * across
    return upper * (1 - down) + lower * down


def _neighbours(
    positions: Tensor, length: int, cells: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """The cells before and after each position, and the weight of the cell after it."""
    # Pixels and cells have their coordinates at their middles.
    middles = ((positions.double() + 0.5) * (cells / length) - 0.5).clamp(min=0)
    before = middles.long()
    return before, (before + 1).clamp(max=cells - 1), (middles - before).to(dtype)
