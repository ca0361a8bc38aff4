"""The modules of a watched model, and the hooks that tell when they are called."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from .compiling import (
    keeping_count,
    no_graph_of_its_own,
    show_in_place_functions_to_modes,
    watched_class,
)

_ATTRIBUTE = "_relustat_places"
_RELU_MODULES = (nn.ReLU, nn.Threshold)


class Visitor(Protocol):
    """Who wants to know when modules are called."""

    def enter(self, place: Place, module: nn.Module) -> None: ...

    def leave(self, place: Place) -> None: ...


class Place:
    """A module of a watched model. A copy of the module is not watched: its place has no visitor.

    Attributes:
        path: the module's, as a user knows it: without what ``torch.compile`` puts in.
        is_relu_module: whether a ReLU computed in it is the module's own.
    """

    def __init__(
        self, visitor: Visitor | None = None, path: str = "", is_relu_module: bool = False
    ) -> None:
        self.visitor = visitor
        self.path = path
        self.is_relu_module = is_relu_module

    def __reduce__(self) -> tuple[Any, ...]:
        return Place, ()


class Places:
    """All modules of a model, with hooks on each until they are removed.

    Args:
        model: TorchScript modules in it get no hooks.
        visitor: told when modules are entered and left.
    """

    def __init__(self, model: nn.Module, visitor: Visitor) -> None:
        self._modules = dict(named_modules(model))
        self._key = _free_key(self._modules)
        self._handles: list[RemovableHandle] = []
        # The first to enter is the last to leave.
        enter, leave = (ModuleHook(self._key, is_after=is_after) for is_after in (False, True))
        for module, path in self._modules.items():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            place = Place(visitor, path, isinstance(module, _RELU_MODULES))
            module.__dict__.setdefault(_ATTRIBUTE, {})[self._key] = place
            self._handles.append(module.register_forward_pre_hook(enter, prepend=True))
            self._handles.append(module.register_forward_hook(leave, always_call=True))
            _number(self._handles[-1], -1 - self._key, module)
        self._root = uncompiled(model)
        self._class = type(self._root)
        if not isinstance(self._root, torch.jit.ScriptModule):
            self._root.__class__ = watched_class(self._class)
        show_in_place_functions_to_modes()

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if type(self._root) is watched_class(self._class):
            self._root.__class__ = self._class
        for module in self._modules:
            places = module.__dict__.get(_ATTRIBUTE)
            if places is not None:
                places.pop(self._key, None)
                if not places:
                    del module.__dict__[_ATTRIBUTE]

    def relu_paths(self) -> list[str]:
        """Paths of the modules that compute a ReLU."""
        return [path for module, path in self._modules.items() if computes_relu(module)]

    def opaque_paths(self) -> list[str]:
        """Paths of the modules into which nobody sees."""
        return [
            path or type(module).__name__
            for module, path in self._modules.items()
            if isinstance(module, torch.jit.ScriptModule)
        ]


# It holds a key only: the compiler does not notice that a hook is another one than it was; but it
# does, that its module has no place of that key, or another one.


@no_graph_of_its_own
class ModuleHook:
    """Called before a module's forward, or after it, also if it raises."""

    def __init__(self, key: int, *, is_after: bool) -> None:
        self._key = key
        self._is_after = is_after

    def __call__(self, module: nn.Module, *_: Any) -> None:
        place = getattr(module, _ATTRIBUTE, {}).get(self._key)
        if place is None or place.visitor is None:
            return
        if self._is_after:
            keeping_count(place.visitor.leave, place)
        else:
            keeping_count(place.visitor.enter, place, module)


def _number(handle: RemovableHandle, number: int, module: nn.Module) -> None:
    """Gives a hook a number: the compiler has guards on those of hooks that are always called."""
    all_hooks: list[dict[int, Any]] = [module._forward_hooks, module._forward_hooks_always_called]
    for hooks in all_hooks:
        hooks[number] = hooks.pop(handle.id)
    handle.id = number


def named_modules(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Each module once, with its path."""
    for path, module in model.named_modules():
        yield module, plain_path(path)


def uncompiled(model: nn.Module) -> nn.Module:
    """The model that ``torch.compile`` was given."""
    original = model._modules.get("_orig_mod")
    return model if original is None else original


def plain_path(path: str) -> str:
    """The path without what ``torch.compile`` puts in."""
    return ".".join(name for name in path.split(".") if name != "_orig_mod")


def _free_key(modules: Iterable[nn.Module]) -> int:
    """A number that no other watch of these modules has; of successive watches the same."""
    taken = {key for module in modules for key in module.__dict__.get(_ATTRIBUTE, {})}
    return next(key for key in itertools.count() if key not in taken)


def computes_relu(module: nn.Module) -> bool:
    if isinstance(module, nn.Threshold):
        return bool(module.threshold == 0 == module.value)
    return isinstance(module, nn.ReLU)
