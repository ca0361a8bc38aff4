"""The units of each tensor of a forward pass, and the layer that made it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from relustat._torch_internals import size_hint

from .shards import Shard, is_distributed, parts_of, shard_of
from .unit_probes import Labelled
from .unit_rules import CONTRACTING, JOINING, KEEPING, LAYERS, POOLS, STACKING, UnitDims
from .units_moved import dims_moved

# Entries of dead tensors are dropped when there are more entries than this.
_MANY = 1024


class Units(NamedTuple):
    """What is known of a tensor.

    Attributes:
        dims: the dimensions whose indices are its units; None if they are not known.
        layer: the path of the module that made it; None if that is not known.
        shape: its shape at that time.
        shard: which units it has, if a layer is split over processes.
        is_weight: whether it is made of parameters only.
    """

    dims: UnitDims | None
    layer: str | None
    shape: tuple[int, ...]
    shard: Shard | None = None
    is_weight: bool = False

    def on(self, output: Tensor, dims: UnitDims | None) -> Units:
        """The units of a tensor that is made of this one."""
        shard = self.shard
        if is_distributed(output) and dims is not None:
            shard = shard_of(output, dims)
        return Units(dims, self.layer, output.shape, shard)


class FollowedUnits:
    """Follows units through the torch calls of one forward pass, or of one traced graph.

    A layer's weights say which dimension its units are. From there on, every call that keeps,
    moves, splits or joins dimensions is followed. Nothing here raises an error.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Units]] = {}
        self._limit = _MANY

    def of(self, x: Tensor) -> Units | None:
        """What is known of ``x``, or None."""
        entry = self._known.get(id(x))
        # Another tensor may have had this address.
        return entry[1] if entry is not None and entry[0]() is x else None

    def follow(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        layer: str,
    ) -> None:
        """Stores the units of what ``function(*args, **kwargs)`` returned in module ``layer``."""
        try:
            if isinstance(result, Tensor):
                self._follow(function, args, kwargs, (result,), layer)
            elif isinstance(result, (tuple, list)) and any(
                isinstance(output, Tensor) for output in result
            ):
                self._follow(function, args, kwargs, result, layer)
        except Exception:
            # The shape of a lazy parameter, and other properties of special tensors, may raise.
            return

    def _follow(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: tuple[Any, ...] | list[Any],
        layer: str,
    ) -> None:
        rule = LAYERS.get(function)
        if rule is not None:
            known = self.of(args[0]) if args else None
            output = outputs[0]
            dims = rule(output, known.dims if known else None, args, kwargs)
            if type(output) is Tensor:
                self._note(output, Units(dims, layer, output.shape))
            else:
                shard = shard_of(output, dims)
                for part in parts_of(output):
                    self._note(part, Units(dims, layer, part.shape, shard))
            return
        found = [(x, units) for x in _tensors(args, kwargs) if (units := self.of(x)) is not None]
        made = [(x, units) for x, units in found if not units.is_weight]
        if not made:
            self._follow_weights(function, args, kwargs, outputs, layer)
        elif function in KEEPING:
            self._keep(made, outputs[0])
        else:
            self._follow_moved(function, args, kwargs, outputs, made)

    def _keep(self, made: list[tuple[Tensor, Units]], output: Tensor) -> None:
        for x, units in made:
            if units.dims is not None and (x is output or x.shape == output.shape):
                if x is not output:
                    self._note(output, units)
                return
        for _, units in made:
            # Dimensions are aligned at the last, as in broadcasting.
            shift = output.dim() - len(units.shape)
            if units.dims is not None and shift >= 0:
                self._note(output, units.on(output, tuple(dim + shift for dim in units.dims)))
                return
        self._note(output, made[0][1].on(output, None))

    def _follow_moved(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: tuple[Any, ...] | list[Any],
        made: list[tuple[Tensor, Units]],
    ) -> None:
        source = next((units for _, units in made if units.layer is not None), made[0][1])
        dims = made[0][1].dims
        output = outputs[0]
        rule = POOLS.get(function)
        if rule is not None:
            self._note(output, source.on(output, rule(output, dims, args, kwargs)))
        elif function in JOINING:
            self._note(output, source.on(output, dims))
        elif is_distributed(made[0][0]) and output.dim() == made[0][0].dim():
            # to_local() and others that only move parts to other processes
            self._note(output, source.on(output, dims))
        elif function in STACKING:
            new = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % output.dim()
            self._note(output, source.on(output, _with_new_dim(dims, new)))
        else:
            self._ask(function, args, kwargs, outputs, made, source)

    def _ask(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: tuple[Any, ...] | list[Any],
        made: list[tuple[Tensor, Units]],
        source: Units,
    ) -> None:
        answers = dims_moved(function, args, kwargs, self._labelled, self._is_weight)
        for index, output in enumerate(outputs):
            if not isinstance(output, Tensor):
                continue
            dims = answers[index] if answers is not None and index < len(answers) else None
            if dims is None and function not in CONTRACTING:
                same = [units.dims for x, units in made if x.shape == output.shape]
                dims = next((each for each in same if each is not None), None)
            self._note(output, source.on(output, dims))

    def _follow_weights(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: tuple[Any, ...] | list[Any],
        layer: str,
    ) -> None:
        tensors = [x for x in _tensors(args, kwargs) if x.is_floating_point()]
        weights = [x for x in tensors if self._is_weight(x)]
        if not weights:
            return
        if len(weights) == len(tensors):
            for output in outputs:
                if isinstance(output, Tensor):
                    self._note(output, Units(None, None, output.shape, is_weight=True))
        elif function in CONTRACTING:
            answers = dims_moved(function, args, kwargs, self._labelled, self._is_weight)
            if answers is not None:
                self._note(outputs[0], Units(answers[0], layer, outputs[0].shape))

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


def assumed_dim(dims: int) -> str:
    """The dimension that :class:`relustat.Counters` takes if the units are not known, in words."""
    if dims == 0:
        return "one (assumed)"
    return f"dimension 1 of {dims} (assumed)" if dims > 3 else "last dimension (assumed)"


def _tensors(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            for each in value:
                if isinstance(each, Tensor):
                    yield each


def _with_new_dim(dims: UnitDims | None, new: int) -> UnitDims | None:
    if dims is None:
        return None
    # Several single units lie side by side.
    return tuple(dim + (dim >= new) for dim in dims) if dims else (new,)
