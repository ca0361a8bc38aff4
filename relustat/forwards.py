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
        self._caller = _outside_frame()
        self.modules: list[nn.Module] = []
        self.calls: dict[tuple[nn.Module, bool], int] = {}
        self.units = UnitTracker()
        self.last_site: SiteKey | None = None

    def is_running(self) -> bool:
        """False after an interrupt, for which torch calls no hooks."""
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame is not self._caller:
            frame = frame.f_back
        return frame is not None

    @property
    def module(self) -> nn.Module:
        return self.modules[-1]

    def site_of(self, is_module: bool) -> SiteKey:
        place = (self.module, is_module)
        index = self.calls.get(place, 0)
        self.calls[place] = index + 1
        return SiteKey(self.module, is_module, index)


class Forwards(threading.local):
    """The forward that this thread is in. A mode is active from its start to its end."""

    def __init__(self, on_call: OnCall) -> None:
        self._on_call = on_call
        self._forward: Forward | None = None

    def current(self) -> Forward | None:
        return self._forward

    def enter(self, module: nn.Module) -> None:
        if self._forward is not None and not self._forward.is_running():
            self.abandon()
        if self._forward is None:
            self._forward = Forward(CallMode(self._on_call))
            self._forward.mode.__enter__()  # type: ignore[no-untyped-call]
        self._forward.modules.append(module)

    def leave(self, module: nn.Module) -> None:
        forward = self._forward
        # A hook that raised before ours has left a module that was not entered.
        if forward is None or module not in forward.modules:
            return
        # Modules above it were left by an interrupt that the module caught.
        while forward.modules.pop() is not module:
            pass
        if not forward.modules:
            self.abandon()

    def abandon(self) -> None:
        """Ends the forward; also one that was interrupted, whose hooks never came."""
        forward, self._forward = self._forward, None
        if forward is not None:
            _deactivate(forward.mode)


class CallMode(TorchFunctionMode):
    """Hands on each torch call that is made while it is active."""

    def __init__(self, on_call: OnCall) -> None:
        super().__init__()
        self._on_call = on_call

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
        if self._visit is not None:
            self._visit(module)

    def __reduce__(self) -> tuple[Any, ...]:
        return ModuleHook, ()


def _outside_frame() -> FrameType:
    """The frame that called into this package."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return frame


def _deactivate(mode: CallMode) -> None:
    # Normally the innermost mode; after an interrupt others may lie on top of it.
    above = []
    while torch._C._len_torch_function_stack():
        innermost = torch._C._pop_torch_function_stack()
        if innermost is mode:
            break
        above.append(innermost)
    for other in reversed(above):
        torch._C._push_on_torch_function_stack(other)
