"""Checks of the units and positions that a caller chooses in a layer's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from relustat._checks import as_integer

Position = Literal["center", "max"] | Sequence[int] | Tensor


def check_samples(op: str, layer: str, output: Tensor, samples: int) -> None:
    """Raises an error unless a layer's output is [samples, ...]."""
    if output.shape[:1] != (samples,):
        raise ValueError(
            f"{op}: layer must give something for each of {samples} samples, got {layer!r}, which "
            f"gives {list(output.shape)}"
        )


def check_unit(op: str, layer: str, output: Tensor, unit: int | None) -> None:
    """Raises an error unless ``unit`` is a channel of a layer's output [N, C, ...]."""
    if output.ndim < 2:
        raise ValueError(
            f"{op}: layer must give units along dim 1, got {layer!r}, which gives "
            f"{list(output.shape)}"
        )
    if unit is None:
        return
    units = output.size(1)
    index = as_integer(f"{op}: unit", unit, TypeError)
    if not 0 <= index < units:
        raise ValueError(
            f"{op}: unit must be one of the {units} of {layer!r}, 0 to {units - 1}, got {unit}"
        )


def positions_in(op: str, layer: str, output: Tensor, unit: int | None, position: Any) -> Tensor:
    """A position in the map for each sample.

    Args:
        op, layer: for messages.
        output: [N, C, *map].
        unit: the channel whose strongest activation "max" looks for; None: of all channels.
        position: "center"; "max"; indices for all samples; or an integer tensor of indices,
            [N, axes of the map].

    Returns:
        int64 [N, axes of the map].
    """
    samples, size = output.size(0), output.shape[2:]
    if isinstance(position, str) and position == "center":
        position = torch.tensor([length // 2 for length in size], dtype=torch.int64)
    if isinstance(position, str):
        if position != "max":
            raise ValueError(f"{op}: position must be 'center', 'max' or indices, got {position!r}")
        strongest = output.detach() if unit is None else output.detach()[:, unit : unit + 1]
        flat = strongest.amax(1).flatten(1).argmax(1)
        return torch.stack(torch.unravel_index(flat, size), 1) if size else flat.new_empty(0)
    try:
        positions = torch.as_tensor(position, device=output.device)
    except (TypeError, ValueError, RuntimeError):
        positions = torch.empty(0, 0, 0)
    if positions.ndim == 1:
        positions = positions.expand(samples, -1)
    if positions.shape != (samples, len(size)) or positions.is_floating_point():
        raise ValueError(
            f"{op}: position must be 'center', 'max' or {len(size)} integers, as {layer!r} gives "
            f"maps of {_by(size)}, got {_shown(position)}"
        )
    if not bool(((positions >= 0) & (positions < positions.new_tensor(size))).all()):
        raise ValueError(
            f"{op}: position must lie in the {_by(size)} map of {layer!r}, got {_shown(position)}"
        )
    return positions.long()


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size)) or "single numbers"


def _shown(position: Any) -> str:
    if isinstance(position, Tensor) and position.numel() > 4:
        return f"a {position.dtype} tensor {list(position.shape)}"
    return repr(position)
