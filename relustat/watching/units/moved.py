"""Where a torch call moves units: the call itself is asked.

It is repeated on tensors that show where units go (:mod:`relustat.watching.units.probes`), whatever
the function is called, and also where two dimensions have the same length. Answers are kept by
function, shapes and arguments.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import PURE_HOMES, is_aten_op, size_hint

from .probes import Answer, labels_found
from .questions import Labelled, Plain, Question, UnaskableError, Weight
from .remembered import PLAIN, Answers, frozen, without_positions
from .rules import CONTRACTING, UnitDims

_answers: Answers[tuple[Answer, ...] | None] = Answers()


def dims_moved(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    labelled: Callable[[Tensor], Labelled | None],
    is_weight: Callable[[Tensor], bool],
) -> tuple[Answer, ...] | None:
    """The unit dimensions of each tensor that ``function(*args, **kwargs)`` returns.

    Args:
        function: one of PyTorch's functions or methods. Others are not repeated: they might do
            more than compute.
        args, kwargs: its arguments, after the call.
        labelled: the units of an argument, if they are known.
        is_weight: whether a tensor is a parameter, or made of parameters.

    Returns:
        One answer for each tensor; None where the units are not known.
    """
    pure = _pure_form(function)
    if pure is None:
        return None
    args = without_positions(function, args)
    described = _Description(labelled, is_weight)
    try:
        key = (pure, described.of(args), described.of(tuple(sorted(kwargs.items()))))
    except UnaskableError:
        return None
    if key not in _answers:
        try:
            _answers[key] = _ask(pure, args, kwargs, described.of_tensor)
        except UnaskableError:
            _answers[key] = None
    return _answers.get(key)


_METHODS = (types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType)


def _pure_form(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function of PyTorch that gives the same result and changes nothing, or None."""
    home = getattr(function, "__module__", None)
    if is_aten_op(function):
        return None if function.__name__.partition(".")[0].endswith("_") else function
    if not (home in PURE_HOMES or isinstance(function, _METHODS)):
        return None
    name: str = function.__name__
    if name == "__setitem__":
        return _with_item
    if name.startswith(("__set", "new_")):
        return None
    if not name.endswith("_") or name.endswith("__"):
        return function
    pure: Callable[..., Any] | None = getattr(Tensor, name[:-1], None)
    return pure


def _with_item(x: Tensor, index: Any, value: Any) -> Tensor:
    x = x.clone()
    x[index] = value
    return x


class _Description:
    """Describes arguments by all that matters to where units go, so that it can be a key."""

    def __init__(
        self, labelled: Callable[[Tensor], Labelled | None], is_weight: Callable[[Tensor], bool]
    ) -> None:
        self._labelled = labelled
        self._is_weight = is_weight

    def of(self, value: Any) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return frozen(value)
        if isinstance(value, Tensor):
            return self.of_tensor(value)
        if kind is slice:
            return slice, self.of(value.start), self.of(value.stop), self.of(value.step)
        if isinstance(value, (tuple, list)):
            described = [self.of(each) for each in value]
            return (list, *described) if kind is list else tuple(described)
        if isinstance(value, torch.SymInt):
            return size_hint(value)
        raise UnaskableError

    def of_tensor(self, value: Tensor) -> Labelled | Weight | Plain:
        # Indices and masks keep their numbers, also if they were made from tensors with units.
        is_number = value.is_floating_point() or value.is_complex()
        found = self._labelled(value) if is_number else None
        if found is not None:
            return found
        shape = tuple(map(size_hint, value.shape))
        return Weight(shape) if self._is_weight(value) else Plain(shape, value.dtype)


def _ask(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    described: Callable[[Tensor], Labelled | Weight | Plain],
) -> tuple[Answer, ...] | None:
    question = Question(function, args, kwargs, described)
    tensors = list(enumerate(question.tensors()))
    # Of a product, the last factor has the features: those of values in attention, for instance.
    for which, found in reversed(tensors):
        if isinstance(found, Labelled):
            answer = labels_found(question, which, found.dims)
            if any(dims is not None for dims in answer):
                return tuple(_checked(dims, found.dims) for dims in answer)
    weights = [(which, found) for which, found in tensors if isinstance(found, Weight)]
    if not weights or function not in CONTRACTING:
        return None
    # Else it has the units of its weights: their dimensions that are left in the result.
    answers = [
        labels_found(question, which, (dim,))
        for which, weight in weights
        for dim in range(len(weight.shape))
    ]
    return tuple(map(_union, zip(*answers, strict=True)))


def _checked(dims: Answer, before: UnitDims) -> Answer:
    """No answer if the units were split into a batch and others."""
    is_batch = dims is not None and 0 in dims and 0 not in before and len(dims) > len(before)
    return None if is_batch else dims


def _union(answers: tuple[Answer, ...]) -> Answer:
    dims = {dim for answer in answers if answer for dim in answer}
    return tuple(sorted(dims)) if dims else None


inline_all_in_graph(globals())
