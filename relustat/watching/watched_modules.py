"""The modules of a watched model, and the hooks that tell when they are called."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import nn

from relustat._dynamo import (
    inline_in_graph,
    show_in_place_functions_to_modes,
    watched_class,
    with_side_effects_allowed,
)
from relustat._hooks import renumber, take_off
from relustat.nn.module_paths import computes_relu, named_modules, uncompiled

_ATTRIBUTE = "_relustat_watched"
_RELU_MODULES = (nn.ReLU, nn.Threshold)

# Of threads that put hooks on a module, or take them off.
_one_at_a_time = threading.Lock()


class Visitor(Protocol):
    """Who wants to know when modules are called."""

    def enter(self, watched: WatchedModule, module: nn.Module) -> None: ...

    def leave(self, watched: WatchedModule) -> None: ...


class WatchedModule:
    """A module of a watched model. A copy of it is not watched, and has no visitor.

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
        return WatchedModule, ()


class WatchedModules:
    """All modules of a model, with hooks on each from :meth:`install` to :meth:`remove`.

    An interrupt may come anywhere: :meth:`remove` takes off what is there.

    Args:
        model: TorchScript modules in it get no hooks.
        visitor: told when modules are entered and left.
    """

    def __init__(self, model: nn.Module, visitor: Visitor) -> None:
        self._modules = dict(named_modules(model))
        self._visitor = visitor
        self._root = uncompiled(model)
        self._is_installed = False

    def install(self) -> None:
        show_in_place_functions_to_modes()
        with _one_at_a_time:
            self._key = _free_key(self._modules)
            self._enter = ModuleHook(self._key, is_after=False)
            self._leave = ModuleHook(self._key, is_after=True)
            self._class = type(self._root)
            self._is_installed = True
            for module, path in self._modules.items():
                if isinstance(module, torch.jit.ScriptModule):
                    continue
                watched = WatchedModule(self._visitor, path, isinstance(module, _RELU_MODULES))
                module.__dict__.setdefault(_ATTRIBUTE, {})[self._key] = watched
                # The first to enter is the last to leave.
                module.register_forward_pre_hook(self._enter, prepend=True)
                handle = module.register_forward_hook(self._leave, always_call=True)
                renumber(handle.id, -1 - self._key, module)
            if not isinstance(self._root, torch.jit.ScriptModule):
                self._root.__class__ = watched_class(self._class)

    def remove(self) -> None:
        """Does nothing the second time."""
        if not self._is_installed:
            return
        with _one_at_a_time:
            if type(self._root) is watched_class(self._class):
                self._root.__class__ = self._class
            for module in self._modules:
                take_off(module, self._enter)
                take_off(module, self._leave)
                kept = module.__dict__.get(_ATTRIBUTE, {})
                if self._key in kept and kept[self._key].visitor is self._visitor:
                    kept.pop(self._key)
                if not kept:
                    module.__dict__.pop(_ATTRIBUTE, None)
            self._is_installed = False

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
# does, that its module has nothing of that key, or something else.


@inline_in_graph
class ModuleHook:
    """Called before a module's forward, or after it, also if it raises."""

    def __init__(self, key: int, *, is_after: bool) -> None:
        self._key = key
        self._is_after = is_after

    def __call__(self, module: nn.Module, *_: Any) -> None:
        watched = getattr(module, _ATTRIBUTE, {}).get(self._key)
        if watched is None or watched.visitor is None:
            return
        if self._is_after:
            with_side_effects_allowed(watched.visitor.leave, watched)
        else:
            with_side_effects_allowed(watched.visitor.enter, watched, module)


def _free_key(modules: Iterable[nn.Module]) -> int:
    """A number that no other watch of these modules has; of successive watches the same."""
    taken = {key for module in modules for key in module.__dict__.get(_ATTRIBUTE, {})}
    return next(key for key in itertools.count() if key not in taken)
