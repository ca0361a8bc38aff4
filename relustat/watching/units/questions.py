"""A torch call that can be repeated with other tensors, and what is known of those it had."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import size_hint

from .rules import UnitDims


class Labelled(NamedTuple):
    """A tensor as the call saw it: its shape, and the dimensions of its units."""

    shape: tuple[int, ...]
    dims: UnitDims


class Weight(NamedTuple):
    """A tensor that is made of parameters."""

    shape: tuple[int, ...]


class Plain(NamedTuple):
    """Any other tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class UnaskableError(Exception):
    """The call does not take other tensors, or they are too large."""


class Question(NamedTuple):
    """A call that can be repeated with other tensors."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    described: Callable[[Tensor], Labelled | Weight | Plain]

    def tensors(self) -> list[Labelled | Weight | Plain]:
        found: list[Labelled | Weight | Plain] = []
        _with_tensors((self.args, self.kwargs), lambda x: found.append(self.described(x)))
        return found

    def repeat(self, change: Callable[[int, tuple[int, ...]], Tensor]) -> list[Any]:
        """The results with other tensors in the place of floating-point ones.

        Args:
            change: gives the other tensor, by the index among all tensors and by shape.
        """
        count = itertools.count()
        indices = sum(_is_index(found) for found in self.tensors())

        def other(x: Tensor) -> Tensor:
            index, found = next(count), self.described(x)
            if isinstance(found, Plain) and not found.dtype.is_floating_point:
                return _index_like(found, is_alone=indices == 1)
            return change(index, found.shape)

        try:
            args, kwargs = (_with_tensors(each, other) for each in (self.args, self.kwargs))
            result = self.function(*args, **kwargs)
        except Exception:
            raise UnaskableError from None
        return [result] if isinstance(result, Tensor) else list(result)


def _is_index(found: Labelled | Weight | Plain) -> bool:
    return isinstance(found, Plain) and not found.dtype.is_floating_point


def _index_like(found: Plain, *, is_alone: bool) -> Tensor:
    """Indices or a mask that do not depend on data: a list of indices selects, a mask all."""
    if found.dtype is torch.bool:
        return torch.ones(1, dtype=torch.bool).expand(found.shape)
    if is_alone and len(found.shape) == 1:
        return torch.arange(found.shape[0], dtype=found.dtype)
    return torch.zeros(1, dtype=found.dtype).expand(found.shape)


def _with_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """A value with other tensors in their place."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        return type(value)([_with_tensors(each, change) for each in value])
    if isinstance(value, Mapping):
        return {key: _with_tensors(each, change) for key, each in value.items()}
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        return slice(*(_with_tensors(each, change) for each in parts))
    return size_hint(value) if isinstance(value, torch.SymInt) else value


inline_all_in_graph(globals())
