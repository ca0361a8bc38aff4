"""The forward pass that a thread is in: its modules, and the mode that sees its torch calls."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .call_sites import SiteKey
from .unit_tracking import UnitTracker

OnCall = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


class Forward:
    """One call of a watched module from outside, in one thread."""

    def __init__(self, mode: CallMode) -> None:
        self.mode = mode
        self.calls: dict[tuple[nn.Module, bool], int] = {}
        self.units = UnitTracker()
        self.last_site: SiteKey | None = None
        # Each with the frame that called it.
        self._modules: list[tuple[nn.Module, FrameType]] = []

    @property
    def module(self) -> nn.Module:
        """The innermost module that is being called."""
        return self._modules[-1][0]

    def site_of(self, is_module: bool) -> SiteKey:
        place = (self.module, is_module)
        index = self.calls.get(place, 0)
        self.calls[place] = index + 1
        return SiteKey(self.module, is_module, index)

    def push(self, module: nn.Module) -> None:
        self._modules.append((module, _outside_frame()))

    def pop(self, module: nn.Module) -> None:
        """Leaves ``module``, and what was called in it. Does nothing if it was not entered."""
        if any(module is entered for entered, _ in self._modules):
            while self._modules.pop()[0] is not module:
                pass

    def settle(self) -> bool:
        """Leaves the modules whose calls an interrupt ended: torch calls no hooks for those.

        Returns:
            Whether any is left.
        """
        running = set()
        # Not this frame: it would hold itself, and with it all tensors of the frames that called
        # it, until the garbage collector comes.
        frame = sys._getframe().f_back
        while frame is not None:
            running.add(frame)
            frame = frame.f_back
        while self._modules and self._modules[-1][1] not in running:
            self._modules.pop()
        return bool(self._modules)

    def is_over(self) -> bool:
        return not self._modules


class Underway:
    """How many forwards are under way, in all threads."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def change(self, by: int) -> None:
        with self._lock:
            self._count += by

    def __bool__(self) -> bool:
        return self._count > 0


class Forwards(threading.local):
    """The forward that this thread is in. A mode is active from its start to its end."""

    def __init__(self, on_call: OnCall, underway: Underway) -> None:
        self._on_call = on_call
        self._underway = underway
        self._forward: Forward | None = None

    def current(self) -> Forward | None:
        return self._forward

    def enter(self, module: nn.Module) -> None:
        if self._forward is not None and not self._forward.settle():
            self.abandon()
        if self._forward is None:
            self._forward = Forward(CallMode(self._on_call))
            self._forward.mode.activate()
            self._underway.change(1)
        self._forward.push(module)

    def leave(self, module: nn.Module) -> None:
        if self._forward is not None:
            self._forward.pop(module)
            if self._forward.is_over():
                self.abandon()

    def abandon(self) -> None:
        """Ends the forward; also one that was interrupted, whose hooks never came."""
        forward, self._forward = self._forward, None
        if forward is not None:
            forward.mode.deactivate()
            self._underway.change(-1)


class CallMode(TorchFunctionMode):
    """Hands on each torch call that is made while it is active."""

    def __init__(self, on_call: OnCall) -> None:
        super().__init__()
        self._on_call = on_call
        self._below: list[TorchFunctionMode] = []

    def activate(self) -> None:
        self._below = _pop_modes()
        _push_modes(self._below)
        _push_modes([self])

    def deactivate(self) -> None:
        """Takes this mode off the stack, on which others may lie above it after an interrupt.

        If another mode's end has taken it off already, in its own place, that one is taken off.
        """
        modes = _pop_modes()
        if any(mode is self for mode in modes):
            gone: TorchFunctionMode = self
        else:
            left = [mode for mode in modes if any(mode is other for other in self._below)]
            gone = left[-1] if left else self
        _push_modes([mode for mode in modes if mode is not gone])
        self._below = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self._on_call(func, args, kwargs or {})


class ModuleHook:
    """A module hook that a copied or pickled model keeps as one that does nothing."""

    def __init__(self, visit: Callable[[nn.Module], None] | None = None) -> None:
        self._visit = visit

    def __call__(self, module: nn.Module, *_: Any) -> None:
        # Compiled code is not watched: it makes no torch calls.
        if self._visit is not None and not torch.compiler.is_compiling():
            self._visit(module)

    def __reduce__(self) -> tuple[Any, ...]:
        return ModuleHook, ()


def _outside_frame() -> FrameType:
    """The frame that called into this package."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return frame


def _pop_modes() -> list[TorchFunctionMode]:
    """Empties this thread's stack of modes; returns them from the outermost to the innermost."""
    modes = []
    while torch._C._len_torch_function_stack():
        modes.append(torch._C._pop_torch_function_stack())
    return modes[::-1]


def _push_modes(modes: list[TorchFunctionMode]) -> None:
    for mode in modes:
        torch._C._push_on_torch_function_stack(mode)
