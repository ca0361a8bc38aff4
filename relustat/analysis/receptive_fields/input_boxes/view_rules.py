"""What operations that only move values need of their inputs."""

from __future__ import annotations

from typing import Any

from .need import Need, Rule, output_shape
from .regions import Axis, Region, reshaped


def _reshape(need: Need) -> Region:
    return reshaped(need.wanted, need.shape)


def _permute(need: Need) -> Region:
    dims = list(range(len(need.wanted)))
    if need.name == "Permute":
        dims = [dim % len(dims) for dim in need.saved("dims")]
    elif need.name == "Transpose":
        one, other = need.saved("dim0"), need.saved("dim1")
        dims[one], dims[other] = dims[other], dims[one]
    else:
        dims.reverse()
    return tuple(need.wanted[dims.index(dim)] for dim in range(len(dims)))


def _cat(need: Need) -> Region | None:
    dim = need.saved("dim") % len(need.wanted)
    befores = need.node.next_functions[: need.into]
    afters = need.node.next_functions[need.into :]
    # What needs no gradient has no shape here.
    if all(node for node, _ in befores):
        start = sum(output_shape(*before)[dim] for before in befores)
    elif all(node for node, _ in afters):
        start = need.wanted[dim].size - sum(output_shape(*after)[dim] for after in afters)
    else:
        return None
    region = need.moved(dim, lambda index: index - start)
    return (*region[:dim], region[dim].clipped(), *region[dim + 1 :])


def _stack(need: Need) -> Region:
    dim = need.saved("dim") % len(need.wanted)
    kept = (*need.wanted[:dim], *need.wanted[dim + 1 :])
    if need.into in need.wanted[dim].flat:
        return kept
    return tuple(Axis.of(axis.size, ()) for axis in kept)


def _slice(need: Need) -> Region:
    dim, start, step = need.saved("dim"), need.saved("start") or 0, need.saved("step")
    size = need.shape[dim]
    first = min(max(start + size if start < 0 else start, 0), size)
    return need.moved(dim, lambda index: first + index * step)


def _select(need: Need) -> Region:
    dim = need.saved("dim") % len(need.shape)
    index = need.output if need.name == "Unbind" else need.saved("index") % need.shape[dim]
    return (*need.wanted[:dim], Axis.of(need.shape[dim], [index]), *need.wanted[dim:])


def _index_select(need: Need) -> Region:
    # As GeometryCalls notes it of circular padding.
    notes: Any = need.node.metadata
    before = notes.get("padded_before")
    if need.is_endless and before is not None:
        return need.moved(need.saved("dim"), lambda place: place - before)
    sources = need.saved("index").tolist()
    dim = need.saved("dim") % len(need.shape)
    places = need.wanted[dim].flat & frozenset(range(len(sources)))
    from_where = Axis.of(need.shape[dim], (sources[place] for place in places))
    return (*need.wanted[:dim], from_where, *need.wanted[dim + 1 :])


def _split(need: Need) -> Region:
    dim = need.saved("dim") % len(need.shape)
    sizes = need.saved("split_sizes")
    start = sum(sizes[: need.output]) if sizes else need.saved("split_size") * need.output
    return need.moved(dim, lambda index: index + start)


def _repeat(need: Need) -> Region:
    kept = need.wanted[len(need.wanted) - len(need.shape) :]
    return tuple(
        Axis.of(size, (index % size for index in axis.flat))
        for axis, size in zip(kept, need.shape, strict=True)
    )


def _flip(need: Need) -> Region:
    dims = {dim % len(need.wanted) for dim in need.saved("dims")}
    return tuple(
        Axis.of(axis.size, (axis.size - 1 - index for index in axis.flat)) if dim in dims else axis
        for dim, axis in enumerate(need.wanted)
    )


def _roll(need: Need) -> Region | None:
    dims = need.saved("dims")
    if not dims:
        return None
    axes = list(need.wanted)
    for dim, shift in zip(dims, need.saved("shifts"), strict=True):
        size = axes[dim].size
        axes[dim] = Axis.of(size, ((index - shift) % size for index in axes[dim].flat))
    return tuple(axes)


RULES: dict[str, Rule] = {
    "View": _reshape,
    "UnsafeView": _reshape,
    "ReshapeAlias": _reshape,
    "Unsqueeze": _reshape,
    "Squeeze": _reshape,
    "Permute": _permute,
    "Transpose": _permute,
    "T": _permute,
    "Cat": _cat,
    "Stack": _stack,
    "Slice": _slice,
    "Select": _select,
    "IndexSelect": _index_select,
    "Unbind": _select,
    "Split": _split,
    "SplitWithSizes": _split,
    "Repeat": _repeat,
    "Flip": _flip,
    "Roll": _roll,
}
