"""What operations that only move values need of their inputs."""

from __future__ import annotations

from typing import Any

from .need import Need, Rule, output_shape
from .regions import Axis, Region, reshaped


def _reshape(need: Need) -> Region:
    return reshaped(need.wanted, need.shape)


def _permute(need: Need) -> Region:
    dims = [dim % len(need.wanted) for dim in need.saved("dims")]
    return tuple(need.wanted[dims.index(dim)] for dim in range(len(dims)))


def _transpose(need: Need) -> Region:
    one, other = need.dim("dim0"), need.dim("dim1")
    axes = list(need.wanted)
    axes[one], axes[other] = axes[other], axes[one]
    return tuple(axes)


def _reverse(need: Need) -> Region:
    return need.wanted[::-1]


def _cat(need: Need) -> Region | None:
    dim = need.dim()
    befores = need.node.next_functions[: need.into]
    afters = need.node.next_functions[need.into :]
    # What needs no gradient has no shape here.
    if all(node for node, _ in befores):
        start = sum(output_shape(*before)[dim] for before in befores)
    elif all(node for node, _ in afters):
        start = need.wanted[dim].size - sum(output_shape(*after)[dim] for after in afters)
    else:
        return None
    return need.with_axis(dim, need.moved(dim, lambda flat: flat - start)[dim].clipped())


def _stack(need: Need) -> Region:
    dim = need.saved("dim") % len(need.wanted)
    kept = (*need.wanted[:dim], *need.wanted[dim + 1 :])
    if need.into in need.wanted[dim].flat:
        return kept
    return tuple(Axis.of(axis.size, []) for axis in kept)


def _slice(need: Need) -> Region:
    dim, start, step = need.saved("dim"), need.saved("start") or 0, need.saved("step")
    size = need.shape[dim]
    first = min(max(start + size if start < 0 else start, 0), size)
    return need.moved(dim, lambda flat: first + flat * step)


def _at(need: Need, index: int) -> Region:
    dim = need.dim()
    return (*need.wanted[:dim], Axis.of(need.shape[dim], [index]), *need.wanted[dim:])


def _select(need: Need) -> Region:
    return _at(need, need.saved("index") % need.shape[need.dim()])


def _unbind(need: Need) -> Region:
    return _at(need, need.output)


def _index_select(need: Need) -> Region:
    # As GeometryCalls notes it of circular padding.
    notes: Any = need.node.metadata
    before = notes.get("padded_before")
    if need.is_endless and before is not None:
        return need.moved(need.dim(), lambda flat: flat - before)
    sources = need.saved("index").numpy(force=True)
    return need.moved(need.dim(), lambda flat: sources[flat[(flat >= 0) & (flat < len(sources))]])


def _split(need: Need) -> Region:
    sizes = need.saved("split_sizes")
    start = sum(sizes[: need.output]) if sizes else need.saved("split_size") * need.output
    return need.moved(need.dim(), lambda flat: flat + start)


def _pixel_shuffle(need: Need) -> Region:
    factor = need.saved("upscale_factor")
    *batch, channels, rows, columns = (axis.size for axis in need.wanted)
    apart = (*batch, channels, rows // factor, factor, columns // factor, factor)
    *outer, channel, row, below, column, beside = reshaped(need.wanted, apart)
    return reshaped((*outer, channel, below, beside, row, column), need.shape)


def _pixel_unshuffle(need: Need) -> Region:
    factor = need.saved("downscale_factor")
    *batch, channels, rows, columns = (axis.size for axis in need.wanted)
    apart = (*batch, channels // factor**2, factor, factor, rows, columns)
    *outer, channel, below, beside, row, column = reshaped(need.wanted, apart)
    return reshaped((*outer, channel, row, below, column, beside), need.shape)


def _repeat(need: Need) -> Region:
    kept = need.wanted[len(need.wanted) - len(need.shape) :]
    return tuple(
        Axis.of(size, axis.flat % size) for axis, size in zip(kept, need.shape, strict=True)
    )


def _flip(need: Need) -> Region:
    dims = {dim % len(need.wanted) for dim in need.saved("dims")}
    return tuple(
        Axis.of(axis.size, axis.size - 1 - axis.flat) if dim in dims else axis
        for dim, axis in enumerate(need.wanted)
    )


def _roll(need: Need) -> Region | None:
    dims = need.saved("dims")
    if not dims:
        return None
    axes = list(need.wanted)
    for dim, shift in zip(dims, need.saved("shifts"), strict=True):
        axes[dim] = Axis.of(axes[dim].size, (axes[dim].flat - shift) % axes[dim].size)
    return tuple(axes)


RULES: dict[str, Rule] = {
    "reshape": _reshape,
    "permute": _permute,
    "transpose": _transpose,
    "reverse": _reverse,
    "cat": _cat,
    "stack": _stack,
    "slice": _slice,
    "select": _select,
    "unbind": _unbind,
    "index select": _index_select,
    "split": _split,
    "pixel shuffle": _pixel_shuffle,
    "pixel unshuffle": _pixel_unshuffle,
    "repeat": _repeat,
    "flip": _flip,
    "roll": _roll,
}
