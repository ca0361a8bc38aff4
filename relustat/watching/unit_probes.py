"""Two ways to see where a call puts the units of its input.

Labels: each unit has a number of its own, the same at all its positions. The dimensions along which
the result varies are those of the units. The tensor is an expanded view, so views cost no memory.

Changes: where labels do not come through, because they are the same along a dimension that is
reduced or normalised. Two calls differ in the numbers of one unit, and the dimensions along which
their results differ in part are those of the units.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import size_hint, unseen_by_dispatch_modes, unseen_by_function_modes

from .unit_rules import UnitDims

# A result that is larger is not looked at.
MOST_ELEMENTS = 1 << 24
# Labels of 65,536 units differ by more than a hundred times this.
_ROUNDING = 1e-8
_GOLDEN = (math.sqrt(5) - 1) / 2

Answer = UnitDims | None


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

    def repeat(self, change: Callable[[Tensor, Labelled | Weight | Plain], Tensor]) -> list[Any]:
        """The results with other tensors in the place of floating-point ones."""

        def other(x: Tensor) -> Tensor:
            found = self.described(x)
            if isinstance(found, Plain) and not found.dtype.is_floating_point:
                # Indices and masks keep their numbers where these can be read.
                is_readable = x.is_cpu and type(x) is Tensor
                return x if is_readable else torch.ones(1, dtype=found.dtype).expand(found.shape)
            return change(x, found)

        try:
            args, kwargs = (_with_tensors(each, other) for each in (self.args, self.kwargs))
            result = self.function(*args, **kwargs)
        except Exception:
            raise UnaskableError from None
        return [result] if isinstance(result, Tensor) else list(result)


def labels_found(
    question: Question, wanted: Labelled | Weight, dims: UnitDims
) -> tuple[Answer, ...]:
    """The dimensions along which units of the tensors like ``wanted`` lie in each result.

    Args:
        question: the call.
        wanted: what the tensors are like.
        dims: their dimensions of units.

    Returns:
        An answer for each result: None if the units did not come through.

    Raises:
        UnaskableError: if the call cannot be repeated.
    """
    with _apart():
        units = math.prod(wanted.shape[dim] for dim in dims)
        labels = 1 + torch.arange(1, 1 + units, dtype=torch.float64).mul(_GOLDEN).frac()
        shape = [size if dim in dims else 1 for dim, size in enumerate(wanted.shape)]
        one = torch.ones(1, dtype=torch.float64)

        def labelled(_: Tensor, found: Labelled | Weight | Plain) -> Tensor:
            return (labels.view(shape) if found == wanted else one).expand(found.shape)

        results = question.repeat(labelled)
        unlabelled = question.repeat(lambda _, found: one.expand(found.shape))
        answers = [
            _where_labels_lie(result, without, labels)
            for result, without in zip(results, unlabelled, strict=True)
        ]
        if all(came_through for _, came_through in answers):
            return tuple(answer for answer, _ in answers)
        changed = [_where_changes_lie(question, wanted, shape, unit) for unit in {0, units - 1}]
        return tuple(
            answer if came_through else _union(change)
            for (answer, came_through), *change in zip(answers, *changed, strict=True)
        )


def _where_labels_lie(output: Any, without: Any, labels: Tensor) -> tuple[Answer, bool]:
    """The answer, and whether the labels came through.

    Args:
        output: a result of the call.
        without: the same of unlabelled tensors. Where both are the same, there is no label.
        labels: of all units.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None, False
    output, without = _unexpanded(output), _unexpanded(without)
    has_label = output != without
    if not has_label.any():
        return None, False
    # The fewest dimensions whose indices tell the label.
    for count in range(output.dim() + 1):
        for dims in itertools.combinations(range(output.dim()), count):
            values = _values_along(output, has_label, dims)
            if values is not None:
                return _of_values(dims, values, labels)
    return None, False


def _unexpanded(output: Tensor) -> Tensor:
    for dim, (size, stride) in enumerate(zip(output.shape, output.stride(), strict=True)):
        if size > 1 and stride == 0:
            output = output.narrow(dim, 0, 1)
    if not 0 < output.numel() <= MOST_ELEMENTS:
        raise UnaskableError
    return output


def _values_along(output: Tensor, has_label: Tensor, dims: UnitDims) -> Tensor | None:
    """The label at each index of ``dims``, if that is one; indices without one are left out."""
    others = [dim for dim in range(output.dim()) if dim not in dims]
    most = torch.where(has_label, output, -torch.inf)
    least = torch.where(has_label, output, torch.inf)
    if others:
        most, least = most.amax(others), least.amin(others)
    known = most > -torch.inf
    most, least = most[known], least[known]
    return most if bool((most - least <= _ROUNDING).all()) else None


def _of_values(dims: UnitDims, values: Tensor, labels: Tensor) -> tuple[Answer, bool]:
    values = values.to(torch.float64)
    ordered = labels.sort().values
    index = torch.searchsorted(ordered, values - _ROUNDING).clamp_(max=len(labels) - 1)
    are_moved = bool((ordered[index] - values).abs().max() < _ROUNDING)
    if not dims:
        return (), are_moved  # one unit was selected
    if len(values) == 1 or values.sort().values.diff().abs().min() > _ROUNDING:
        return dims, True
    # Features that are several to a unit are units of their own. But where a batch has been merged
    # with the units, their number would depend on the batch.
    return (dims if len(dims) == 1 and dims[0] > 0 else None), are_moved


def _where_changes_lie(
    question: Question, wanted: Labelled | Weight, shape: list[int], unit: int
) -> list[Answer]:
    """For each result, the dimensions of which a change of one unit reaches a part only."""
    is_unit = (torch.arange(math.prod(shape)) == unit).view(shape)
    is_alone = len(question.tensors()) == 1

    def results(is_changed: bool) -> list[Any]:
        numbers = torch.Generator().manual_seed(0)

        def random(_: Tensor, found: Labelled | Weight | Plain) -> Tensor:
            if math.prod(found.shape) > MOST_ELEMENTS:
                raise UnaskableError
            x = torch.rand(found.shape, dtype=torch.float64, generator=numbers)
            return torch.where(is_unit, x * x, x) if is_changed and found == wanted else x

        torch.default_generator.manual_seed(0)  # of functions that are random
        return question.repeat(random)

    answers: list[Answer] = []
    for before, after in zip(results(False), results(True), strict=True):
        if not isinstance(before, Tensor) or before.shape != after.shape:
            answers.append(None)
            continue
        differs = before != after
        dims = tuple(
            dim
            for dim in range(differs.dim())
            if not differs.movedim(dim, 0).flatten(1).any(1).all()
        )
        # A change everywhere: all units were reduced to one, if that leaves fewer numbers.
        is_one = is_alone and differs.numel() < math.prod(wanted.shape)
        answers.append((dims or (() if is_one else None)) if differs.any() else None)
    return answers


def _union(answers: list[Answer]) -> Answer:
    known = [answer for answer in answers if answer is not None]
    return tuple(sorted({dim for dims in known for dim in dims})) if known else None


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


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """The user's modes do not see the repeated call, and its random numbers are not theirs."""
    with (
        unseen_by_function_modes(),
        unseen_by_dispatch_modes(),
        torch.inference_mode(),
        torch.autocast("cpu", enabled=False),
        torch.random.fork_rng(devices=[]),
    ):
        yield


inline_all_in_graph(globals())
