"""The places of a model at which ReLUs are computed: their names, order and counters."""

from __future__ import annotations

import dataclasses
import operator
import threading
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import NamedTuple, Protocol

import torch

from .compiling import no_graph_of_its_own
from .counters import Counters
from .stats import ReLUStats


class SiteKey(NamedTuple):
    """A call site: the ``call``-th call, within one forward, of or in the module at ``path``."""

    path: str
    is_module: bool
    call: int


@dataclasses.dataclass(eq=False)
class Site:
    """A call site, and what it counts."""

    name: str
    counters: Counters


class Forward(Protocol):
    """What is known of the forward in which a site is met."""

    last_site: str | None


@no_graph_of_its_own
class CallSites:
    """The call sites of one model, found as they are met.

    Args:
        paths: of the model's modules.
        make_counters: called once for each site.
    """

    def __init__(self, paths: Collection[str], make_counters: Callable[[], Counters]) -> None:
        self._taken = frozenset(paths)
        self._make_counters = make_counters
        self._sites: dict[SiteKey, Site] = {}
        self._order: list[str] = []
        self._counting = True
        self._lock = threading.Lock()
        self._traced = SimpleNamespace()

    def name_of(self, key: SiteKey) -> str:
        """The site's name: no other site and no module of the model has it.

        The module's path, or ``<path>.relu`` for a functional call; ``_<call>`` from the second
        call on. Where a module bears that name already, an underscore is put before the number, or
        ``functional_`` before ``relu``.
        """
        if key.is_module:
            base = key.path or "relu"
        else:
            prefix = f"{key.path}." if key.path else ""
            base = f"{prefix}relu"
            if base in self._taken:
                base = f"{prefix}functional_relu"
        if not key.call:
            return base
        separator = "_"
        while f"{base}{separator}{key.call}" in self._taken:
            separator += "_"
        return f"{base}{separator}{key.call}"

    def at(self, key: SiteKey, forward: Forward) -> Site:
        """The site. A new one takes its place behind the one met before it."""
        if torch.compiler.is_compiling():
            # The number of calls before is no variable of the graph.
            call = operator.index(key.call)
            attribute = _show_to_compiler(self, key.path, key.is_module, call, forward.last_site)
            site: Site = getattr(self._traced, attribute)
        else:
            site = self._sites.get(key) or self._add(key, forward.last_site)
        forward.last_site = site.name
        return site

    def _add(self, key: SiteKey, before: str | None) -> Site:
        with self._lock:
            site = self._sites.get(key)
            if site is None:
                site = Site(self.name_of(key), self._make_counters())
                site.counters.enabled = self._counting
                place = self._order.index(before) + 1 if before else len(self._order)
                self._order.insert(place, site.name)
                self._sites[key] = site
            return site

    @property
    def stats(self) -> dict[str, ReLUStats]:
        """Statistics of the sites that counted something, in the order of execution."""
        sites = {site.name: site for site in list(self._sites.values())}
        found = {name: sites[name].counters.stats for name in list(self._order)}
        return {name: stats for name, stats in found.items() if stats.calls}

    def modules_called(self) -> set[str]:
        """Paths of the ReLU modules whose calls counted something."""
        return {
            key.path
            for key, site in list(self._sites.items())
            if key.is_module and site.counters.stats.calls
        }

    @property
    def counting(self) -> bool:
        """Whether calls are counted. Words on the device: no compiled graph changes with it."""
        return self._counting

    @counting.setter
    def counting(self, counting: bool) -> None:
        with self._lock:
            self._counting = counting
            for site in self._sites.values():
                site.counters.enabled = counting

    def reset(self) -> None:
        for site in list(self._sites.values()):
            site.counters.reset()


@torch.compiler.assume_constant_result
def _show_to_compiler(
    sites: CallSites, path: str, is_module: bool, call: int, before: str | None
) -> str:
    """Makes a site exist before a graph is traced that counts there.

    As an attribute: of a dict, the compiler would not see what is added in the midst of a trace.

    Returns:
        The name under which ``sites._traced`` has it.
    """
    site = sites._add(SiteKey(path, is_module, call), before)
    for name, shown in vars(sites._traced).items():
        if shown is site:
            return name
    name = f"site_{len(vars(sites._traced))}"
    setattr(sites._traced, name, site)
    return name
