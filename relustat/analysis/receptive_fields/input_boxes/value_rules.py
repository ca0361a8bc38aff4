"""What operations that compute with values need of their inputs, but for windows."""

from __future__ import annotations

import numpy as np

from .need import Need, Rule
from .regions import Axis, Region, whole


def _elementwise(need: Need) -> Region:
    """By the rules of broadcasting."""
    kept = need.wanted[len(need.wanted) - len(need.shape) :]
    return tuple(
        Axis.whole(1) if size == 1 != axis.size else axis
        for axis, size in zip(kept, need.shape, strict=True)
    )


def _batch_norm(need: Need) -> Region | None:
    if need.into != 0:
        return None
    if not need.saved("training"):
        return need.wanted
    return need.with_whole(dim for dim in range(len(need.wanted)) if dim != 1)


def _layer_norm(need: Need) -> Region | None:
    if need.into != 0:
        return None
    return need.with_whole(range(-len(need.saved("normalized_shape")), 0))


def _group_norm(need: Need) -> Region | None:
    if need.into != 0:
        return None
    batch, channels, *positions = need.wanted
    groups = channels.in_groups(channels.size, need.saved("group"))
    return (batch, groups, *whole([axis.size for axis in positions]))


def _gated(need: Need) -> Region:
    half = need.wanted[need.dim()].size
    return need.moved(need.dim(), lambda flat: np.add.outer(flat, (0, half)))


def _softmax(need: Need) -> Region:
    return need.with_whole([need.saved("dim")])


def _reduction(need: Need) -> Region:
    dims = need.saved("dim")
    dims = [dims] if isinstance(dims, int) else dims or range(len(need.shape))
    gone = {dim % len(need.shape) for dim in dims}
    wanted = iter(need.wanted)
    axes = []
    for dim, size in enumerate(need.shape):
        axis = next(wanted) if dim not in gone or need.saved("keepdim") else None
        axes.append(Axis.whole(size) if dim in gone or axis is None else axis)
    return tuple(axes)


def _product(need: Need, factor: int) -> Region:
    *batch, rows, columns = need.wanted
    if factor == 0:
        return (*batch, rows, Axis.whole(need.shape[-1]))
    return (*batch, Axis.whole(need.shape[-2]), columns)


def _matrix_product(need: Need) -> Region:
    return _product(need, need.into)


def _added_matrix_product(need: Need) -> Region:
    return _product(need, need.into - 1) if need.into else _elementwise(need)


RULES: dict[str, Rule] = {
    "elementwise": _elementwise,
    "batch norm": _batch_norm,
    "layer norm": _layer_norm,
    "group norm": _group_norm,
    "gated": _gated,
    "softmax": _softmax,
    "reduction": _reduction,
    "matrix product": _matrix_product,
    "added matrix product": _added_matrix_product,
}
