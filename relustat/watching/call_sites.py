"""The call sites of a model, where ReLUs are computed: their order and their counters."""

from __future__ import annotations

import dataclasses
import operator
import threading
from collections.abc import Callable, Collection
from typing import Protocol

import torch

from relustat._dynamo import (
    ComptimeContext,
    TraceTimeAttributes,
    comptime,
    inline_in_graph,
    traced_constant,
    traced_object,
)
from relustat.ops.counters import Counters
from relustat.stats.relu_stats import ReLUStats

from .call_names import SiteKey, site_name


@dataclasses.dataclass(eq=False)
class Site:
    """A call site and its counters."""

    name: str
    counters: Counters


class LastSite(Protocol):
    """The part of a forward pass that tells the order of call sites."""

    last_site: str | None


@inline_in_graph
class CallSites:
    """The call sites of one model, in the order in which they are found.

    Args:
        paths: the paths of the model's modules.
        make_counters: called once for each site.
        order: the names of sites in the order of execution, as far as it is known. New names are
            added. (A graph that was traced for another watch does not show the order again.)
    """

    def __init__(
        self, paths: Collection[str], make_counters: Callable[[], Counters], order: list[str]
    ) -> None:
        self._taken = frozenset(paths)
        self._make_counters = make_counters
        self._sites: dict[SiteKey, Site] = {}
        self._order = order
        self._counting = True
        self._lock = threading.Lock()
        self._traced = TraceTimeAttributes(self._materialise)

    def at(self, key: SiteKey, forward: LastSite) -> Site:
        """The site of a key. A new site comes after the one before it in this forward."""
        before = forward.last_site
        if torch.compiler.is_dynamo_compiling():
            # The number of calls before is not a variable of the graph.
            attribute = _attribute_of(key.path, key.is_module, operator.index(key.call))
            comptime(_meet_in_trace)
            site: Site = getattr(self._traced, attribute)
        else:
            site = self._sites.get(key) or self._meet(key, before)
        forward.last_site = site.name
        return site

    def _meet(self, key: SiteKey, before: str | None) -> Site:
        with self._lock:
            site = self._sites.get(key)
            if site is None:
                site = Site(site_name(key, self._taken), self._make_counters())
                site.counters.enabled = self._counting
                if site.name not in self._order:
                    index = self._order.index(before) + 1 if before else len(self._order)
                    self._order.insert(index, site.name)
                self._sites[key] = site
            return site

    def _materialise(self, attribute: str) -> Site:
        return self._meet(_key_of(attribute), None)

    @property
    def stats(self) -> dict[str, ReLUStats]:
        """Statistics of the sites that have counts, in the order of execution."""
        sites = {site.name: site for site in list(self._sites.values())}
        found = {name: sites[name].counters.stats for name in list(self._order) if name in sites}
        return {name: stats for name, stats in found.items() if stats.calls}

    def modules_called(self) -> set[str]:
        """Paths of the ReLU modules that have counts, or are in a graph."""
        traced = vars(self._traced)
        return {
            key.path
            for key, site in list(self._sites.items())
            if key.is_module and (site.counters.stats.calls or _attribute_of(*key) in traced)
        }

    @property
    def counting(self) -> bool:
        """Whether calls are counted: words on the device, so no compiled graph changes with it."""
        return self._counting

    @counting.setter
    def counting(self, counting: bool) -> None:
        with self._lock:
            self._counting = counting
            for site in list(self._sites.values()):
                site.counters.enabled = counting

    def reset(self) -> None:
        for site in list(self._sites.values()):
            site.counters.reset()


# The names of attributes have no dots, and each path has a name of its own.


@torch.compiler.assume_constant_result
def _attribute_of(path: str, is_module: bool, call: int) -> str:
    return f"{'module' if is_module else 'functional'}_{call}_{path.encode().hex()}"


def _key_of(attribute: str) -> SiteKey:
    kind, call, path = attribute.split("_")
    return SiteKey(bytes.fromhex(path).decode(), kind == "module", int(call))


def _meet_in_trace(context: ComptimeContext) -> None:
    sites: CallSites = traced_object(context, "self")
    attribute = traced_constant(context, "attribute")
    sites._meet(_key_of(attribute), traced_constant(context, "before"))
    getattr(sites._traced, attribute)
