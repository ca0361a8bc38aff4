"""The modules of a watched model, and the hooks that see their calls."""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Collection, Iterable, Mapping, Set
from types import FrameType
from typing import Any, Protocol

import torch
from torch import nn

from relustat._dynamo import (
    inline_in_graph,
    show_to_modes,
    unwatch_class,
    watched_class,
    with_side_effects_allowed,
)
from relustat._hooks import on_registration, renumber, take_off, take_off_registration
from relustat._locks import fork_safe_lock
from relustat.nn.activations import ChosenActivations, activation_of, other_activation
from relustat.nn.module_paths import named_modules, plain_path, uncompiled

from .call_kinds import FUNCTIONS
from .copies import ATTRIBUTE, Answers, Hook, answers_of

_RELU_MODULES = (nn.ReLU, nn.Threshold, nn.Hardtanh, nn.LeakyReLU)

# Held by a thread that adds hooks to a module, or removes them.
_one_at_a_time = fork_safe_lock()


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
        is_called: whether it has been called in eager code.
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
        self.is_called = False

    def __reduce__(self) -> tuple[Any, ...]:
        return WatchedModule, ()


class WatchedModules:
    """All modules of a model, with hooks on each from :meth:`install` to :meth:`remove`.

    Modules that the model gets in between have hooks from then on. An interrupt may come at any
    point: :meth:`remove` removes the hooks that exist.

    Args:
        model: its TorchScript modules get no hooks.
        modules: its modules, and their paths. New ones are added.
        visitor: called when modules are entered and left.
        chosen: the activations that are counted.
    """

    def __init__(
        self,
        model: nn.Module,
        modules: dict[nn.Module, str],
        visitor: Visitor,
        chosen: ChosenActivations,
    ) -> None:
        self._modules = modules
        self._chosen = chosen
        self._kinds = (*_RELU_MODULES, *chosen.module_kinds())
        self._visitor = visitor
        self._model = model
        self._root = uncompiled(model)
        # Modules that are none of the model's.
        self._strangers: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._watched: dict[nn.Module, WatchedModule] = {}
        self._hooks_of: dict[int, tuple[ModuleHook, ModuleHook]] = {}
        self._is_installed = False

    def install(self) -> None:
        show_to_modes(FUNCTIONS)
        with _one_at_a_time:
            self._key = _free_key(self._modules)
            self._added = AddedModules(self)
            self._is_installed = True
            for module in list(self._modules):
                self._put_on(module)
            if not isinstance(self._root, torch.jit.ScriptModule):
                self._root.__class__ = watched_class(type(self._root))
            on_registration(self._added)

    def _put_on(self, module: nn.Module) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            return
        is_relu_module = isinstance(module, self._kinds)
        watched = WatchedModule(self._visitor, module, self._modules[module], is_relu_module)
        self._watched[module] = watched
        if answers_of(module) is None:
            Answers(module).put_on()
        watches = module.__dict__.setdefault(ATTRIBUTE, {})
        # If a watch of another model has this key, which the module came from.
        key = _free_key([module]) if self._key in watches else self._key
        watches[key] = watched
        # The first hook to enter is the last to leave.
        module.register_forward_pre_hook(self._hooks(key)[0], prepend=True)
        handle = module.register_forward_hook(self._hooks(key)[1], always_call=True)
        renumber(handle.id, -1 - key, module)

    def _hooks(self, key: int) -> tuple[ModuleHook, ModuleHook]:
        """The hooks that run before a module's forward and after it."""
        if key not in self._hooks_of:
            hooks = ModuleHook(key, is_after=False), ModuleHook(key, is_after=True)
            self._hooks_of[key] = hooks
        return self._hooks_of[key]

    def add(self, parent: nn.Module, name: str, child: nn.Module) -> None:
        """Installs hooks in what becomes a child of one of these modules."""
        path = self._modules.get(parent)
        if path is None or not self._is_installed:
            return
        base = f"{path}.{name}" if path else name
        for module, inner in list(named_modules(child)):
            now = f"{base}.{inner}" if inner else base
            before = self._modules.get(module)
            if before is None:
                self._modules[module] = now
                self._put_on(module)
            elif before == base or before.startswith(f"{base}."):
                self._move(module, now)  # it was there, and is now within what replaces it

    def adopt(self, stranger: nn.Module) -> WatchedModule | None:
        """Installs hooks in a module of the model that has none, and gives it; None of others."""
        if stranger in self._strangers:
            return None
        paths = dict(named_modules(self._model))
        if stranger not in paths:
            self._strangers.add(stranger)
            return None
        for module, path in paths.items():
            if module in self._modules:
                self._move(module, path)
        self._modules[stranger] = paths[stranger]
        self._put_on(stranger)
        return self._watched.get(stranger)

    def _move(self, module: nn.Module, path: str) -> None:
        self._modules[module] = path
        if module in self._watched:
            self._watched[module].path = path

    def remove(self) -> None:
        """Removes all hooks. The second call does nothing."""
        if not self._is_installed:
            return
        with _one_at_a_time:
            take_off_registration(self._added)
            unwatch_class(self._root)
            # Also those to which quantisation has copied the hooks of what it replaced.
            for module in {**self._modules, **dict.fromkeys(self._root.modules())}:
                for hooks in list(self._hooks_of.values()):
                    take_off(module, hooks[0])
                    take_off(module, hooks[1])
                kept = module.__dict__.get(ATTRIBUTE, {})
                for key in [key for key in kept if kept[key].visitor is self._visitor]:
                    kept.pop(key)
                if not kept:
                    module.__dict__.pop(ATTRIBUTE, None)
                    answers = answers_of(module)
                    if answers is not None:
                        answers.take_off()
            self._is_installed = False

    def root(self) -> WatchedModule:
        """The model itself."""
        return WatchedModule(self._visitor, self._root, "", isinstance(self._root, self._kinds))

    def never_called(self, called: Set[str]) -> list[str]:
        """Paths of the modules of chosen activations that were not called.

        Args:
            called: the paths under which modules were called in graphs.
        """
        names: dict[nn.Module, list[str]] = {}
        for path, module in self._model.named_modules(remove_duplicate=False):
            names.setdefault(module, []).append(plain_path(path))
        return [
            path or "(model)"
            for module, path in named_modules(self._model)
            if activation_of(module) in self._chosen.names
            and called.isdisjoint(names.get(module, ()))
            and not (module in self._watched and self._watched[module].is_called)
        ]

    def other_activations(self, called: Mapping[str, Collection[str]]) -> list[tuple[str, int]]:
        """The names of activations that are not counted, and the number of modules of each.

        Args:
            called: the paths of modules that called one, by its name.
        """
        known = {path: other_activation(module) for module, path in named_modules(self._model)}
        # Functions that a module calls have the module's name.
        names = [(known.get(path) or name, path) for name in called for path in called[name]]
        paths: dict[str, set[str]] = {}
        for name, path in [*names, *((name, path) for path, name in known.items() if name)]:
            if name not in self._chosen.names:
                paths.setdefault(name, set()).add(path)
        return sorted((name, len(modules)) for name, modules in paths.items())


# A hook holds a key only. The compiler has no guard on which hook it is, but it has one on what its
# module holds under that key.


@inline_in_graph
class ModuleHook(Hook):
    """The hook that runs before a module's forward, or after it, also if the forward raises."""

    def __init__(self, key: int, *, is_after: bool) -> None:
        self._key = key
        self._is_after = is_after

    def __call__(self, module: nn.Module, *_: Any) -> None:
        watched = getattr(module, ATTRIBUTE, {}).get(self._key)
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


class AddedModules:
    """The hook that PyTorch calls when any module gets a child."""

    def __init__(self, owner: WatchedModules) -> None:
        # Weak: PyTorch holds this hook, and a watched model must be freed with its watch.
        self._owner = weakref.ref(owner, lambda _: take_off_registration(self))

    def __call__(self, parent: nn.Module, name: str, child: nn.Module | None) -> None:
        owner = self._owner()
        if owner is not None and child is not None:
            owner.add(parent, name, child)


def _free_key(modules: Iterable[nn.Module]) -> int:
    """A number that no other watch of these modules has. Successive watches have the same."""
    taken = {key for module in modules for key in module.__dict__.get(ATTRIBUTE, {})}
    return next(key for key in itertools.count() if key not in taken)
