"""The output of a ReLU that is left to the pool behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from relustat._torch_internals import pytree, unseen_by_subclasses
from relustat.ops.counters import Counters


class ReLU(Protocol):
    """The ReLU that is left to its reader."""

    @property
    def counters(self) -> Counters: ...

    def count_and_rectify(self, input: Tensor, /) -> Tensor:
        """The ReLU as a function."""

    def rectify(self, input: Tensor, /) -> Tensor:
        """The same without counting."""


class PendingReLU(Tensor):
    """The input of a ReLU on its way to the pool that rectifies, counts and pools it in one pass.

    It goes from one line of a ``forward`` to the next call in it, and to nobody else. Should
    something else read it all the same, such as a debugger, it gets the output of the ReLU, which
    is computed then.
    """

    left_relu: ReLU
    _output: Tensor | None
    _is_counted: bool
    _has_grad_mode: bool

    @classmethod
    def of(cls, x: Tensor, relu: ReLU) -> PendingReLU:
        """Leaves the ReLU of a plain tensor to the next reader."""
        pending = x.as_subclass(cls)
        pending.left_relu, pending._output, pending._is_counted = relu, None, False
        pending._has_grad_mode = torch.is_grad_enabled()
        return pending

    def take_input(self, can_serve: Callable[[Tensor], bool]) -> Tensor | None:
        """The input of the ReLU, for one reader that rectifies and counts it.

        Returns:
            None if another one has read it, or for an input that this one cannot serve.
        """
        x = self._plain()
        if self._is_counted or not can_serve(x):
            return None
        self._is_counted = True
        return x

    def rectified(self) -> Tensor:
        """The output of the ReLU."""
        if self._output is None:
            relu = self.left_relu
            compute = relu.rectify if self._is_counted else relu.count_and_rectify
            self._is_counted = True
            with torch.set_grad_enabled(self._has_grad_mode):
                self._output = compute(self._plain())
        return self._output

    def _plain(self) -> Tensor:
        with unseen_by_subclasses():
            return self.as_subclass(Tensor)

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
