"""The names of the ReLUs of a model: where each is written, whatever was called before it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

from torch import nn

from relustat._dynamo import inline_all_in_graph
from relustat.nn.activations import activation_of
from relustat.stats.activation import Activation

from .call_positions import (
    Position,
    WrittenCall,
    calls_in,
    class_code,
    is_in_loop,
    is_of_user,
    position_at,
)

# What holds layers by their index.
_LISTS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)


class CallPlace(NamedTuple):
    """A position in a model at which a ReLU is computed, once or repeatedly.

    Attributes:
        paths: the path of the ReLU's module, or of the module that calls a function. Several if the
            caller holds one ReLU under several names, which it calls in turn.
        is_module: whether it is a module's own ReLU.
        base: the name without the path, of a functional call, if it is known; else empty.
        first, step: the numbers of its first call in a forward, and from one to the next.
        after: the layer that made the input, if the number does not tell it; else empty.
        activation: the encoded :class:`relustat.Activation`, unless it is a ReLU.
    """

    paths: tuple[str, ...]
    is_module: bool
    base: str
    first: int
    step: int
    after: str
    activation: str = ""

    def encoded(self) -> str:
        return json.dumps(self)

    @staticmethod
    def decoded(text: str) -> CallPlace:
        paths, *others = json.loads(text)
        return CallPlace(tuple(paths), *others)

    def path(self, repeat: int) -> str:
        return self.paths[repeat % len(self.paths)]

    def name(self, repeat: int, taken: Collection[str]) -> str:
        """The name of a call. No other call and no other module of the model has it.

        It is the path of the ReLU's module, or ``<path>.relu`` for a functional call, and ``_<n>``
        from the second call on. If a module has that name already, there is one underscore more
        before the number, or ``functional_`` before ``relu``.

        Args:
            repeat: the number of its calls before this one in the same forward.
            taken: the paths of the model's modules.
        """
        number = self.first + self.step * (repeat // len(self.paths))
        base = self.path(repeat)
        if self.is_module:
            base = base or self._default()
        else:
            prefix = f"{base}." if base else ""
            own = self.base or self._default()
            base = f"{prefix}{own}"
            if base in taken:
                base = f"{prefix}functional_{own}"
        return numbered(base, number, taken) + (f" after {self.after}" if self.after else "")

    def _default(self) -> str:
        return Activation.decoded(self.activation).name.lower()


def numbered(base: str, number: int, taken: Collection[str]) -> str:
    """``base`` for number 0, else ``base_<number>``, or with more underscores if it is taken."""
    if not number:
        return base
    separator = "_"
    while f"{base}{separator}{number}" in taken:
        separator += "_"
    return f"{base}{separator}{number}"


class CallNumbers:
    """Counts the calls of each position within one forward."""

    def __init__(self) -> None:
        self._calls: dict[Any, int] = {}

    def next(self, key: Any) -> int:
        """The number of calls with this key before."""
        number = self._calls.get(key, 0)
        self._calls[key] = number + 1
        return number


class ModuleAt(Protocol):
    """A module of a model, and its path."""

    @property
    def module(self) -> nn.Module | None: ...

    @property
    def path(self) -> str: ...


def call_place(
    caller: ModuleAt | None, relu: ModuleAt | None, call: WrittenCall | None, layer: str | None
) -> CallPlace:
    """The place of a ReLU that is computed now.

    Args:
        caller: the module that calls the ReLU, if one of the model does.
        relu: the ReLU's module; None if a function is called.
        call: the call in the code of the caller's class, if it is known.
        layer: the path of the layer that made the input, if it is known.
    """
    module = caller.module if caller is not None else None
    caller_path = caller.path if caller is not None else ""
    called = relu.module if relu is not None else _child_called(module, call)
    if called is None:
        return _function_place(module, caller_path, call, layer)
    names = [] if module is None else _names_in(module, called)
    if call is not None and call.is_of_self and call.text in names:
        names = [call.text]
    own = (relu.path,) if relu is not None else ()
    paths = tuple(_joined(caller_path, name) for name in names) or own
    if module is None or call is None:
        return CallPlace(paths, True, "", 0, 1, "")
    direct = [
        each.order for each in class_code(module).calls if each.is_of_self and each.text in names
    ]
    # Others call it by way of a list or a variable.
    first = direct.index(call.order) if call.order in direct else len(direct)
    place = CallPlace(paths, True, "", first, max(1, len(direct)), "")
    return _looped(place, module, caller_path, layer) if call.may_repeat and names else place


def _child_called(module: nn.Module | None, call: WrittenCall | None) -> nn.Module | None:
    """The ReLU module that is called, if it has no hooks: a tool has put it among the children."""
    if module is None or call is None or not call.is_of_self:
        return None
    child = module._modules.get(call.text)
    return child if child is not None and activation_of(child) else None


def _function_place(
    caller: nn.Module | None, caller_path: str, call: WrittenCall | None, layer: str | None
) -> CallPlace:
    """The place of a ReLU function that ``caller`` calls."""
    if caller is None or call is None:
        return CallPlace((caller_path,), False, "", 0, 1, "")
    text = call.text.rstrip("_")

    def is_of_child(each: WrittenCall) -> bool:
        return each.is_of_self and each.text in caller._modules

    peers = [
        each.order
        for each in class_code(caller).calls
        if each.text.rstrip("_") == text and is_of_child(each) == is_of_child(call)
    ]
    first = peers.index(call.order) * call.inners + call.inner
    step = len(peers) * call.inners
    place = CallPlace((caller_path,), False, text, first, step, "")
    return _looped(place, caller, caller_path, layer) if call.may_repeat else place


def _looped(place: CallPlace, caller: nn.Module, caller_path: str, layer: str | None) -> CallPlace:
    """The place of a call that is repeated: it depends on the layer that made the input.

    An entry of the caller's first list of layers goes into the number; any other layer follows.
    """
    path, entries = _first_list(caller, caller_path)
    for index, entry in enumerate(entries):
        if layer == _joined(path, entry):
            first = place.first + index * place.step
            return place._replace(first=first, step=place.step * len(entries))
    if layer is None or layer == caller_path:
        # An empty end is that of the first entry.
        return (
            place._replace(after="input" if layer is None else "parameters") if entries else place
        )
    prefix = f"{caller_path}." if caller_path else ""
    return place._replace(after=layer.removeprefix(prefix))


def _names_in(caller: nn.Module, module: nn.Module | None) -> list[str]:
    return [name for name, child in caller._modules.items() if child is module]


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _first_list(caller: nn.Module, caller_path: str) -> tuple[str, list[str]]:
    """The path of the caller's first list of layers, and the names of its entries."""
    if isinstance(caller, _LISTS):
        return caller_path, list(caller._modules)
    for name, child in caller._modules.items():
        if isinstance(child, _LISTS) and len(child):
            return _joined(caller_path, name), list(child._modules)
    return "", []


def written_call(
    module: nn.Module, frame: FrameType | None, end: FrameType | None
) -> WrittenCall | None:
    """The innermost call, from ``frame`` outwards to ``end``, in the code of a module's class."""
    code = class_code(module)
    if not code.files:
        return None
    functions: list[tuple[CodeType, Position]] = []
    while frame is not None and frame is not end:
        call = code.call_at(frame.f_code, frame.f_lasti)
        if call is not None:
            return within_functions(call, functions)
        if is_of_user(frame.f_globals.get("__name__")):
            functions.append((frame.f_code, position_at(frame.f_code, frame.f_lasti)))
        frame = frame.f_back
    return None


def within_functions(
    call: WrittenCall, functions: Sequence[tuple[CodeType, Position]]
) -> WrittenCall:
    """A call that led to others, in functions outside of the class, from the innermost on."""
    if not functions:
        return call
    code, position = functions[0]
    inner, inners = calls_in(code).get(position, (0, 1))
    repeats = any(is_in_loop(code, position) for code, position in functions)
    return call._replace(may_repeat=call.may_repeat or repeats, inner=inner, inners=inners)


inline_all_in_graph(globals())
