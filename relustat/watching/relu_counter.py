"""Counts the ReLUs, and other activations, among the torch calls of a watched model."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

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
    is_in_backward,
    pop_function_mode,
    push_function_mode,
    seen_by_function_modes,
    unseen_by_function_modes,
)

from .call_kinds import KINDS, OTHERS, Kind
from .call_sites import CallSites
from .forward_pass import CurrentForward, ForwardPass
from .frames import outside_frame
from .methods_outside import MethodsOutside
from .relu_calls import ActivationCall
from .site_counter import SiteCounter
from .traced_calls import follow_in_trace
from .watched_modules import WatchedModule


@inline_in_graph
class ReLUCounter:
    """Follows a model through its hooks, and counts the ReLUs among its torch calls.

    Args:
        watched: the modules of the model, and their paths.
        sites: the call sites.
        counts: counts a ReLU at its site.
        on_last_left: called when counting has ended and no thread is in the model.
        adopt: gives a module of the model hooks, if it has none; None of any other module.

    Attributes:
        methods: those that were called outside of the model's call.
        closed: whether counting has ended.
    """

    def __init__(
        self,
        watched: Mapping[nn.Module, str],
        sites: CallSites,
        *,
        counts: SiteCounter,
        on_last_left: Callable[[], None],
        adopt: Callable[[nn.Module], WatchedModule | None],
    ) -> None:
        self._sites = sites
        self._counts = counts
        # Weak: a forward ends with its thread.
        self._underway: weakref.WeakSet[ForwardPass] = weakref.WeakSet()
        self._forwards = CurrentForward(self._call, self._underway)
        self.methods = MethodsOutside(watched)
        self.closed = False
        self._on_last_left = on_last_left
        self._adopt = adopt

    def enter(self, watched: WatchedModule, module: nn.Module, frame: FrameType | None) -> None:
        if not self.closed and not is_recomputation():
            if frame is not None:
                watched.is_called = True
                if self._forwards.current() is None and self._sites.counting:
                    self.methods.called_from(frame)
            self._forwards.enter(watched, frame, self._counts.is_counted(module))

    def enter_block(self, root: WatchedModule) -> None:
        """Sees all that this thread does, until the root is left."""
        self._forwards.enter_block(root)

    def leave(self, watched: WatchedModule) -> None:
        self._forwards.leave(watched)
        if self.closed and not self._forwards.is_any_underway():
            self._on_last_left()

    def close(self) -> None:
        """Ends counting. Forwards of other threads go on to their end.

        Calls ``on_last_left`` if there are none.
        """
        self.closed = True
        self._forwards.abandon()
        if not self._forwards.is_any_underway():
            self._on_last_left()

    def reset(self) -> None:
        self.methods.clear()
        self._counts.uncounted.clear()

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
        if not forward.mode.is_alone:
            return self._call_among_modes(forward, function, args, kwargs)
        kind = KINDS[function]
        if kind is None:
            output = function(*args, **kwargs)
        else:
            output = self._noted_call(forward, kind, function, args, kwargs)
        forward.units.follow(function, args, kwargs, output, forward)
        return output

    def _call_among_modes(
        self,
        forward: ForwardPass,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Other modes of functions see the call itself, and nothing of ours."""

        def seen(*args: Any, **kwargs: Any) -> Any:
            with seen_by_function_modes():
                return function(*args, **kwargs)

        with unseen_by_function_modes():
            kind = KINDS[function]
            if kind is None:
                output = seen(*args, **kwargs)
            else:
                output = self._noted_call(forward, kind, function, args, kwargs, seen)
            forward.units.follow(function, args, kwargs, output, forward)
        return output

    def _noted_call(
        self,
        forward: ForwardPass,
        kind: Kind,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seen: Callable[..., Any] | None = None,
    ) -> Any:
        """A call of a function that may compute a ReLU, or nearly one; ``seen`` by other modes."""
        called = seen or function
        if kind is Kind.ALIKE:
            if len(args) > 1 and type(args[1]) in (int, float):
                return called(*args, **kwargs)
            return self._compared_call(forward, function, args, kwargs, called)
        is_other = kind in (Kind.OTHER, Kind.OTHER_IN_GRAPH)
        if kind is not Kind.FUSED and (self._counts.counts_others or not is_other):
            is_in_graph = kind in (Kind.RELU_IN_GRAPH, Kind.OTHER_IN_GRAPH)
            is_of_other_graph = is_in_graph and not forward.runs_own_graph()
            if is_of_other_graph or not forward.drop_interrupted():
                return called(*args, **kwargs)
            call = self._counts.find(function, args, kwargs, forward.path)
            if call is not None:
                return self._count_of_any(forward, call, lambda: called(*args, **kwargs))
            if kind in (Kind.RELU, Kind.RELU_IN_GRAPH) and function not in OTHERS:
                return self._compared_call(forward, function, args, kwargs, called)
        self._counts.uncounted.meet(kind, function, forward.path)
        return called(*args, **kwargs)

    def _compared_call(
        self,
        forward: ForwardPass,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        called: Callable[..., Any],
    ) -> Any:
        """A call that may give what a ReLU gives: some of its numbers tell."""
        look = self._counts.uncounted.lookalikes.before(function, args, kwargs, forward.path)
        output = called(*args, **kwargs)
        if look is not None:
            self._counts.uncounted.lookalikes.after(look, function, output)
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
        call = self._counts.find(function, args, kwargs, forward.path)
        if call is not None:
            # If the graph held the function, running it could count it again.
            output = self._counts.count(forward, call, lambda: call.op(call.x, *call.arguments))
        else:
            self._counts.uncounted.meet_in_trace(function, args, kwargs, forward.path)
            output = function(*args, **kwargs)
        follow_in_trace(function, args, kwargs, output, forward.path)
        return output

    def _count_of_any(
        self, forward: ForwardPass, call: ActivationCall, compute: Callable[[], Any]
    ) -> Any:
        """Counts a ReLU, also one of a module that has no hooks yet."""
        where = outside_frame()
        stranger = forward.stranger(where)
        if stranger is None:
            return self._counts.count(forward, call, compute, where)
        module, frame = stranger
        adopted = self._adopt(module)
        if adopted is None:
            # In a block it is of another model. Else the module that calls it counts it.
            is_of_model = not forward.is_in_block_only()
            return self._counts.count(forward, call, compute, where) if is_of_model else compute()
        forward.push(adopted, frame)
        try:
            return self._counts.count(forward, call, compute, where)
        finally:
            forward.pop(adopted)


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
