"""Which units a process has of a layer that is split over processes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import local_tensor

from .rules import UnitDims

Shard = tuple[int, int]
"""The index of the units' shard, and the number of shards."""


def shard_of(x: Tensor, dims: UnitDims) -> Shard | None:
    """The shard of units that this process has of a distributed tensor; None if it has all.

    Args:
        x: a tensor of any kind.
        dims: its unit dimensions.
    """
    mesh: Any = getattr(x, "device_mesh", None)
    here = None if mesh is None else mesh.get_coordinate()
    if here is None:
        return None
    index, count = 0, 1
    for mesh_dim, placement in enumerate(getattr(x, "placements", ())):
        if placement.is_shard() and placement.dim % x.dim() in dims:
            size = mesh.size(mesh_dim)
            index, count = index * size + here[mesh_dim], count * size
    return None if count == 1 else (index, count)


def is_distributed(x: Tensor) -> bool:
    return type(x) is not Tensor and getattr(x, "placements", None) is not None


def encoded_shard(shard: Shard | None) -> str:
    return "" if shard is None else f"{shard[0]} {shard[1]}"


def decoded_shard(text: str) -> Shard | None:
    if not text:
        return None
    index, count = map(int, text.split())
    return index, count


def parts_of(x: Tensor) -> list[Tensor]:
    """A tensor, and the plain one that holds this process's part if it is distributed."""
    local = local_tensor(x)
    return [x] if local is None else [x, local]


inline_all_in_graph(globals())
