"""Checks of the ops' arguments: each raises what its counterpart in csrc raises, word for word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import inline_in_graph
from relustat.ops.family import CLAMP, NEAR_ZERO, SLOPE, THRESHOLD
from relustat.ops.pool_geometry import PoolGeometry
from relustat.stats.bins import BINNING_LOG, BINNING_NONE, MAX_BINS
from relustat.stats.counter_layout import CounterLayout

OVERLAP_LAST, OVERLAP_SUM, OVERLAP_MAX = range(3)


def check_counting_relu(x: Tensor, *arguments: Any, **options: Any) -> None:
    """Raises what csrc/relu/checks.h raises."""
    check_counting("counting_relu", x, *arguments, **options)


def check_counting(
    op: str,
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
    saturates: bool = False,
) -> None:
    """:func:`check_counting_relu` for any op that counts; ``saturates``: at an upper knee."""
    if not -x.dim() <= unit_dim <= x.dim():
        raise IndexError(
            f"{op}: unit_dim must be in [{-x.dim()}, {x.dim()}] "
            f"for a {x.dim()}-D input, got {unit_dim}"
        )
    if counters.dtype != torch.int64 or counters.dim() != 1 or not counters.is_contiguous():
        raise ValueError(
            f"{op}: counters must be a contiguous 1-D int64 tensor, "
            f"got {counters.dim()}-D {counters.dtype}"
        )
    if edges.dtype != torch.float32 or edges.dim() != 1 or not edges.is_contiguous():
        raise ValueError(
            f"{op}: edges must be a contiguous 1-D float32 tensor, "
            f"got {edges.dim()}-D {edges.dtype}"
        )
    if counters.device != x.device or edges.device != x.device:
        raise ValueError(
            f"{op}: counters and edges must be on the input's device, "
            f"got input={x.device}, counters={counters.device}, edges={edges.device}"
        )
    if not BINNING_NONE <= binning <= BINNING_LOG:
        raise ValueError(
            f"{op}: binning must be 0 (none), 1 (search), 2 (linear) or 3 (log), got {binning}"
        )
    has_bins = binning != BINNING_NONE
    if (edges.numel() < 2) if has_bins else (edges.numel() > 0):
        raise ValueError(
            f"{op}: edges must hold at least 2 values, or none without binning, "
            f"got {edges.numel()} with binning={binning}"
        )
    bins = edges.numel() - 1 if has_bins else 0
    if bins > MAX_BINS:
        raise ValueError(f"{op}: there can be at most {MAX_BINS} bins, got {bins}")
    if binning == BINNING_LOG and (bins < 4 or bins % 2):
        raise ValueError(f"{op}: log bins must be even in number and at least 4, got {bins}")
    units = 1 if unit_dim == x.dim() else x.size(unit_dim)
    shared, apart = (CounterLayout(units, rows, bins, saturates).size for rows in (1, units))
    if not has_bins and counters.numel() != shared:
        raise ValueError(
            f"{op}: counters of {units} units without bins must hold {shared} words, "
            f"got {counters.numel()}"
        )
    if counters.numel() != shared and counters.numel() != apart:
        raise ValueError(
            f"{op}: counters of {units} units and {bins} bins must hold {shared} words, "
            f"or with a histogram per unit {apart}, got {counters.numel()}"
        )
    if mask is not None:
        check_mask(x, unit_dims_of(x, unit_dim), mask, op)
    if blocks is not None and (
        blocks.dtype != torch.int64 or blocks.shape != (2,) or blocks.device != x.device
    ):
        raise ValueError(
            f"{op}: blocks must be int64 [2] on the input's device, "
            f"got {blocks.dtype} {list(blocks.shape)} on {blocks.device}"
        )


def check_counting_activation(
    op: str,
    x: Tensor,
    counters: Tensor,
    edges: Tensor,
    unit_dim: int,
    binning: int,
    activation: int,
    first: float,
    second: float,
    slopes: Tensor | None = None,
    mask: Tensor | None = None,
    blocks: Tensor | None = None,
    *,
    output: Tensor | None = None,
    is_computed: bool = True,
) -> None:
    """Raises what csrc/relu/family_arguments.h raises."""
    if not CLAMP <= activation <= NEAR_ZERO:
        raise ValueError(f"{op}: activation must be in [{CLAMP}, {NEAR_ZERO}], got {activation}")
    if activation == CLAMP and not first < second:
        raise ValueError(
            f"{op}: the lower knee must be below the upper one, got {first:g} and {second:g}"
        )
    if activation == SLOPE and not math.isfinite(first):
        raise ValueError(f"{op}: the slope must be finite, got {first:g}")
    if activation == THRESHOLD and (math.isnan(first) or math.isnan(second)):
        raise ValueError(
            f"{op}: the threshold and the output below it must be numbers, "
            f"got {first:g} and {second:g}"
        )
    if activation == NEAR_ZERO and not first >= 0:
        raise ValueError(f"{op}: near_zero must be at least 0, got {first:g}")
    if is_computed and activation == NEAR_ZERO:
        raise ValueError(
            f"{op}: activation must be one that an op computes, got {activation} (near zero), "
            "which only count_activation counts"
        )
    saturates = activation == CLAMP
    check_counting(op, x, counters, edges, unit_dim, binning, mask, blocks, saturates)
    if not is_computed:
        _check_output(op, x, activation, output)
    elif slopes is not None:
        _check_slopes(op, x, unit_dim, activation, slopes)


def _check_output(op: str, x: Tensor, activation: int, output: Tensor | None) -> None:
    if (activation == NEAR_ZERO) != (output is not None):
        with_or_without = "without" if output is None else "with"
        raise ValueError(
            f"{op}: output must be given for activation=5 (near zero) alone, "
            f"got activation={activation} {with_or_without} an output"
        )
    if output is not None and (
        output.shape != x.shape or output.dtype != x.dtype or output.device != x.device
    ):
        raise ValueError(
            f"{op}: output must have the input's size, dtype and device, "
            f"got {output.dtype} {list(output.shape)} on {output.device}"
        )


def _check_slopes(op: str, x: Tensor, unit_dim: int, activation: int, slopes: Tensor) -> None:
    if activation != SLOPE:
        raise ValueError(
            f"{op}: slopes must be given for activation=2 (slope) alone, "
            f"got activation={activation}"
        )
    units = 1 if unit_dim == x.dim() else x.size(unit_dim)
    if (
        slopes.dtype != x.dtype
        or slopes.device != x.device
        or not slopes.is_contiguous()
        or (slopes.numel() != 1 and slopes.numel() != units)
    ):
        raise ValueError(
            f"{op}: slopes must be contiguous, of the input's dtype and device, one or one for "
            f"each of {units} units, got {slopes.dtype} {list(slopes.shape)} on {slopes.device}"
        )


@inline_in_graph
def unit_dims_of(x: Tensor, unit_dim: int | tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of ``x`` that have its units; none if all of it is one unit."""
    if isinstance(unit_dim, tuple):
        return unit_dim
    return () if unit_dim == x.dim() else (unit_dim,)


@inline_in_graph
def sizes_of_positions(x: Tensor, unit_dims: Sequence[int]) -> list[int]:
    """The sizes of ``x`` without its unit dimensions."""
    # Where dimensions are symbols, the compiler is wrong about `in`.
    are_kept = [True] * x.dim()
    for dim in unit_dims:
        are_kept[dim % x.dim()] = False
    return [size for size, is_kept in zip(x.shape, are_kept, strict=True) if is_kept]


@inline_in_graph
def check_mask(
    x: Tensor, unit_dims: Sequence[int], mask: Tensor, op: str = "counting_relu"
) -> None:
    """Raises what csrc/relu/checks.h raises."""
    problem = why_mask_does_not_fit(x, unit_dims, mask)
    if problem:
        raise ValueError(f"{op}: {problem}")


@inline_in_graph
def why_mask_does_not_fit(x: Tensor, unit_dims: Sequence[int], mask: Tensor) -> str:
    """What a mask must be and is not; empty if it fits."""
    if mask.dtype != torch.bool:
        return f"mask must be bool, got {mask.dtype}"
    if mask.device != x.device:
        return f"mask must be on the input's device, got input={x.device}, mask={mask.device}"
    sizes = sizes_of_positions(x, unit_dims)
    expands = mask.dim() <= len(sizes)
    for mine, size in zip(reversed(mask.shape), reversed(sizes), strict=False):
        expands = expands and (mine == 1 or mine == size)
    if not expands:
        return (
            f"mask must have the size of the input without its units, {sizes}, or expand to it, "
            f"got {list(mask.shape)}"
        )
    return ""


def check_activation_hash(x: Tensor) -> None:
    """Raises what csrc/activation/checks.h raises."""
    if x.dim() == 0:
        raise ValueError("activation_hash: x must be [samples, ...], got a 0-D tensor")
    if x.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        raise TypeError(
            f"activation_hash: x must be float32, float64, bfloat16 or float16, got {x.dtype}"
        )


def check_pooled(op: str, x: Tensor, pooling: PoolGeometry) -> tuple[int, ...]:
    """Returns the windows along each axis; raises what csrc/pool/checks.h raises."""
    _check_dims(op, x, pooling.axes)
    return pooling.output_size(op, x.shape[-pooling.axes :])


def check_relu_max_pool(
    x: Tensor, counting: Sequence[Any], pooling: PoolGeometry
) -> tuple[int, ...]:
    """:func:`check_counting_relu`, and :func:`check_pooled`."""
    check_counting_relu(x, *counting)
    return check_pooled(f"relu_max_pool{pooling.axes}d", x, pooling)


def _check_dims(op: str, x: Tensor, axes: int) -> None:
    if x.dim() not in (axes + 1, axes + 2):
        raise ValueError(
            f"{op}: input must be {axes + 1}-D or {axes + 2}-D, "
            f"got {x.dim()}-D of size {list(x.shape)}"
        )


def check_unpooled(
    op: str,
    y: Tensor,
    offsets: Tensor,
    pooling: PoolGeometry,
    input_size: Sequence[int],
    overlap: int,
) -> None:
    """Raises what csrc/pool/checks.h raises."""
    axes = pooling.axes
    windows = pooling.output_size(op, input_size)
    _check_dims(op, y, axes)
    if offsets.dtype != pooling.offsets_dtype:
        raise ValueError(
            f"{op}: switches of windows of {pooling.taps} cells must be {pooling.offsets_dtype}, "
            f"got {offsets.dtype}"
        )
    if offsets.device != y.device:
        raise ValueError(
            f"{op}: switches must be on the input's device, got input={y.device}, "
            f"switches={offsets.device}"
        )
    if offsets.shape != y.shape:
        raise ValueError(
            f"{op}: switches must have the input's size, got input={list(y.shape)}, "
            f"switches={list(offsets.shape)}"
        )
    if tuple(y.shape[-axes:]) != windows:
        raise ValueError(
            f"{op}: this pooling gives an output of {list(windows)}, "
            f"got an input of {list(y.shape)}"
        )
    if not OVERLAP_LAST <= overlap <= OVERLAP_MAX:
        raise ValueError(f"{op}: overlap must be 0 (last), 1 (sum) or 2 (max), got {overlap}")


def check_unpooled_backward(
    op: str,
    gradient: Tensor,
    y: Tensor | None,
    offsets: Tensor,
    pooling: PoolGeometry,
    overlap: int,
) -> None:
    """Raises what csrc/pool/tensors.h raises."""
    windows = check_pooled(op, gradient, pooling)
    like_y = gradient.new_empty((*gradient.shape[: -pooling.axes], *windows))
    check_unpooled(op, like_y, offsets, pooling, gradient.shape[-pooling.axes :], overlap)
    if overlap == OVERLAP_MAX and (
        y is None
        or y.shape != offsets.shape
        or y.dtype != gradient.dtype
        or y.device != gradient.device
    ):
        raise ValueError(f"{op}: overlap=2 (max) needs y, of the gradient's dtype and device")
