"""The names of the ReLUs of a model: where each is written, whatever was called before it."""

from __future__ import annotations

import json
from collections.abc import Collection
from types import FrameType
from typing import Any, NamedTuple

from torch import nn

from relustat._dynamo import inline_in_graph

from .call_positions import WrittenCall, class_code

# What holds layers by their index.
_LISTS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)


class CallPlace(NamedTuple):
    """A position in a model at which a ReLU is computed, once or repeatedly.

    Attributes:
        paths: the path of the ReLU's module, or of the module that calls a function. Several if the
            caller holds one ReLU under several names, which it calls in turn.
        is_module: whether it is a module's own ReLU.
        base: the name without the path, of a functional call; else empty.
        first, step: the numbers of its first call in a forward, and from one to the next.
        after: the layer that made the input, if the number does not tell it; else empty.
    """

    paths: tuple[str, ...]
    is_module: bool
    base: str
    first: int
    step: int
    after: str

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
            base = base or "relu"
        else:
            prefix = f"{base}." if base else ""
            base = f"{prefix}{self.base}"
            if base in taken:
                base = f"{prefix}functional_{self.base}"
        return numbered(base, number, taken) + (f" after {self.after}" if self.after else "")


def numbered(base: str, number: int, taken: Collection[str]) -> str:
    """``base`` for number 0, else ``base_<number>``, or with more underscores if it is taken."""
    if not number:
        return base
    separator = "_"
    while f"{base}{separator}{number}" in taken:
        separator += "_"
    return f"{base}{separator}{number}"


@inline_in_graph
class CallNumbers:
    """Counts the calls of each position within one forward."""

    def __init__(self) -> None:
        self._calls: dict[Any, int] = {}

    def next(self, key: Any) -> int:
        """The number of calls with this key before."""
        number = self._calls.get(key, 0)
        self._calls[key] = number + 1
        return number


def call_place(
    caller: nn.Module | None,
    caller_path: str,
    relu: nn.Module | None,
    relu_path: str,
    call: WrittenCall | None,
    layer: str | None,
) -> CallPlace:
    """The place of a ReLU that is computed now.

    Args:
        caller, caller_path: the module that calls the ReLU, if one of the model does.
        relu, relu_path: the ReLU's module; None if a function is called.
        call: the call in the code of the caller's class, if it is known.
        layer: the path of the layer that made the input, if it is known.
    """
    paths: tuple[str, ...]
    is_attribute = False
    if relu is not None:
        names = [] if caller is None else _names_in(caller, relu)
        is_attribute = bool(names)
        paths = tuple(_joined(caller_path, name) for name in names) or (relu_path,)
        base = ""
    else:
        paths = (caller_path,)
        base = "relu"
    if call is None or caller is None:
        return CallPlace(paths, relu is not None, base, 0, 1, "")
    if relu is None:
        base = call.text.rstrip("_") or base
    children = caller._modules
    peers = [
        each.order
        for each in class_code(type(caller)).calls
        if each.text.rstrip("_") == call.text.rstrip("_")
        and (each.is_of_self and each.text in children)
        == (call.is_of_self and call.text in children)
    ]
    first, step, after = peers.index(call.order), len(peers), ""
    if call.may_repeat and layer is not None and (relu is None or is_attribute):
        index, length, after = _in_list(caller, caller_path, layer)
        first += index * step
        step *= length
    return CallPlace(paths, relu is not None, base, first, step, after)


def _names_in(caller: nn.Module, module: nn.Module) -> list[str]:
    return [name for name, child in caller._modules.items() if child is module]


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _in_list(caller: nn.Module, caller_path: str, layer: str) -> tuple[int, int, str]:
    """A layer's index in the caller's first list of layers, that list's length, and nothing more.

    For a layer that is no entry of that list: 0, 1 and its path from the caller.
    """
    if isinstance(caller, _LISTS):
        name, entries = caller_path, caller._modules
    else:
        found = ((n, c) for n, c in caller._modules.items() if isinstance(c, _LISTS) and len(c))
        short, held = next(found, ("", None))
        if held is None:
            return 0, 1, _relative(layer, caller_path)
        name, entries = _joined(caller_path, short), held._modules
    for index, entry in enumerate(entries):
        if layer == _joined(name, entry):
            return index, len(entries), ""
    return 0, 1, _relative(layer, caller_path)


def _relative(layer: str, caller_path: str) -> str:
    """A layer's path from the caller, if it is in it. A layer of the caller itself is no news."""
    if layer == caller_path:
        return ""
    prefix = f"{caller_path}." if caller_path else ""
    return layer.removeprefix(prefix)


@inline_in_graph
def written_call(
    kind: type[nn.Module], frame: FrameType | None, end: FrameType | None
) -> WrittenCall | None:
    """The innermost call, from ``frame`` outwards to ``end``, in the code of a class."""
    code = class_code(kind)
    while code.files and frame is not None and frame is not end:
        call = code.call_at(frame.f_code, frame.f_lasti)
        if call is not None:
            return call
        frame = frame.f_back
    return None
