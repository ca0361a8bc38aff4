"""The places of a model at which ReLUs are computed: their names, order and counters."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import nn

from .counters import Counters
from .stats import ReLUStats

_RELU_MODULES = (nn.ReLU, nn.Threshold)


class SiteKey(NamedTuple):
    """A call site: the ``call``-th call, within one forward, of or in a module."""

    module: nn.Module
    is_module: bool
    call: int


class Forward(Protocol):
    """What is known of the forward in which a site is met."""

    last_site: SiteKey | None


class CallSites:
    """The call sites of one model, found as they are met."""

    def __init__(self, model: nn.Module, make_counters: Callable[[], Counters]) -> None:
        self.paths = {module: path for path, module in model.named_modules()}
        self._taken = frozenset(path for path, _ in model.named_modules(remove_duplicate=False))
        self._make_counters = make_counters
        self._counters: dict[SiteKey, Counters] = {}
        self._order: list[SiteKey] = []
        self._met: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._lock = threading.Lock()

    def kind_in(self, module: nn.Module) -> bool:
        """Whether a ReLU computed in ``module`` is the module's own: it is a ReLU module."""
        return isinstance(module, _RELU_MODULES)

    def name_of(self, key: SiteKey) -> str:
        """The site's name: no other site and no module of the model has it.

        The module's path, or ``<path>.relu`` for a functional call; ``_<call>`` from the second
        call on. Where a module bears that name already, an underscore is put before the number, or
        ``functional_`` before ``relu``.
        """
        path = self.paths[key.module]
        if key.is_module:
            base = path or "relu"
        else:
            prefix = f"{path}." if path else ""
            base = f"{prefix}relu"
            if base in self._taken:
                base = f"{prefix}functional_relu"
        if not key.call:
            return base
        separator = "_"
        while f"{base}{separator}{key.call}" in self._taken:
            separator += "_"
        return f"{base}{separator}{key.call}"

    def counters_at(self, key: SiteKey, forward: Forward) -> Counters:
        """The site's counters. A new site takes its place behind the one met before it."""
        counters = self._counters.get(key)
        if counters is None:
            with self._lock:
                counters = self._counters.get(key)
                if counters is None:
                    counters = self._counters[key] = self._make_counters()
                    before = forward.last_site
                    place = self._order.index(before) + 1 if before else len(self._order)
                    self._order.insert(place, key)
        forward.last_site = key
        return counters

    @property
    def stats(self) -> dict[str, ReLUStats]:
        """Statistics of the sites that counted something, in the order of execution."""
        found = {self.name_of(key): self._counters[key].stats for key in list(self._order)}
        return {name: stats for name, stats in found.items() if stats.calls}

    def never_called(self) -> list[str]:
        """Paths of the ReLU modules that were not called since the last reset."""
        called = set(self._met)
        return [
            path
            for module, path in self.paths.items()
            if isinstance(module, _RELU_MODULES) and _is_relu(module) and module not in called
        ]

    def meet(self, module: nn.Module) -> None:
        """Notes that a ReLU was computed in ``module``."""
        self._met.add(module)

    def reset(self) -> None:
        self._met.clear()
        for counters in self._counters.values():
            counters.reset()


def _is_relu(module: nn.Module) -> bool:
    return not isinstance(module, nn.Threshold) or (module.threshold == 0 == module.value)
