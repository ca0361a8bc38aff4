"""The units of what a torch call returns, from those of all tensors that it is given."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import size_hint

from .moved import dims_moved
from .of_tensors import Units
from .probes import MOST_ELEMENTS
from .questions import Labelled
from .remembered import remember
from .rules import (
    CONTRACTING,
    JOINING,
    KEEPING,
    KEEPING_FIRST,
    MATRIX_PRODUCTS,
    STACKING,
    UnitDims,
)
from .shards import is_distributed

# Calls of several tensors are not asked if one is larger than this.
_MANY_OF_SEVERAL = 1 << 21

latest = operator.attrgetter("made")


class TorchCall(NamedTuple):
    """A call, and what it returned."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Any, ...] | list[Any]


class Known(Protocol):
    """What is known of tensors before a call."""

    def of(self, x: Tensor) -> Units | None: ...

    def labelled(self, x: Tensor) -> Labelled | None:
        """The shape and the unit dimensions of a tensor, if they are known."""

    def is_weight(self, x: Tensor) -> bool:
        """Whether a tensor is a parameter, or made of parameters only."""

    def next_layer(self) -> int:
        """The number of layers before a new one."""


UnitsOf = tuple[Tensor, Units]


def units_after(call: TorchCall, layer: str, known: Known) -> list[UnitsOf]:
    """The units of a call's outputs.

    Args:
        call: any call of a function of PyTorch.
        layer: the path of the module that makes it.
        known: what is known of its arguments.
    """
    function, args, kwargs, outputs = call
    output = outputs[0]
    given = []
    for x in _tensors(args, kwargs):
        units = known.of(x)
        if units is not None and not units.is_weight:
            given.append((x, units))
    if function in KEEPING_FIRST:
        first = args[0] if args else kwargs.get("input")
        return _kept([units for x, units in given if x is first], output)
    if not given:
        return _of_weights(call, layer, known)
    if function in KEEPING:
        # Masks have the units of what they were made from, which need not be those here.
        is_number = output.is_floating_point()
        return _kept(
            [units for x, units in given if x.is_floating_point() or not is_number], output
        )
    product = _of_product(call, layer, known) if function in MATRIX_PRODUCTS else None
    if product is not None:
        return [(output, product)]
    if function in JOINING:
        return [(output, _joined(call, [units for _, units in given]))]
    return _moved(call, given, known)


def _kept(made: list[Units], output: Tensor) -> list[UnitsOf]:
    """Of arithmetic: dimensions are aligned at the last, as in broadcasting."""
    found = []
    for units in made:
        shift = output.dim() - len(units.shape)
        if units.dims is not None and shift >= 0:
            # A single unit that is repeated stays one.
            dims = tuple(
                dim + shift
                for dim in units.dims
                if units.shape[dim] != 1 or output.shape[dim + shift] == 1
            )
            is_whole = units.shape == output.shape
            found.append((bool(dims), is_whole, units.made, units.on(output, dims)))
    if found:
        # What is not broadcast, and of that the latest layer, as in x + layer(x).
        return [(output, max(found, key=operator.itemgetter(0, 1, 2))[3])]
    return [(output, max(made, key=latest).on(output, None))] if made else []


def _of_product(call: TorchCall, layer: str, known: Known) -> Units | None:
    """Of a product of matrices [..., rows, inner] and [..., inner, columns]."""
    first, last = (call.args[index] for index in MATRIX_PRODUCTS[call.function])
    output = call.outputs[0]
    if min(first.dim(), last.dim()) < 2:
        return None
    for x, inner in ((last, -2), (first, -1)):
        units = known.of(x)
        if units is not None and units.dims:
            left = [dim - x.dim() for dim in units.dims if dim - x.dim() != inner]
            if left:
                return units.on(output, tuple(sorted(dim + output.dim() for dim in left)))
    if known.is_weight(last):
        return Units((output.dim() - 1,), layer, output.shape, None, known.next_layer())
    return None


def _joined(call: TorchCall, made: list[Units]) -> Units:
    args, kwargs, output = call.args, call.kwargs, call.outputs[0]
    along = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
    several = [units for units in made if units.dims]
    source = (several or made)[0]
    dims = source.dims
    parts = args[0] if args else kwargs["tensors"]
    if dims == () and along % output.dim() and output.shape[along] == len(parts):
        dims = (along % output.dim(),)  # single units side by side
    return source.on(output, dims)


def _moved(call: TorchCall, given: list[UnitsOf], known: Known) -> list[UnitsOf]:
    function, args, kwargs, output = call.function, call.args, call.kwargs, call.outputs[0]
    x, first = given[0]
    if function is Tensor.__setitem__ and not isinstance(args[1], tuple):
        # x[rows] = y: the dimensions behind the first are the same.
        return _kept([first], output)
    if function in STACKING:
        new = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % output.dim()
        source = max((units for _, units in given), key=latest)
        return [(output, source.on(output, _with_new_dim(first.dims, new)))]
    if is_distributed(x) and output.dim() == x.dim():
        # to_local() and others that only move parts to other processes
        return [(output, first.on(output, first.dims))]
    return _asked(call, given, known)


def _asked(call: TorchCall, given: list[UnitsOf], known: Known) -> list[UnitsOf]:
    source = max((units for _, units in given), key=latest)
    answers = _dims_moved(call, given[0], known)
    found = []
    for index, output in enumerate(call.outputs):
        if not isinstance(output, Tensor):
            continue
        dims = answers[index] if answers is not None and index < len(answers) else None
        if dims is None and call.function not in CONTRACTING:
            dims = next((units.dims for x, units in given if _is_alike(x, units, output)), None)
        found.append((output, source.on(output, dims)))
    return found


def _is_alike(x: Tensor, units: Units, output: Tensor) -> bool:
    """Whether units are known of an input that has the shape and the kind of an output."""
    is_of_kind = x.is_floating_point() == output.is_floating_point()
    return units.dims is not None and units.shape == output.shape and is_of_kind


def _dims_moved(
    call: TorchCall, first: UnitsOf, known: Known
) -> tuple[UnitDims | None, ...] | None:
    function, args, kwargs, outputs = call
    x, units = first
    tensors = list(_tensors(args, kwargs))
    if any(isinstance(output, Tensor) and _is_large_copy(output, x) for output in outputs):
        return None
    if len(tensors) > 1 and any(_size(each) > _MANY_OF_SEVERAL for each in tensors):
        return None
    answers = dims_moved(function, args, kwargs, known.labelled, known.is_weight)
    if answers is not None and type(x) is Tensor and x is args[0] and not kwargs:
        remember(function, args, units, answers)
    return answers


def _of_weights(call: TorchCall, layer: str, known: Known) -> list[UnitsOf]:
    function, args, kwargs, outputs = call
    tensors = [x for x in _tensors(args, kwargs) if x.is_floating_point()]
    weights = [x for x in tensors if known.is_weight(x)]
    if not weights:
        return []
    if len(weights) == len(tensors):
        return [
            (output, Units(None, None, output.shape, is_weight=True))
            for output in outputs
            if isinstance(output, Tensor)
        ]
    if function not in CONTRACTING:
        return []
    answers = dims_moved(function, args, kwargs, known.labelled, known.is_weight)
    if answers is None:
        return []
    output = outputs[0]
    return [(output, Units(answers[0], layer, output.shape, None, known.next_layer()))]


def _tensors(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            for each in value:
                if isinstance(each, Tensor):
                    yield each


def _is_large_copy(output: Tensor, x: Tensor) -> bool:
    """Whether repeating a call would take much memory. A view of labels takes none."""
    return (
        _size(output) > MOST_ELEMENTS
        and output.untyped_storage()._cdata != x.untyped_storage()._cdata
    )


def _size(x: Tensor) -> int:
    return math.prod(map(size_hint, x.shape))


def _with_new_dim(dims: UnitDims | None, new: int) -> UnitDims | None:
    if dims is None:
        return None
    # Several single units lie side by side.
    return tuple(dim + (dim >= new) for dim in dims) if dims else (new,)


inline_all_in_graph(globals())
