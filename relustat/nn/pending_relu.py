"""The output of a ReLU that is left to the pool behind it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from relustat._torch_internals import pytree, unseen_by_subclasses
from relustat.ops.counters import Counters


class ReLU(Protocol):
    """The ReLU that is left to its reader."""

    counters: Counters

    def count_and_rectify(self, input: Tensor, /) -> Tensor:
        """The ReLU as a function."""

    def rectify(self, input: Tensor, /) -> Tensor:
        """The same without counting."""


@dataclasses.dataclass(eq=False)
class _State:
    relu: ReLU
    has_grad_mode: bool
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    is_counted: bool = False
    output: Tensor | None = None


class PendingReLU(Tensor):
    """The input of a ReLU that stands for its output, until something reads it.

    A pool that knows it (:meth:`take_input`) rectifies, counts and pools in one pass. Whatever else
    reads it, gets the output of the ReLU, which is then computed as it would have been at first. So
    a wrong guess about who reads it costs time, and no result is wrong.
    """

    _pending: _State

    @classmethod
    def of(cls, x: Tensor, relu: ReLU) -> PendingReLU:
        """Leaves the ReLU of a plain tensor to the next reader."""
        pending = x.as_subclass(cls)
        pending._pending = _State(relu, torch.is_grad_enabled())
        return pending

    @property
    def counters(self) -> Counters:
        """Those of the ReLU."""
        return self._pending.relu.counters

    def take_input(self, can_serve: Callable[[Tensor], bool]) -> Tensor | None:
        """The input of the ReLU, for one reader that rectifies and counts it.

        Returns:
            None if another one has read it, or for an input that this one cannot serve.
        """
        state = self._pending
        x = self._plain()
        loses_gradient = torch.is_grad_enabled() and not self._has_gradient()
        if loses_gradient or not can_serve(x):
            return None
        with state.lock:
            if state.is_counted:
                return None
            state.is_counted = True
        return x

    def rectified(self) -> Tensor:
        """The output of the ReLU."""
        state = self._pending
        with state.lock:
            if state.output is None:
                relu = state.relu.rectify if state.is_counted else state.relu.count_and_rectify
                state.is_counted = True
                with torch.set_grad_enabled(self._has_gradient()):
                    state.output = relu(self._plain())
            return state.output

    def _plain(self) -> Tensor:
        with unseen_by_subclasses():
            return self.as_subclass(Tensor)

    def _has_gradient(self) -> bool:
        """Whether a gradient goes through the ReLU.

        It does not without grad mode at the call, unless an autograd function has returned this
        tensor: a gradient reaches such a function, as that of reentrant checkpointing.
        """
        with unseen_by_subclasses():
            return self._pending.has_grad_mode or self.requires_grad

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        args, kwargs = pytree.tree_map_only(cls, cls.rectified, (args, kwargs or {}))
        return func(*args, **kwargs)
