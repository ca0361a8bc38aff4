"""What convolutions, pools, paddings and upsampling need of their inputs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from .need import Need, Rule
from .regions import Axis, Indices, Region


def _windows(
    wanted: Axis, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> Axis:
    """What windows see of the axis over which they slide."""
    starts = wanted.flat * stride - padding
    return Axis.of(size, np.add.outer(starts, np.arange(kernel) * dilation))


def _transposed_windows(
    wanted: Axis, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> Axis:
    """Which windows see something, where they slide over what is wanted."""
    starts = np.subtract.outer(wanted.flat + padding, np.arange(kernel) * dilation)
    return Axis.of(size, starts[starts % stride == 0] // stride)


def _convolution(need: Need) -> Region | None:
    if need.into != 0:
        return None
    batch, channels, *positions = need.wanted
    windows = _transposed_windows if need.saved("transposed") else _windows
    kernel = need.saved("weight").shape[2:]
    arguments = (need.saved(name) for name in ("stride", "padding", "dilation"))
    geometry = zip(positions, need.shape[2:], kernel, *arguments, strict=True)
    return (
        batch,
        channels.in_groups(need.shape[1], need.saved("groups")),
        *itertools.starmap(windows, geometry),
    )


def _pool(need: Need) -> Region | None:
    # Of relustat's pool the node tells nothing.
    notes: Any = need.node.metadata
    pooling = notes.get("pooling")
    if pooling is not None:
        kernel, stride = pooling.kernel_size, pooling.stride
        padding, dilation = pooling.padding, pooling.dilation
    elif need.kind == "MaxPool":
        return None
    else:
        kernel = need.saved("kernel_size")
        stride = need.saved("stride") or kernel
        padding = need.saved("padding")
        dilation = need.saved("dilation", (1,) * len(kernel))
    axes = len(kernel)
    geometry = zip(
        need.wanted[-axes:], need.shape[-axes:], kernel, stride, padding, dilation, strict=True
    )
    return (*need.wanted[:-axes], *itertools.starmap(_windows, geometry))


def _adaptive_pool(need: Need) -> Region:
    axes = 2 if "2D" in need.kind else 3
    windows = map(_adaptive_windows, need.wanted[-axes:], need.shape[-axes:])
    return (*need.wanted[:-axes], *windows)


def _adaptive_windows(wanted: Axis, size: int) -> Axis:
    first = wanted.flat * size // wanted.size
    last = -(-(wanted.flat + 1) * size // wanted.size)
    return Axis.of(size, np.concatenate([[], *map(np.arange, first, last)]))


def _pad(need: Need) -> Region:
    befores = need.saved("pad" if need.kind == "ConstantPadNd" else "padding")[::2]
    axes = list(need.wanted)
    for dim, before in enumerate(befores, 1):
        size = need.shape[-dim]
        axes[-dim] = Axis.of(size, _unpadded(need, axes[-dim].flat - before, size))
    return tuple(axes)


def _unpadded(need: Need, positions: Indices, size: int) -> Indices:
    if need.is_endless or need.kind == "ConstantPadNd":
        return positions
    if need.kind.startswith("Reflection"):
        positions = np.abs(positions)
        return np.minimum(positions, 2 * (size - 1) - positions)
    return positions.clip(0, size - 1)


def _upsample(need: Need) -> Region:
    axes = int(need.kind[-2])
    names = ("scales",) if axes == 1 else ("scales_d", "scales_h", "scales_w")[-axes:]
    geometry = zip(need.wanted[-axes:], need.shape[-axes:], map(need.saved, names), strict=True)
    return (*need.wanted[:-axes], *(_sources(need, *each) for each in geometry))


def _sources(need: Need, wanted: Axis, size: int, scale: float | None) -> Axis:
    """The positions between which values were interpolated."""
    before, after = _TAPS[need.kind[len("Upsample") : -2]]
    at = _source(need, wanted.flat, wanted.size, size, scale)
    first = np.floor(at)
    taps = np.add.outer(first, np.arange(-before, after + 1))
    if after:
        # Right on a position, no other one counts.
        taps = np.where((at == first)[:, None], first[:, None], taps)
    return Axis.of(size, taps if need.is_endless else taps.clip(0, size - 1))


_TAPS = {
    "Nearest": (0, 0),
    "NearestExact": (0, 0),
    "Linear": (0, 1),
    "Bilinear": (0, 1),
    "Trilinear": (0, 1),
    "Bicubic": (1, 2),
}


def _source(
    need: Need, position: Indices, length: int, size: int, scale: float | None
) -> npt.NDArray[np.floating]:
    if need.saved("align_corners"):
        return position * (size - 1) / max(length - 1, 1)
    step = 1 / scale if scale else size / length
    if need.kind.startswith("UpsampleNearest"):
        return (position + 0.5) * step if "Exact" in need.kind else position * step
    return (position + 0.5) * step - 0.5


def _unfold(need: Need) -> Region:
    dim, step = need.dim("dimension"), need.saved("step")
    *kept, within = need.wanted
    kept[dim] = Axis.of(need.shape[dim], np.add.outer(kept[dim].flat * step, within.flat))
    return tuple(kept)


RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "pool": _pool,
    "adaptive pool": _adaptive_pool,
    "pad": _pad,
    "upsample": _upsample,
    "unfold": _unfold,
}
