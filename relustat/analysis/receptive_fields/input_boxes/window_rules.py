"""What convolutions, pools, paddings and upsampling need of their inputs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from .need import Need, Rule
from .regions import Axis, Region


def _windows(
    wanted: Axis, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> Axis:
    """What windows see of the axis over which they slide."""
    starts = [place * stride - padding for place in wanted.flat]
    return Axis.of(size, (start + tap * dilation for start in starts for tap in range(kernel)))


def _transposed_windows(
    wanted: Axis, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> Axis:
    """Which windows see something, where they slide over what is wanted."""
    ends = [place + padding for place in wanted.flat]
    starts = (end - tap * dilation for end in ends for tap in range(kernel))
    return Axis.of(size, (start // stride for start in starts if start % stride == 0))


def _convolution(need: Need) -> Region | None:
    if need.into != 0:
        return None
    batch, channels, *places = need.wanted
    windows = _transposed_windows if need.saved("transposed") else _windows
    kernel = need.saved("weight").shape[2:]
    arguments = (need.saved(name) for name in ("stride", "padding", "dilation"))
    geometry = zip(places, need.shape[2:], kernel, *arguments, strict=True)
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
    elif need.name == "MaxPool":
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
    axes = 2 if "2D" in need.name else 3
    return (
        *need.wanted[:-axes],
        *map(_adaptive_windows, need.wanted[-axes:], need.shape[-axes:]),
    )


def _adaptive_windows(wanted: Axis, size: int) -> Axis:
    windows = (
        range(place * size // wanted.size, -(-(place + 1) * size // wanted.size))
        for place in wanted.flat
    )
    return Axis.of(size, itertools.chain.from_iterable(windows))


def _pad(need: Need) -> Region:
    befores = need.saved("pad" if need.name == "ConstantPadNd" else "padding")[::2]
    axes = list(need.wanted)
    for dim, before in enumerate(befores, 1):
        size = need.shape[-dim]
        inner = (place - before for place in axes[-dim].flat)
        axes[-dim] = Axis.of(size, (_unpadded(need, place, size) for place in inner))
    return tuple(axes)


def _unpadded(need: Need, place: int, size: int) -> int:
    if need.is_endless or need.name == "ConstantPadNd":
        return place
    if need.name.startswith("Reflection"):
        place = abs(place)
        return min(place, 2 * (size - 1) - place)
    return min(max(place, 0), size - 1)


def _upsampled(need: Need) -> Region:
    axes = int(need.name[-2])
    names = ("scales",) if axes == 1 else ("scales_d", "scales_h", "scales_w")[-axes:]
    scales = [need.saved(name) for name in names]
    kept, places = need.wanted[:-axes], need.wanted[-axes:]
    return (
        *kept,
        *(
            Axis.of(size, _sources(need, wanted, size, scale))
            for wanted, size, scale in zip(places, need.shape[-axes:], scales, strict=True)
        ),
    )


def _sources(need: Need, wanted: Axis, size: int, scale: float | None) -> Iterator[int]:
    """The places between which values were interpolated."""
    before, after = _TAPS[need.name[len("Upsample") : -2]]
    for place in wanted.flat:
        at = _source(need, place, wanted.size, size, scale)
        first = math.floor(at)
        # Right on a place, no other one counts.
        taps = range(first - before, first + after + 1) if at != first or not after else [first]
        for tap in taps:
            yield tap if need.is_endless else min(max(tap, 0), size - 1)


_TAPS = {
    "Nearest": (0, 0),
    "NearestExact": (0, 0),
    "Linear": (0, 1),
    "Bilinear": (0, 1),
    "Trilinear": (0, 1),
    "Bicubic": (1, 2),
}


def _source(need: Need, place: int, length: int, size: int, scale: float | None) -> float:
    if need.saved("align_corners"):
        return place * (size - 1) / max(length - 1, 1)
    step = 1 / scale if scale else size / length
    if need.name.startswith("UpsampleNearest"):
        return (place + 0.5) * step if "Exact" in need.name else place * step
    return (place + 0.5) * step - 0.5


def _pixel_shuffle(need: Need) -> Region:
    *batch, channels, rows, columns = need.wanted
    factor = need.saved("upscale_factor")
    *_, depth, height, width = need.shape
    within = {
        row % factor * factor + column % factor for row in rows.flat for column in columns.flat
    }
    return (
        *batch,
        Axis.of(
            depth, (channel * factor**2 + place for channel in channels.flat for place in within)
        ),
        Axis.of(height, (row // factor for row in rows.flat)),
        Axis.of(width, (column // factor for column in columns.flat)),
    )


def _pixel_unshuffle(need: Need) -> Region:
    *batch, channels, rows, columns = need.wanted
    factor = need.saved("downscale_factor")
    *_, depth, height, width = need.shape
    above = {channel // factor % factor for channel in channels.flat}
    beside = {channel % factor for channel in channels.flat}
    return (
        *batch,
        Axis.of(depth, (channel // factor**2 for channel in channels.flat)),
        Axis.of(height, (row * factor + place for row in rows.flat for place in above)),
        Axis.of(width, (column * factor + place for column in columns.flat for place in beside)),
    )


def _unfold(need: Need) -> Region:
    dim, step = need.saved("dimension") % len(need.shape), need.saved("step")
    *kept, within = need.wanted
    kept[dim] = Axis.of(
        need.shape[dim], (place * step + tap for place in kept[dim].flat for tap in within.flat)
    )
    return tuple(kept)


RULES: dict[str, Rule] = {
    "Convolution": _convolution,
    "MaxPool": _pool,
    "MaxPool2DWithIndices": _pool,
    "MaxPool3DWithIndices": _pool,
    "AvgPool2D": _pool,
    "AvgPool3D": _pool,
    "AdaptiveAvgPool2D": _adaptive_pool,
    "AdaptiveAvgPool3D": _adaptive_pool,
    "AdaptiveMaxPool2D": _adaptive_pool,
    "AdaptiveMaxPool3D": _adaptive_pool,
    "ConstantPadNd": _pad,
    "ReflectionPad1D": _pad,
    "ReflectionPad2D": _pad,
    "ReflectionPad3D": _pad,
    "ReplicationPad1D": _pad,
    "ReplicationPad2D": _pad,
    "ReplicationPad3D": _pad,
    "UpsampleNearest1D": _upsampled,
    "UpsampleNearest2D": _upsampled,
    "UpsampleNearest3D": _upsampled,
    "UpsampleNearestExact1D": _upsampled,
    "UpsampleNearestExact2D": _upsampled,
    "UpsampleNearestExact3D": _upsampled,
    "UpsampleLinear1D": _upsampled,
    "UpsampleBilinear2D": _upsampled,
    "UpsampleTrilinear3D": _upsampled,
    "UpsampleBicubic2D": _upsampled,
    "PixelShuffle": _pixel_shuffle,
    "PixelUnshuffle": _pixel_unshuffle,
    "Unfold": _unfold,
}
