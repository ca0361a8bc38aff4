"""Whether a tensor of a forward is computed from the model's input."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from relustat._torch_internals import tree_iter

# They make a tensor of the shape of another one.
_NEW = frozenset(
    {
        *(torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like),
        *(torch.rand_like, torch.randn_like, torch.randint_like),
        *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty),
    }
)


class Origin(enum.Enum):
    """Where a tensor comes from."""

    INPUT = "the model's input"
    CONSTANT = "parameters, buffers and constants"
    UNKNOWN = "what was computed where nobody sees"


class Origins:
    """Follows torch calls, beginning with the input, the parameters and the buffers."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._origins: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def begin(self, x: Tensor) -> None:
        """Begins a forward with this input."""
        self._origins.clear()
        for constant in (*self._model.parameters(), *self._model.buffers()):
            self._origins[constant] = Origin.CONSTANT
        self._origins[x] = Origin.INPUT

    def of(self, value: object) -> Origin:
        if not isinstance(value, Tensor):
            return Origin.CONSTANT
        origin: Origin = self._origins.get(value, Origin.UNKNOWN)
        return origin

    def follow(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Any,
    ) -> None:
        """Stores the origin of what a call returned."""
        given = {self.of(each) for each in tree_iter((args, kwargs))}
        if function in _NEW:
            origin = Origin.CONSTANT
        elif Origin.INPUT in given:
            origin = Origin.INPUT
        else:
            origin = Origin.UNKNOWN if Origin.UNKNOWN in given else Origin.CONSTANT
        # An assignment to a part returns nothing.
        changed = args[:1] if function is Tensor.__setitem__ else tree_iter(output)
        for each in changed:
            if isinstance(each, Tensor):
                self._origins[each] = origin
