"""What is known of the units of one tensor."""

from __future__ import annotations

import json
from typing import NamedTuple

from torch import Tensor

from relustat._dynamo import inline_all_in_graph

from .rules import UnitDims
from .shards import Shard, is_distributed, shard_of

ATTRIBUTE = "_relustat_units"
# Whether a graph was traced: then tensors that left it may have this attribute.
_traces: list[bool] = []


class Units(NamedTuple):
    """What is known of a tensor.

    Attributes:
        dims: the dimensions whose indices are its units; None if they are not known.
        layer: the path of the module that made it; None if that is not known.
        shape: its shape at that time.
        shard: which units it has, if a layer is split over processes.
        made: the number of layers before that one.
        is_weight: whether it is made of parameters only.
    """

    dims: UnitDims | None
    layer: str | None
    shape: tuple[int, ...]
    shard: Shard | None = None
    made: int = 0
    is_weight: bool = False

    def on(self, output: Tensor, dims: UnitDims | None) -> Units:
        """The units of a tensor that is made of this one."""
        shard = self.shard
        if is_distributed(output) and dims is not None:
            shard = shard_of(output, dims)
        return Units(dims, self.layer, output.shape, shard, self.made)


def encoded(units: Units) -> str:
    """What a tensor keeps that leaves a graph."""
    if not _traces:
        _traces.append(True)
    return json.dumps([units.dims, units.layer, units.shard])


def left_by_graph(x: Tensor) -> Units | None:
    """What a tensor keeps, if it has left a graph."""
    text = getattr(x, ATTRIBUTE, None) if _traces else None
    if text is None:
        return None
    dims, layer, shard = json.loads(text)
    return Units(
        None if dims is None else tuple(dims),
        layer,
        x.shape,
        None if shard is None else tuple(shard),
    )


def assumed_dim(dims: int) -> str:
    """The dimension that :class:`relustat.Counters` takes if the units are not known, in words."""
    if dims == 0:
        return "one (assumed)"
    return f"dimension 1 of {dims} (assumed)" if dims > 3 else "last dimension (assumed)"


inline_all_in_graph(globals())
