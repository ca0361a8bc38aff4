"""Where units went in calls before: those of one plain tensor, for little time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from relustat._dynamo import inline_all_in_graph

from .of_tensors import Units
from .rules import UnitDims

_MOST_ANSWERS = 4096
# What is its own description.
PLAIN = frozenset(
    {
        *(int, bool, float, str, type(None), type(...), type),
        *(torch.dtype, torch.device, torch.memory_format),
    }
)
# Where the numbers of positions begin among the arguments.
_INDEXING = {Tensor.__getitem__: 1, Tensor.__setitem__: 1, Tensor.select: 2, Tensor.narrow: 2}

Answer = TypeVar("Answer")


class Answers(dict[Any, Answer]):
    """A dict of limited size. It forgets all when it is full."""

    def __setitem__(self, key: Any, answer: Answer) -> None:
        if len(self) >= _MOST_ANSWERS:
            self.clear()
        super().__setitem__(key, answer)


_answers: Answers[tuple[UnitDims | None, ...]] = Answers()


def remember(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    units: Units,
    answers: tuple[UnitDims | None, ...],
) -> None:
    """Stores the unit dimensions of the outputs of ``function(*args)``.

    Does nothing if there are tensors behind the first argument.

    Args:
        function: a function of PyTorch.
        args: its arguments.
        units: those of the first argument.
        answers: the unit dimensions of each output.
    """
    if all(map(_is_plain, args[1:])):
        _answers[function, units.dims, units.shape, _key(function, args)] = answers


def remembered(
    function: Callable[..., Any], args: tuple[Any, ...], units: Units
) -> tuple[UnitDims | None, ...] | None:
    """What :func:`remember` stored of such a call, or None."""
    return _answers.get((function, units.dims, units.shape, _key(function, args)))


def without_positions(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments with one position for all of a loop: it does not matter to where units go."""
    begin = _INDEXING.get(function)
    if begin is None or len(args) <= begin:
        return args
    index = args[begin]
    if type(index) is int:
        index = 0
    elif type(index) is tuple:
        index = tuple([0 if type(each) is int else each for each in index])
    return (*args[:begin], index, *args[begin + 1 :])


def frozen(value: Any) -> Any:
    """An argument as a key. Lists and truth values index otherwise than tuples and numbers."""
    kind = type(value)
    if kind is slice:
        return slice, value.start, value.stop, value.step
    if kind is tuple:
        return tuple([frozen(each) for each in value])
    if kind is list:
        return (list, *[frozen(each) for each in value])
    return (bool, value) if kind is bool else value


def _key(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    others = args[1:]
    if function not in _INDEXING:
        try:
            hash(others)
            return others
        except TypeError:
            return frozen(others)
    return frozen(without_positions(function, args)[1:])


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    if type(value) is slice:
        return _is_plain((value.start, value.stop, value.step))
    return type(value) in PLAIN


inline_all_in_graph(globals())
