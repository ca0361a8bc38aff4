"""Counts the ReLUs among the torch calls of a watched model."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from relustat._dynamo import (
    inline_in_graph,
    is_recomputation,
    tag_activation_checkpoint,
    with_side_effects_allowed,
)
from relustat._torch_internals import (
    dispatch_mode_depth,
    is_in_backward,
    pop_function_mode,
    push_function_mode,
    unseen_by_dispatch_modes,
    unseen_by_function_modes,
)
from relustat.ops.counting_relu import counting_relu
from relustat.ops.inputs import describe, is_countable, is_symbolic, keeps_numbers

from .call_names import call_place
from .call_sites import CallSites
from .forward_pass import CurrentForward, ForwardPass
from .relu_calls import BINDERS, ReLUCall, find_relu_call
from .tensor_units import assumed_dim
from .traced_calls import follow_in_trace, traced_call
from .watched_modules import WatchedModule

During = Literal["train", "eval", "all"]


@inline_in_graph
class ReLUCounter:
    """Follows a model through its hooks, and counts the ReLUs among its torch calls.

    Args:
        sites: where the counts are added.
        functional, modules, during: what is counted; see :func:`relustat.watch`.
        on_last_left: called when counting has ended and no thread is in the model.

    Attributes:
        uncounted: the call sites that could not be counted, with the reason.
        seen: the paths of the modules in which a ReLU was computed, counted or not.
        closed: whether counting has ended.
    """

    def __init__(
        self,
        sites: CallSites,
        *,
        functional: bool,
        modules: bool,
        during: During,
        on_last_left: Callable[[], None],
    ) -> None:
        if during not in get_args(During):
            raise ValueError(f"watch: during must be 'train', 'eval' or 'all', got {during!r}")
        self._sites = sites
        self._functional = functional
        self._modules = modules
        self._during = during
        # Weak: a forward ends with its thread.
        self._underway: weakref.WeakSet[ForwardPass] = weakref.WeakSet()
        self._forwards = CurrentForward(self._call, self._underway)
        self._places: dict[Any, str] = {}
        self.uncounted: dict[str, str] = {}
        self.seen: set[str] = set()
        self.closed = False
        self._on_last_left = on_last_left

    def enter(self, watched: WatchedModule, module: nn.Module, frame: FrameType | None) -> None:
        if not self.closed and not is_recomputation():
            is_counted = self._during == "all" or module.training == (self._during == "train")
            self._forwards.enter(watched, frame, is_counted)

    def leave(self, watched: WatchedModule) -> None:
        self._forwards.leave(watched)
        if self.closed and not self._underway:
            self._on_last_left()

    def close(self) -> None:
        """Ends counting. Forwards of other threads go on to their end.

        Calls ``on_last_left`` if there are none.
        """
        self.closed = True
        self._forwards.abandon()
        if not self._underway:
            self._on_last_left()

    def reset(self) -> None:
        self.uncounted.clear()
        self.seen.clear()

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        forward = self._forwards.current()
        if forward is None or self.closed:
            return function(*args, **kwargs)
        if torch.compiler.is_dynamo_compiling():
            return self._traced_call(forward, function, args, kwargs)
        if is_in_backward():  # a recomputation
            return function(*args, **kwargs)
        call = find_relu_call(function, args, kwargs) if function in BINDERS else None
        if call is not None and forward.drop_interrupted():
            output = self._count(forward, call, lambda: function(*args, **kwargs))
        else:
            output = function(*args, **kwargs)
        forward.units.follow(function, args, kwargs, output, forward)
        return output

    def _traced_call(
        self,
        forward: ForwardPass,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if function is tag_activation_checkpoint:
            return _checkpoint_seen_by(forward.mode, *args, **kwargs)
        if function is Tensor.unflatten:
            # The method calls super(), which the compiler does not trace under a mode.
            function = torch.unflatten
        call = find_relu_call(function, args, kwargs)
        if call is not None:
            # If the graph held the function, running it could count it again.
            output = self._count(forward, call, lambda: call.op(call.x, *call.arguments))
        else:
            output = function(*args, **kwargs)
        follow_in_trace(function, args, kwargs, output, forward.path)
        return output

    def _count(self, forward: ForwardPass, call: ReLUCall, compute: Callable[[], Any]) -> Any:
        watched, x = forward.watched, call.x
        is_compiling = torch.compiler.is_dynamo_compiling()
        if not is_compiling:
            self.seen.add(watched.path)
        if not (self._modules if watched.is_relu_module else self._functional):
            return compute()
        if is_compiling:
            traced = traced_call(x, watched, forward.caller)
            site = self._sites.at_traced(traced, forward.calls.next(traced.place), forward)
            followed = traced.dims
        else:
            units = forward.units.of(x)
            if units is not None and units.shape != x.shape:
                units = None  # changed in place by something that was not seen
            followed = None if units is None else units.dims
            place = self._place(forward, None if units is None else units.layer)
            site = self._sites.at(place, forward.calls.next(place), forward)
        if not forward.is_counted:
            return compute()
        if not is_countable(x) or not (is_compiling or keeps_numbers(x)):
            self.uncounted[site.name] = f"its input was {describe(x)}"
            return compute()
        counters = site.counters
        if not is_compiling:
            is_known = followed is not None or not x.numel()
            site.meet(units, "" if is_known else assumed_dim(x.dim()))
        known = None
        if counters.unit_dim == "auto":
            known = followed
        else:
            try:
                counters.units_of(x)
            except (IndexError, ValueError) as error:
                self.uncounted[site.name] = str(error)
                return compute()
        # A subclass may compute ReLUs in its own way; the compiler has already traced into it.
        is_plain = is_compiling or type(x) in (Tensor, nn.Parameter)
        # A mode that replays ops, such as that of selective checkpointing, must see the same ops in
        # the recomputation, which counts nothing.
        is_recorded = not is_compiling and dispatch_mode_depth() > 0
        if call.replaceable and is_plain and not is_recorded:
            return counting_relu(x, counters, inplace=call.inplace, unit_dim=known)
        if is_compiling or not is_symbolic(x):
            # Hidden from other watches and modes: they see the call itself.
            with torch.no_grad(), unseen_by_function_modes(), _unseen_by_modes():
                counting_relu(x if is_plain else x.as_subclass(Tensor), counters, unit_dim=known)
        return compute()

    def _place(self, forward: ForwardPass, layer: str | None) -> str:
        """Where the ReLU is computed, encoded: texts are quick keys."""
        watched, caller = forward.watched, forward.caller
        call = forward.written_call()
        key = watched, caller, call, layer
        place = self._places.get(key)
        if place is None:
            relu = watched if watched.is_relu_module else None
            place = self._places[key] = call_place(caller, relu, call, layer).encoded()
        return place


def _checkpoint_seen_by(
    mode: TorchFunctionMode, part: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Calls a checkpointed part of a model as the compiler does, but with ``mode`` active."""

    def seen(*args: Any, **kwargs: Any) -> Any:
        with_side_effects_allowed(push_function_mode, mode)
        result = part(*args, **kwargs)
        with_side_effects_allowed(pop_function_mode)
        return result

    return tag_activation_checkpoint(seen, *args, **kwargs)


def _unseen_by_modes() -> contextlib.AbstractContextManager[Any]:
    if torch.compiler.is_dynamo_compiling():
        return contextlib.nullcontext()
    unseen: contextlib.AbstractContextManager[Any] = unseen_by_dispatch_modes()
    return unseen
