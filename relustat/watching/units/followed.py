"""The units of each tensor of a forward pass, and the layer that made it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import size_hint

from .of_calls import TorchCall, latest, units_after
from .of_tensors import Units, left_by_graph
from .questions import Labelled
from .remembered import PLAIN, remembered
from .rules import KEEPING, KEEPING_FIRST, LAYERS, RECURRENT, Rule
from .shards import parts_of, shard_of

# Entries of dead tensors are dropped when there are more entries than this.
_MANY = 1024


class Module(Protocol):
    """What says in which module a call is made."""

    @property
    def path(self) -> str: ...


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
            if type(result) is Tensor:
                outputs = (result,)
            elif function is Tensor.__setitem__:
                if self.of(args[0]) is not None:
                    return  # it keeps its units
                outputs = args[:1]
            elif isinstance(result, Tensor):
                outputs = (result,)
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
            elif not (args and self._follow_quickly(function, args, kwargs, outputs)):
                call = TorchCall(function, args, kwargs, outputs)
                for output, units in units_after(call, within.path, self):
                    self._note(output, units)
        except Exception:
            # The shape of a lazy parameter, and other properties of special tensors, may raise.
            return

    def _follow_quickly(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: tuple[Any, ...] | list[Any],
    ) -> bool:
        """The commonest calls of plain tensors, for less time. Others are left to be followed."""
        units = self._of_plain(args[0])
        if units is None:
            return False
        if function in KEEPING or function in KEEPING_FIRST:
            if units.shape != outputs[0].shape:
                return False
            others = (*args[1:], *kwargs.values()) if kwargs else args[1:]
            if not PLAIN.issuperset(map(type, others)):
                second = self._of_plain(args[1]) if len(others) == 1 and not kwargs else None
                if second is None or second.shape != units.shape or args[0].dtype != args[1].dtype:
                    return False
                units = max(units, second, key=latest)
            self._note(outputs[0], units)
            return True
        answers = None if kwargs else remembered(function, args, units)
        if answers is None or None in answers:
            return False
        for index, dims in enumerate(answers):
            output = outputs[index]
            self._note(output, Units(dims, units.layer, output.shape, units.shard, units.made))
        return True

    def _of_plain(self, x: Any) -> Units | None:
        """:meth:`of` a tensor of no subclass, if it has units."""
        entry = self._known.get(id(x))
        if entry is None or entry[0]() is not x or type(x) is not Tensor or not entry[1].dims:
            return None
        return entry[1]

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
        made = self.next_layer()
        for output in outputs if are_all else outputs[:1]:
            dims = rule(output, known.dims if known is not None else None, args, kwargs)
            if type(output) is Tensor:
                self._note(output, Units(dims, layer, output.shape, None, made))
                continue
            shard = shard_of(output, dims)
            for part in parts_of(output):
                self._note(part, Units(dims, layer, part.shape, shard, made))

    def _note(self, x: Tensor, units: Units) -> None:
        if len(self._known) >= self._limit:
            self._known = {
                key: entry for key, entry in self._known.items() if entry[0]() is not None
            }
            self._limit = _MANY + 2 * len(self._known)
        self._known[id(x)] = weakref.ref(x), units

    def next_layer(self) -> int:
        """The number of layers before a new one."""
        self._layers += 1
        return self._layers

    def labelled(self, x: Tensor) -> Labelled | None:
        units = self.of(x)
        if units is None or units.dims is None:
            return None
        return Labelled(tuple(map(size_hint, units.shape)), units.dims)

    def is_weight(self, x: Tensor) -> bool:
        if isinstance(x, nn.Parameter):
            return True
        units = self.of(x)
        return units is not None and units.is_weight


inline_all_in_graph(globals())
