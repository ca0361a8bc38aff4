"""Units, layers and positions of calls in a graph while ``torch.compile`` traces it.

The tracer's own values are read: nothing of this is in the graph, and nothing is guarded.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import (
    ComptimeContext,
    call_of_node,
    comptime,
    inline_in_graph,
    traced_constant,
    traced_frames,
    traced_object,
    traced_value,
)

from .call_names import call_place
from .call_positions import class_code, position_in
from .call_sites import TracedCall
from .shards import encoded_shard
from .unit_dims import FollowedUnits, assumed_dim
from .watched_modules import WatchedModule


class _Tracing(threading.local):
    """What this thread's traces say.

    Attributes:
        units: those of each tensor, which is known by its fake.
        seen: the nodes of graphs that were followed by themselves.
        call: what is known of the ReLU that was asked for last. Dimensions are a text.
    """

    def __init__(self) -> None:
        self.units = FollowedUnits()
        self.seen: weakref.WeakSet[torch.fx.Node] = weakref.WeakSet()
        self.call = ("", "", "", "", "")


_tracing = _Tracing()


@inline_in_graph
def follow_in_trace(function: Any, args: Any, kwargs: Any, output: Any, path: str) -> None:  # noqa: ARG001
    """Stores the units of what a call in module ``path`` returned."""
    comptime(_follow)


def _follow(context: ComptimeContext) -> None:
    names = ("function", "args", "kwargs", "output")
    function, args, kwargs, output = (traced_value(context, name, _catch_up) for name in names)
    _tracing.units.follow(function, args, kwargs, output, traced_constant(context, "path"))


def _catch_up(node: torch.fx.Node, of_node: Callable[[torch.fx.Node], Any]) -> None:
    """Follows a call that the compiler showed to no mode, such as ``x.mT``."""
    value = node.meta.get("example_value")
    if node in _tracing.seen or (isinstance(value, Tensor) and _tracing.units.of(value)):
        return
    _tracing.seen.add(node)
    with contextlib.suppress(AttributeError):  # attributes that tensors lack have no units
        call = call_of_node(node, of_node)
        if call is not None:
            _tracing.units.follow(*call, value, "")


@inline_in_graph
def traced_call(x: Any, watched: WatchedModule, caller: WatchedModule | None) -> TracedCall:  # noqa: ARG001
    """What is known of the ReLU of ``x`` that is traced now."""
    comptime(_find)
    dims = _found(1)
    known = None if dims == "unknown" else tuple([int(dim) for dim in dims.split()])
    return TracedCall(_found(0), known, _found(2), _found(3), _found(4))


def _find(context: ComptimeContext) -> None:
    watched: WatchedModule = traced_object(context, "watched")
    caller: WatchedModule | None = traced_object(context, "caller")
    x = traced_value(context, "x", _catch_up)
    units = _tracing.units.of(x)
    layer = units.layer if units is not None else None
    dims = units.dims if units is not None else None
    call = None
    if caller is not None and caller.module is not None:
        code = class_code(type(caller.module))
        found = (
            code.call_written_at(position_in(file, where))
            for file, where in traced_frames(context)
            if file in code.files
        )
        call = next((each for each in found if each is not None), None)
    place = call_place(
        caller.module if caller else None,
        caller.path if caller else "",
        watched.module if watched.is_relu_module else None,
        watched.path,
        call,
        layer,
    )
    _tracing.call = (
        place.encoded(),
        "unknown" if dims is None else " ".join(map(str, dims)),
        layer or "",
        assumed_dim(x.dim()) if dims is None and isinstance(x, Tensor) else "",
        encoded_shard(units.shard if units is not None else None),
    )


@torch.compiler.assume_constant_result
def _found(index: int) -> str:
    return _tracing.call[index]
