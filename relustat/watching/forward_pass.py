"""One forward pass in one thread: its active modules, and the mode that sees its torch calls.

This code runs in eager code and in code that ``torch.compile`` traces. Either may find what the
other left: a compiled part in an eager model, or eager code between two graphs.
"""

from __future__ import annotations

import collections
import itertools
import sys
import threading
from collections.abc import Callable, Iterable, MutableSet
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from relustat._dynamo import inline_in_graph, with_side_effects_allowed
from relustat._torch_internals import function_modes, pop_function_mode, push_function_mode

from .call_names import CallNumbers, written_call
from .call_positions import WrittenCall
from .frames import outside_frame
from .units.followed import FollowedUnits
from .watched_modules import WatchedModule

_CALL = nn.Module._call_impl.__code__

OnCall = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@inline_in_graph
class ForwardPass:
    """One call of a watched module from outside, in one thread; or all that runs in a block.

    In a block (see :meth:`relustat.Watch.counting`), each call of a module is a forward of its own,
    and what runs directly in the block is without numbers.

    Attributes:
        is_counted: whether its ReLUs are counted.
        is_block: whether it is a block.
        calls: numbers its ReLUs.
        last_site: the name of the last call site.
    """

    def __init__(self, mode: CallMode, is_counted: bool, is_block: bool) -> None:
        self.mode = mode
        self.is_block = is_block
        # None in compiled code.
        self.thread: threading.Thread | None = None
        # The call of a module, if the block is in one.
        self.around: FrameType | None = None
        self.begin_call(is_counted)
        self.units = FollowedUnits()
        self.last_site: str | None = None
        # Each module with the frame that called it; compiled code and blocks have no frames.
        self._entered: list[tuple[WatchedModule, FrameType | None]] = []

    def begin_call(self, is_counted: bool) -> None:
        self.is_counted = is_counted
        self.calls = CallNumbers()

    def is_in_block_only(self) -> bool:
        """Whether no module is called that was entered after the block."""
        return self.is_block and bool(self._entered) and self._entered[-1][1] is None

    @property
    def watched(self) -> WatchedModule:
        """The innermost module of the current calls."""
        return self._entered[-1][0]

    @property
    def path(self) -> str:
        """The path of the innermost module; empty after an interrupt."""
        return self._entered[-1][0].path if self._entered else ""

    @property
    def caller(self) -> WatchedModule | None:
        """The module that calls the ReLU which is computed now."""
        if not self.watched.is_relu_module:
            return self.watched
        return self._entered[-2][0] if len(self._entered) > 1 else None

    def written_call(self, frame: FrameType | None) -> WrittenCall | None:
        """The call in the caller's code that led to a frame, if it is there."""
        caller = self.caller
        if caller is None or caller.module is None:
            return None
        end = self._entered[-2 if self.watched.is_relu_module else -1][1]
        return written_call(caller.module, frame, end)

    def runs_own_graph(self) -> bool:
        """Whether an op that is called now stands in the graph of the innermost module.

        A graph that the compiler has made of a module's code is not the module's own.
        """
        module = self._entered[-1][0].module if self._entered else None
        if module is None or not (
            isinstance(module, torch.fx.GraphModule)
            or isinstance(vars(module).get("graph"), torch.fx.Graph)
        ):
            return False
        frame: FrameType | None = outside_frame()
        while frame is not None and frame is not self._entered[-1][1]:
            if frame.f_code.co_filename.startswith("<eval_with_key>"):
                return frame.f_locals.get("self") is module
            frame = frame.f_back
        return True

    def stranger(self, frame: FrameType | None) -> tuple[nn.Module, FrameType] | None:
        """The innermost module without hooks whose call led to a frame, and that call's frame."""
        end = self._entered[-1][1]
        while frame is not None and frame is not end and frame is not self.around:
            if frame.f_code is _CALL:
                return frame.f_locals["self"], frame
            frame = frame.f_back
        return None

    def push(self, watched: WatchedModule, frame: FrameType | None) -> None:
        self._entered.append((watched, frame))

    def pop(self, watched: WatchedModule) -> bool:
        """Leaves a module and all that it called. Does nothing if it was not entered.

        Returns:
            Whether any module is left.
        """
        entered = self._entered
        if entered and entered[-1][0] is watched:
            entered.pop()
        elif any(other is watched for other, _ in entered):
            while entered.pop()[0] is not watched:
                pass
        return len(entered) > 0

    def drop_interrupted(self) -> bool:
        """Leaves the modules whose calls an interrupt ended. PyTorch calls no hooks for them.

        Returns:
            Whether any is left.
        """
        if torch.compiler.is_dynamo_compiling():
            return True
        # Not this frame: it would hold itself, and all tensors of the frames that called it, until
        # the garbage collector runs.
        if self.runs(sys._getframe().f_back):
            return True
        running: set[FrameType | None] = {None}
        frame = sys._getframe().f_back
        while frame is not None:
            running.add(frame)
            frame = frame.f_back
        while self._entered and self._entered[-1][1] not in running:
            self._entered.pop()
        return bool(self._entered)

    def runs(self, frame: FrameType | None) -> bool:
        """Whether the innermost module's call, and so all others, led to ``frame``."""
        if self.is_in_block_only():
            return True
        innermost = self._entered[-1][1] if self._entered else None
        while frame is not None and frame is not innermost:
            frame = frame.f_back
        return frame is not None


@inline_in_graph
class CurrentForward(threading.local):
    """The forward pass that this thread runs. Its mode is active from its start to its end.

    An interrupt may end a forward at any point. The next forward, or :meth:`abandon`, finds what is
    left, because a forward is stored before its mode is active and removed after.

    Args:
        on_call: called instead of each torch call in a forward.
        underway: holds the forwards of all threads, except those of wholly compiled models.
    """

    def __init__(self, on_call: OnCall, underway: MutableSet[ForwardPass]) -> None:
        self._on_call = on_call
        self._underway = underway
        self._forward: ForwardPass | None = None

    def current(self) -> ForwardPass | None:
        return self._forward

    def enter(self, watched: WatchedModule, frame: FrameType | None, is_counted: bool) -> None:
        """Enters a module that is called in a frame, which compiled code has not."""
        forward = self._forward
        if forward is not None and not forward.runs(frame) and not forward.drop_interrupted():
            self.abandon()
            forward = None
        if forward is None:
            forward = self._begin(is_counted, is_block=False)
        elif forward.is_in_block_only():
            forward.begin_call(is_counted)
        forward.push(watched, frame)

    def enter_block(self, root: WatchedModule) -> None:
        """Begins a block. It is left as the model is."""
        forward = self._forward
        if forward is None:
            forward = self._begin(is_counted=False, is_block=True)
            frame: FrameType | None = outside_frame()
            while frame is not None and frame.f_code is not _CALL:
                frame = frame.f_back
            forward.around = frame
        forward.push(root, None)

    def _begin(self, is_counted: bool, is_block: bool) -> ForwardPass:
        forward = ForwardPass(CallMode(self._on_call), is_counted, is_block)
        self._forward = forward
        if not torch.compiler.is_dynamo_compiling():
            forward.thread = threading.current_thread()
            self._underway.add(forward)
        forward.mode.activate()
        return forward

    def is_any_underway(self) -> bool:
        """Whether any thread is in a forward. The others of a forked process are in none."""
        threads = [forward.thread for forward in list(self._underway)]
        return any(thread is not None and thread.is_alive() for thread in threads)

    def leave(self, watched: WatchedModule) -> None:
        forward = self._forward
        if forward is not None and not forward.pop(watched):
            self.abandon()

    def abandon(self) -> None:
        """Ends the forward, also one that was interrupted before its hooks ran."""
        forward = self._forward
        if forward is not None:
            forward.mode.deactivate()
            if not torch.compiler.is_dynamo_compiling():
                self._underway.discard(forward)
            self._forward = None


@inline_in_graph
class CallMode(TorchFunctionMode):
    """Passes each torch call to a function while it is active.

    Attributes:
        is_alone: whether no other mode is active below.
    """

    def __init__(self, on_call: OnCall) -> None:
        super().__init__()
        self._on_call = on_call
        # The modes below it while it is active.
        self._below: list[TorchFunctionMode] = []
        self.is_alone = True

    def activate(self) -> None:
        if torch.compiler.is_dynamo_compiling():
            push_function_mode(self)
            return
        below = function_modes()
        self.is_alone = not below
        _in_one_step(map(self._below.extend, [below]), _pushing([self]))

    def deactivate(self) -> None:
        """Removes this mode from the stack. After an interrupt, others may lie above it.

        If the end of another mode has removed it by mistake, that other mode is removed.
        """
        if torch.compiler.is_dynamo_compiling():
            pop_function_mode()
            return
        modes = function_modes()
        if self in modes:
            gone: TorchFunctionMode = self
        else:
            left = [mode for mode in modes if mode in self._below]
            gone = left[-1] if left else self
        kept = [mode for mode in modes if mode is not gone]
        pops = itertools.starmap(pop_function_mode, [()] * len(modes))
        _in_one_step(pops, _pushing(kept), map(self._below.__delitem__, [slice(None)]))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if torch.compiler.is_dynamo_compiling():
            return with_side_effects_allowed(self._on_call, func, args, kwargs or {})
        return self._on_call(func, args, kwargs or {})


@inline_in_graph
def _pushing(modes: list[TorchFunctionMode]) -> Iterable[None]:
    return map(push_function_mode, modes)


@inline_in_graph
def _in_one_step(*calls: Iterable[object]) -> None:
    """Runs calls of C functions. Python looks for interrupts before them and after, not between."""
    collections.deque(itertools.chain(*calls), maxlen=0)
