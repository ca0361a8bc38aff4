"""Three ways to see where a call puts the units of its input.

Labels: each unit has a number of its own, the same at all its positions. The dimensions along which
the result varies are those of the units. The tensor is an expanded view, so views cost no memory.

Changes: where labels do not come through, because they are the same along a dimension that is
reduced or normalised. Two calls differ in the numbers of one unit, and the dimensions along which
their results differ in part are those of the units.

Sizes: of a single unit, whose label is the same everywhere. With two units in its place, the
dimension that is longer is that of the unit.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import unseen_by_dispatch_modes, unseen_by_function_modes

from .questions import Question, UnaskableError
from .rules import UnitDims

# A result that is larger is not looked at.
MOST_ELEMENTS = 1 << 24
# Labels of 65,536 units differ by more than a hundred times this.
_ROUNDING = 1e-8
_GOLDEN = (math.sqrt(5) - 1) / 2

Answer = UnitDims | None


def labels_found(question: Question, which: int, dims: UnitDims) -> tuple[Answer, ...]:
    """The dimensions along which the units of one tensor lie in each result.

    Args:
        question: the call.
        which: the index of the tensor among those of the call.
        dims: its dimensions of units.

    Returns:
        An answer for each result: None if the units did not come through.

    Raises:
        UnaskableError: if the call cannot be repeated.
    """
    wanted = question.tensors()[which].shape
    with _apart():
        units = math.prod(wanted[dim] for dim in dims)
        labels = 1 + torch.arange(1, 1 + units, dtype=torch.float64).mul(_GOLDEN).frac()
        units_only = [size if dim in dims else 1 for dim, size in enumerate(wanted)]
        one = torch.ones(1, dtype=torch.float64)

        def labelled(index: int, shape: tuple[int, ...]) -> Tensor:
            return (labels.view(units_only) if index == which else one).expand(shape)

        results = question.repeat(labelled)
        unlabelled = question.repeat(lambda _, shape: one.expand(shape))
        answers = [
            _where_labels_lie(result, without, labels, wanted[:1])
            for result, without in zip(results, unlabelled, strict=True)
        ]
        if units == 1:
            alone = _where_one_lies(question, which, dims, results)
            return tuple(found or answer for (answer, _), found in zip(answers, alone, strict=True))
        if all(came_through for _, came_through in answers):
            return tuple(answer for answer, _ in answers)
        changed = [_where_changes_lie(question, which, units_only, unit) for unit in {0, units - 1}]
        return tuple(
            answer if came_through else _union(change)
            for (answer, came_through), *change in zip(answers, *changed, strict=True)
        )


def _where_one_lies(
    question: Question, which: int, dims: UnitDims, results: list[Any]
) -> list[UnitDims]:
    """For each result, the dimensions of a single unit: those that are longer if there are two."""
    found: list[set[int]] = [set() for _ in results]
    for dim in dims:

        def wider(index: int, shape: tuple[int, ...], dim: int = dim) -> Tensor:
            is_wider = index == which
            sizes = [2 if is_wider and each == dim else size for each, size in enumerate(shape)]
            return torch.ones(1, dtype=torch.float64).expand(sizes)

        with contextlib.suppress(UnaskableError):
            # Of unbind and split there may be more results.
            for dims_found, before, after in zip(
                found, results, question.repeat(wider), strict=False
            ):
                if isinstance(before, Tensor) and isinstance(after, Tensor):
                    dims_found |= _dims_of_two(before, after)
    return [tuple(sorted(each)) for each in found]


def _dims_of_two(before: Tensor, after: Tensor) -> set[int]:
    if before.dim() != after.dim():
        return set()
    pairs = zip(before.shape, after.shape, strict=True)
    return {dim for dim, pair in enumerate(pairs) if pair == (1, 2)}


def _where_labels_lie(
    output: Any, without: Any, labels: Tensor, batch: tuple[int, ...]
) -> tuple[Answer, bool]:
    """The answer, and whether the labels came through.

    Args:
        output: a result of the call.
        without: the same of unlabelled tensors. Where both are the same, there is no label.
        labels: of all units.
        batch: the length of the tensor's first dimension.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None, False
    is_same_batch = tuple(output.shape[:1]) == batch
    output, without = _unexpanded(output), _unexpanded(without)
    has_label = output != without
    if not has_label.any():
        return None, False
    # The fewest dimensions whose indices tell the label.
    for count in range(output.dim() + 1):
        for dims in itertools.combinations(range(output.dim()), count):
            values = _values_along(output, has_label, dims)
            if values is not None:
                return _of_values(dims, values, labels, is_same_batch=is_same_batch)
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


def _of_values(
    dims: UnitDims, values: Tensor, labels: Tensor, *, is_same_batch: bool
) -> tuple[Answer, bool]:
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
    return (dims if len(dims) == 1 and dims[0] > 0 and is_same_batch else None), are_moved


def _where_changes_lie(
    question: Question, which: int, units_only: list[int], unit: int
) -> list[Answer]:
    """For each result, the dimensions of which a change of one unit reaches a part only."""
    is_unit = (torch.arange(math.prod(units_only)) == unit).view(units_only)
    tensors = question.tensors()
    is_alone = len(tensors) == 1

    def results(is_changed: bool) -> list[Any]:
        numbers = torch.Generator().manual_seed(0)

        def random(index: int, shape: tuple[int, ...]) -> Tensor:
            if math.prod(shape) > MOST_ELEMENTS:
                raise UnaskableError
            x = torch.rand(shape, dtype=torch.float64, generator=numbers)
            return torch.where(is_unit, x * x, x) if is_changed and index == which else x

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
        is_one = is_alone and differs.numel() < math.prod(tensors[which].shape)
        answers.append((dims or (() if is_one else None)) if differs.any() else None)
    return answers


def _union(answers: list[Answer]) -> Answer:
    known = [answer for answer in answers if answer is not None]
    return tuple(sorted({dim for dims in known for dim in dims})) if known else None


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
