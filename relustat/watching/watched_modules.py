"""The modules of a watched model, and the hooks that see their calls."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterable
from types import FrameType
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

# Held by a thread that adds hooks to a module, or removes them.
_one_at_a_time = threading.Lock()


class Visitor(Protocol):
    """The object that the hooks call."""

    def enter(self, watched: WatchedModule, module: nn.Module, frame: FrameType | None) -> None: ...

    def leave(self, watched: WatchedModule) -> None: ...


class WatchedModule:
    """A module of a watched model. A copy of the module is not watched and has no visitor.

    Attributes:
        module: the module itself.
        path: its path, without the names that ``torch.compile`` adds.
        is_relu_module: whether a ReLU that is computed in it is the module's own.
    """

    def __init__(
        self,
        visitor: Visitor | None = None,
        module: nn.Module | None = None,
        path: str = "",
        is_relu_module: bool = False,
    ) -> None:
        self.visitor = visitor
        self.module = module
        self.path = path
        self.is_relu_module = is_relu_module

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedModule, ()


class WatchedModules:
    """All modules of a model, with hooks on each from :meth:`install` to :meth:`remove`.

    An interrupt may come at any point: :meth:`remove` removes the hooks that exist.

    Args:
        model: its TorchScript modules get no hooks.
        visitor: called when modules are entered and left.
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
                watched = WatchedModule(
                    self._visitor, module, path, isinstance(module, _RELU_MODULES)
                )
                module.__dict__.setdefault(_ATTRIBUTE, {})[self._key] = watched
                # The first hook to enter is the last to leave.
                module.register_forward_pre_hook(self._enter, prepend=True)
                handle = module.register_forward_hook(self._leave, always_call=True)
                renumber(handle.id, -1 - self._key, module)
            if not isinstance(self._root, torch.jit.ScriptModule):
                self._root.__class__ = watched_class(self._class)

    def remove(self) -> None:
        """Removes all hooks. The second call does nothing."""
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
        """Paths of the modules whose calls are hidden."""
        return [
            path or type(module).__name__
            for module, path in self._modules.items()
            if isinstance(module, torch.jit.ScriptModule)
        ]


# A hook holds a key only. The compiler has no guard on which hook it is, but it has one on what its
# module holds under that key.


@inline_in_graph
class ModuleHook:
    """The hook that runs before a module's forward, or after it, also if the forward raises."""

    def __init__(self, key: int, *, is_after: bool) -> None:
        self._key = key
        self._is_after = is_after

    def __call__(self, module: nn.Module, *_: Any) -> None:
        watched = getattr(module, _ATTRIBUTE, {}).get(self._key)
        if watched is None or watched.visitor is None:
            return
        visitor = watched.visitor
        if torch.compiler.is_dynamo_compiling():
            if self._is_after:
                with_side_effects_allowed(visitor.leave, watched)
            else:
                with_side_effects_allowed(visitor.enter, watched, module, None)
        elif self._is_after:
            visitor.leave(watched)
        else:
            visitor.enter(watched, module, sys._getframe().f_back)


def _free_key(modules: Iterable[nn.Module]) -> int:
    """A number that no other watch of these modules has. Successive watches have the same."""
    taken = {key for module in modules for key in module.__dict__.get(_ATTRIBUTE, {})}
    return next(key for key in itertools.count() if key not in taken)
