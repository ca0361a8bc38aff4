"""Units, layers and positions of calls in a graph while ``torch.compile`` traces it.

The tracer's own values are read: nothing of this is in the graph, and nothing is guarded.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from relustat._dynamo import (
    call_of_node,
    comptime,
    constant_in_graph,
    inline_in_graph,
    traced_constant,
    traced_frames,
    traced_object,
    traced_value,
)

from .call_names import call_place, within_functions
from .call_positions import Position, WrittenCall, class_code, is_of_user, position_in
from .call_sites import TracedCall
from .units.followed import FollowedUnits
from .units.of_tensors import ATTRIBUTE, assumed_dim, encoded
from .units.shards import encoded_shard
from .watched_modules import WatchedModule

if TYPE_CHECKING:
    from relustat._dynamo import ComptimeContext

LEFT = 5


class _Within(NamedTuple):
    path: str


class _Tracing(threading.local):
    """What this thread's traces say.

    Attributes:
        units: those of each tensor, which is known by its fake.
        seen: the nodes of graphs that were followed by themselves.
        call: what is known of the ReLU that was asked for last: its place, dimensions, layer,
            assumed dimension and shard. And at :data:`LEFT` what the last tensor keeps. All are
            texts, because a graph takes them as constants.
    """

    def __init__(self) -> None:
        self.units = FollowedUnits()
        self.seen: weakref.WeakSet[torch.fx.Node] = weakref.WeakSet()
        self.call: tuple[str, ...] = ("", "", "", "", "", "")


_tracing = _Tracing()


@inline_in_graph
def follow_in_trace(function: Any, args: Any, kwargs: Any, output: Any, path: str) -> None:  # noqa: ARG001
    """Stores the units of what a call in module ``path`` returned.

    A tensor keeps them, as an attribute, if it leaves the graph. The compiler allows none on
    tensors from a tuple.
    """
    comptime()(_follow)
    if isinstance(output, Tensor):
        left = _found(LEFT)
        if left:
            setattr(output, ATTRIBUTE, left)


def _follow(context: ComptimeContext) -> None:
    function, args, kwargs = (
        traced_value(context, name, _catch_up) for name in ("function", "args", "kwargs")
    )
    output = traced_value(context, "output", lambda *_: None)
    within = _Within(traced_constant(context, "path"))
    _tracing.units.follow(function, args, kwargs, output, within)
    units = _tracing.units.of(output) if isinstance(output, Tensor) else None
    left = "" if units is None or units.is_weight else encoded(units)
    _tracing.call = (*_tracing.call[:LEFT], left)


def _catch_up(node: torch.fx.Node, of_node: Callable[[torch.fx.Node], Any]) -> None:
    """Follows a call that the compiler showed to no mode, such as ``x.mT``."""
    value = node.meta.get("example_value")
    if node in _tracing.seen or (isinstance(value, Tensor) and _tracing.units.of(value)):
        return
    _tracing.seen.add(node)
    with contextlib.suppress(AttributeError):  # attributes that tensors lack have no units
        call = call_of_node(node, of_node)
        if call is not None:
            _tracing.units.follow(*call, value, _Within(""))


@inline_in_graph
def traced_call(
    x: Any,  # noqa: ARG001
    watched: WatchedModule,  # noqa: ARG001
    caller: WatchedModule | None,  # noqa: ARG001
    what: str,  # noqa: ARG001
) -> TracedCall:
    """What is known of the activation of ``x`` that is traced now; ``what``: it, encoded."""
    comptime()(_find)
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
    call = None if caller is None else _written_call(context, caller.module)
    place = call_place(caller, watched if watched.is_relu_module else None, call, layer)
    place = place._replace(activation=traced_constant(context, "what"))
    _tracing.call = (
        place.encoded(),
        "unknown" if dims is None else " ".join(map(str, dims)),
        layer or "",
        assumed_dim(x.dim()) if dims is None and isinstance(x, Tensor) else "",
        encoded_shard(units.shard if units is not None else None),
        "",
    )


def _written_call(context: ComptimeContext, module: nn.Module | None) -> WrittenCall | None:
    """:func:`relustat.watching.call_names.written_call` of a call that is traced."""
    if module is None:
        return None
    code = class_code(module)
    functions: list[tuple[CodeType, Position]] = []
    for name, its_code, where in traced_frames(context):
        position = position_in(its_code.co_filename, where)
        call = code.call_written_at(position)
        if call is not None:
            return within_functions(call, functions)
        if is_of_user(name):
            functions.append((its_code, position))
    return None


@constant_in_graph
def _found(index: int) -> str:
    return _tracing.call[index]
