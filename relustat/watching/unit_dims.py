"""The units of each tensor of a forward pass, and the layer that made it."""

from __future__ import annotations

import contextlib
import math
import operator
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import size_hint

from .shards import is_distributed, parts_of, shard_of
from .tensor_units import Units, left_by_graph
from .unit_probes import MOST_ELEMENTS, Labelled, UnaskableError
from .unit_rules import (
    CONTRACTING,
    JOINING,
    KEEPING,
    KEEPING_FIRST,
    LAYERS,
    MATRIX_PRODUCTS,
    RECURRENT,
    STACKING,
    Rule,
    UnitDims,
)
from .units_moved import MOST_ANSWERS, PLAIN, dims_moved, plain_key, without_positions

# Calls of several tensors are not asked if one is larger than this.
_MANY_OF_SEVERAL = 1 << 21
# Entries of dead tensors are dropped when there are more entries than this.
_MANY = 1024


_latest = operator.attrgetter("made")

# Of calls of one tensor with plain arguments.
_answers: dict[Any, tuple[UnitDims | None, ...] | None] = {}


class Module(Protocol):
    """What says in which module a call is made."""

    @property
    def path(self) -> str: ...


class TorchCall(NamedTuple):
    """A call, and what it returned."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Any, ...] | list[Any]


class FollowedUnits:
    """Follows units through the torch calls of one forward pass, or of one traced graph.

    A layer's weights say which dimension its units are. From there on, every call that keeps,
    moves, splits or joins dimensions is followed. Nothing here raises an error.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Units]] = {}
        self._limit = _MANY
        self._layers = 0

    def of(self, x: Tensor) -> Units | None:
        """What is known of ``x``, or None."""
        entry = self._known.get(id(x))
        # Another tensor may have had this address.
        if entry is not None and entry[0]() is x:
            return entry[1]
        return left_by_graph(x)

    def follow(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        within: Module,
    ) -> None:
        """Stores the units of what ``function(*args, **kwargs)`` returned within a module."""
        outputs: tuple[Any, ...] | list[Any]
        try:
            if isinstance(result, Tensor):
                outputs = (result,)
            elif function is Tensor.__setitem__:
                if self.of(args[0]) is not None:
                    return  # it keeps its units
                outputs = args[:1]
            elif isinstance(result, (tuple, list)) and any(
                isinstance(output, Tensor) for output in result
            ):
                outputs = result
            else:
                return
            rule = LAYERS.get(function)
            if rule is not None:
                are_all = function in RECURRENT
                self._begin(rule, args, kwargs, outputs, within.path, are_all=are_all)
            elif not (args and self._follow_one(function, args, kwargs, outputs)):
                call = TorchCall(function, args, kwargs, outputs)
                self._follow_any(call, within.path)
        except Exception:
            # The shape of a lazy parameter, and other properties of special tensors, may raise.
            return

    def _follow_one(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: tuple[Any, ...] | list[Any],
    ) -> bool:
        """The commonest calls, for less time: those of one tensor whose answer is known."""
        x = args[0]
        entry = self._known.get(id(x))
        if entry is None or entry[0]() is not x or type(x) is not Tensor:
            return False
        units = entry[1]
        if units.dims is None:
            return False
        output = outputs[0]
        if function in KEEPING or function in KEEPING_FIRST:
            others = (*args[1:], *kwargs.values())
            if units.shape != output.shape or not PLAIN.issuperset(map(type, others)):
                return False
            self._note(output, units)
            return True
        if kwargs:
            return False
        try:
            others = plain_key(without_positions(function, args)[1:])
            answers = _answers.get((function, units.dims, units.shape, others))
        except UnaskableError:
            return False
        if answers is None or None in answers:
            return False
        for output, dims in zip(outputs, answers, strict=True):
            self._note(output, Units(dims, units.layer, output.shape, units.shard, units.made))
        return True

    def _begin(
        self,
        rule: Rule,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: tuple[Any, ...] | list[Any],
        layer: str,
        *,
        are_all: bool,
    ) -> None:
        known = self.of(args[0]) if args else None
        self._layers += 1
        for output in outputs if are_all else outputs[:1]:
            dims = rule(output, known.dims if known is not None else None, args, kwargs)
            if type(output) is Tensor:
                self._note(output, Units(dims, layer, output.shape, None, self._layers))
                continue
            shard = shard_of(output, dims)
            for part in parts_of(output):
                self._note(part, Units(dims, layer, part.shape, shard, self._layers))

    def _follow_any(
        self,
        call: TorchCall,
        layer: str,
    ) -> None:
        function, args, kwargs, outputs = call
        known = []
        for x in _tensors(call.args, call.kwargs):
            units = self.of(x)
            if units is not None and not units.is_weight:
                known.append((x, units))
        if function in KEEPING_FIRST:
            first = args[0] if args else kwargs.get("input")
            self._keep([units for x, units in known if x is first], outputs[0])
        elif not known:
            self._follow_weights(call, layer)
        elif function in KEEPING:
            # Masks have the units of what they were made from, which need not be those here.
            is_number = outputs[0].is_floating_point()
            numbers = [units for x, units in known if x.is_floating_point() or not is_number]
            self._keep(numbers, outputs[0])
        elif function in MATRIX_PRODUCTS and self._multiply(call, layer):
            return
        elif function in JOINING:
            self._join(call, [units for _, units in known])
        else:
            self._follow_moved(call, known)

    def _keep(self, made: Iterable[Units], output: Tensor) -> None:
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
            self._note(output, max(found, key=operator.itemgetter(0, 1, 2))[3])
        elif made:
            self._note(output, max(made, key=_latest).on(output, None))

    def _multiply(self, call: TorchCall, layer: str) -> bool:
        """Of a product of matrices [..., rows, inner] and [..., inner, columns]."""
        first, last = (call.args[index] for index in MATRIX_PRODUCTS[call.function])
        output = call.outputs[0]
        if min(first.dim(), last.dim()) < 2:
            return False
        for x, inner in ((last, -2), (first, -1)):
            units = self.of(x)
            if units is not None and units.dims:
                left = [dim - x.dim() for dim in units.dims if dim - x.dim() != inner]
                if left:
                    dims = tuple(sorted(dim + output.dim() for dim in left))
                    self._note(output, units.on(output, dims))
                    return True
        if self._is_weight(last):
            self._layers += 1
            units = Units((output.dim() - 1,), layer, output.shape, None, self._layers)
            self._note(output, units)
            return True
        return False

    def _join(
        self,
        call: TorchCall,
        made: list[Units],
    ) -> None:
        args, kwargs, output = call.args, call.kwargs, call.outputs[0]
        along = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
        several = [units for units in made if units.dims]
        source = (several or made)[0]
        dims = source.dims
        if dims == () and along % output.dim():
            dims = (along % output.dim(),)  # single units side by side
        self._note(output, source.on(output, dims))

    def _follow_moved(
        self,
        call: TorchCall,
        known: list[tuple[Tensor, Units]],
    ) -> None:
        function, args, kwargs, output = call.function, call.args, call.kwargs, call.outputs[0]
        x, first = known[0]
        source = max((units for _, units in known), key=_latest)
        if function is Tensor.__setitem__ and not isinstance(args[1], tuple):
            # x[rows] = y: the dimensions behind the first are the same.
            self._keep([first], output)
        elif function in STACKING:
            new = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % output.dim()
            self._note(output, source.on(output, _with_new_dim(first.dims, new)))
        elif is_distributed(x) and output.dim() == x.dim():
            # to_local() and others that only move parts to other processes
            self._note(output, first.on(output, first.dims))
        else:
            self._ask(call, known, source)

    def _ask(
        self,
        call: TorchCall,
        known: list[tuple[Tensor, Units]],
        source: Units,
    ) -> None:
        function, outputs = call.function, call.outputs
        answers = self._dims_moved(call, known)
        for index, output in enumerate(outputs):
            if not isinstance(output, Tensor):
                continue
            dims = answers[index] if answers is not None and index < len(answers) else None
            if dims is None and function not in CONTRACTING:
                dims = next(
                    (
                        units.dims
                        for x, units in known
                        if units.dims is not None
                        and units.shape == output.shape
                        and x.is_floating_point() == output.is_floating_point()
                    ),
                    None,
                )
            self._note(output, source.on(output, dims))

    def _dims_moved(
        self, call: TorchCall, known: list[tuple[Tensor, Units]]
    ) -> tuple[UnitDims | None, ...] | None:
        function, args, kwargs, outputs = call
        x, units = known[0]
        tensors = list(_tensors(args, kwargs))
        if any(isinstance(output, Tensor) and _is_large_copy(output, x) for output in outputs):
            return None
        if len(tensors) > 1 and any(_size(each) > _MANY_OF_SEVERAL for each in tensors):
            return None
        answers = dims_moved(function, args, kwargs, self._labelled, self._is_weight)
        if type(x) is Tensor and x is args[0] and not kwargs:
            with contextlib.suppress(UnaskableError):
                others = plain_key(without_positions(function, args)[1:])
                if len(_answers) >= MOST_ANSWERS:
                    _answers.clear()
                _answers[function, units.dims, units.shape, others] = answers
        return answers

    def _follow_weights(
        self,
        call: TorchCall,
        layer: str,
    ) -> None:
        function, outputs = call.function, call.outputs
        tensors = [x for x in _tensors(call.args, call.kwargs) if x.is_floating_point()]
        weights = [x for x in tensors if self._is_weight(x)]
        if not weights:
            return
        if len(weights) == len(tensors):
            for output in outputs:
                if isinstance(output, Tensor):
                    self._note(output, Units(None, None, output.shape, is_weight=True))
        elif function in CONTRACTING:
            answers = dims_moved(
                call.function, call.args, call.kwargs, self._labelled, self._is_weight
            )
            if answers is not None:
                self._layers += 1
                units = Units(answers[0], layer, outputs[0].shape, None, self._layers)
                self._note(outputs[0], units)

    def _note(self, x: Tensor, units: Units) -> None:
        if len(self._known) >= self._limit:
            self._known = {
                key: entry for key, entry in self._known.items() if entry[0]() is not None
            }
            self._limit = _MANY + 2 * len(self._known)
        self._known[id(x)] = weakref.ref(x), units

    def _labelled(self, x: Tensor) -> Labelled | None:
        units = self.of(x)
        if units is None or units.dims is None:
            return None
        return Labelled(tuple(map(size_hint, units.shape)), units.dims)

    def _is_weight(self, x: Tensor) -> bool:
        if isinstance(x, nn.Parameter):
            return True
        units = self.of(x)
        return units is not None and units.is_weight


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
