"""The call sites of a model, where ReLUs are computed: their order and their counters."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from relustat._dynamo import (
    TraceTimeAttributes,
    attribute_of,
    comptime,
    inline_in_graph,
    traced_constant,
    traced_object,
    values_of,
)
from relustat._locks import fork_safe_lock
from relustat._messages import named, some
from relustat._patterns import NameChoice
from relustat._whole import make_whole
from relustat.ops.counters import Counters
from relustat.report.call_site import CallSite
from relustat.stats.activation import Activation
from relustat.stats.relu_stats import ReLUStats

from .call_names import CallPlace
from .site import Site
from .units.of_tensors import Units
from .units.shards import decoded_shard

if TYPE_CHECKING:
    from relustat._dynamo import ComptimeContext


class TracedCall(NamedTuple):
    """What is known of a ReLU in a graph that is traced.

    Attributes:
        place: its encoded :class:`CallPlace`.
        dims: the unit dimensions of its input; None if they are not known.
        layer: the layer that made its input; empty if it is not known.
        assumed: the dimension that is assumed to have the units, if they are not known.
        shard: which units of the layer this process has, encoded.
    """

    place: str
    dims: tuple[int, ...] | None
    layer: str
    assumed: str
    shard: str


class LastSite(Protocol):
    """The part of a forward pass that tells the order of call sites."""

    last_site: str | None


@inline_in_graph
class CallSites:
    """The call sites of one model, in the order in which they are found.

    Args:
        paths: the paths of the model's modules.
        make_counters: called once for each site, with its name and activation. It gives its
            counters, and "given" if the user has said which dimension its units are.
        choice: the names of the sites that are counted.
        are_apart: whether each repeated call of one place has a site.
        order: the names of sites in the order of execution, as far as it is known. New names are
            added. (A graph that was traced for another watch does not show the order again.)

    Attributes:
        seen: the paths of the modules in which a ReLU was computed, counted or not.
    """

    def __init__(
        self,
        paths: Collection[str],
        make_counters: Callable[[str, Activation], tuple[Counters, str]],
        order: list[str],
        *,
        choice: NameChoice,
        are_apart: bool,
    ) -> None:
        self._taken = frozenset(paths)
        self._make_counters = make_counters
        self._sites: dict[tuple[str, int], Site] = {}
        self._order = order
        self._choice = choice
        self._are_apart = are_apart
        self._counting = True
        self.seen: set[str] = set()
        # Those of load() that were not met since.
        self._loaded: dict[str, Site] = {}
        self._ticks_loaded: dict[str, int] | None = None
        self._lock = fork_safe_lock()
        self._traced = TraceTimeAttributes(self._materialise)

    def at(self, place: str, repeat: int, forward: LastSite) -> Site:
        """The site of a call. A new site comes after the one before it in this forward.

        Args:
            place: the encoded :class:`CallPlace`.
            repeat: the number of its calls before.
            forward: the forward pass.
        """
        site = self._sites.get((place, repeat)) or self._meet(place, repeat, forward.last_site)
        forward.last_site = site.name
        return site

    def at_traced(self, call: TracedCall, repeat: int, forward: LastSite) -> Site:
        """:meth:`at` in a graph that is traced. It also stores what is known of the input."""
        before = forward.last_site  # noqa: F841
        # The number of calls before is not a variable of the graph.
        attribute = attribute_of(
            call.place, operator.index(repeat), call.layer, call.assumed, call.shard
        )
        comptime()(_meet_in_trace)
        site: Site = getattr(self._traced, attribute)
        forward.last_site = site.name
        return site

    def _meet(self, encoded: str, repeat: int, before: str | None) -> Site:
        place = CallPlace.decoded(encoded)
        # The calls of one place, if they are not apart, and if it has not several names.
        shared = repeat if self._are_apart else repeat % len(place.paths)
        with self._lock:
            site = self._sites.get((encoded, shared))
            if site is None:
                name = self._free(place.name(shared, self._taken))
                first = place.name(repeat % len(place.paths), self._taken)
                site = self._taken_or_new(name, Activation.decoded(place.activation))
                site.place, site.path, site.is_module = first, place.path(shared), place.is_module
                if site.name not in self._order:
                    index = self._order.index(before) + 1 if before else len(self._order)
                    self._order.insert(index, site.name)
                self._sites[encoded, shared] = site
            self._sites[encoded, repeat] = site
            return site

    def _taken_or_new(self, name: str, activation: Activation) -> Site:
        """A site that was loaded, if it is of this activation, or a new one."""
        loaded = self._loaded.get(name)
        if loaded is not None and loaded.counters.activation == activation:
            return self._loaded.pop(name)
        return self._new(name, activation)

    def _new(self, name: str, activation: Activation) -> Site:
        counters, units = self._make_counters(name, activation)
        counters.enabled = self._counting
        return Site(name, name, "", False, counters, units, self._choice.takes(name))

    def _unique(self) -> list[Site]:
        """Each site once, in the order in which they were found."""
        return list(dict.fromkeys([*list(self._sites.values()), *list(self._loaded.values())]))

    def _free(self, name: str) -> str:
        """A name that no site has. Two places with one name are not known, but might be."""
        names = {site.name for site in self._unique()} - self._loaded.keys()
        while name in names:
            name = f"{name}'"
        return name

    def _materialise(self, attribute: str) -> Site:
        return self._meet_traced(attribute, None)

    def _meet_traced(self, attribute: str, before: str | None) -> Site:
        place, repeat, layer, assumed, shard = values_of(attribute)
        site = self._meet(place, repeat, before)
        site.meet(Units(None, layer, (), decoded_shard(shard)), assumed)
        site.is_in_graph = True
        return site

    @property
    def stats(self) -> dict[str, ReLUStats]:
        """Statistics of the sites that have counts, in the order of execution."""
        return {site.name: stats for site, stats in self._counted()}

    @property
    def stats_by_label(self) -> dict[int, dict[str, ReLUStats]]:
        """Statistics by label and site, in the order of labels and of execution."""
        found: dict[int, dict[str, ReLUStats]] = {}
        for site, _ in self._counted():
            for label, stats in site.stats_by_label.items():
                found.setdefault(label, {})[site.name] = stats
        return dict(sorted(found.items()))

    @property
    def described(self) -> dict[str, CallSite]:
        """Where the sites are, in the order in which they were found."""
        return {
            site.name: CallSite(site.path, site.place, tuple(site.layers), site.units)
            for site in self._unique()
        }

    @property
    def left_out(self) -> list[str]:
        """The names of the sites that were met and not chosen."""
        return [site.name for site in self._unique() if not site.is_chosen]

    def _counted(self) -> list[tuple[Site, ReLUStats]]:
        sites = {site.name: site for site in self._unique()}
        found = [(sites[name], sites[name].stats) for name in list(self._order) if name in sites]
        return [(site, stats) for site, stats in found if stats.calls]

    def modules_called(self) -> set[str]:
        """Paths of the ReLU modules that have counts, or are in a graph."""
        return {
            site.path
            for site in self._unique()
            if site.is_module and (site.counters.stats.calls or site.is_in_graph)
        }

    @property
    def counting(self) -> bool:
        """Whether calls are counted: words on the device, so no compiled graph changes with it."""
        return self._counting

    @counting.setter
    def counting(self, counting: bool) -> None:
        def change() -> None:
            self._counting = counting
            for site in self._unique():
                site.counters.enabled = counting

        with self._lock:
            make_whole(change)

    def reset(self) -> None:
        for site in self._unique():
            site.reset()
        self.seen = set()
        self._ticks_loaded = None

    def saved(self) -> dict[str, Any]:
        """All sites as tensors, lists, numbers and texts."""
        sites = {site.name: site.saved() for site in self._unique()}
        return {"sites": sites, "order": list(self._order), "seen": sorted(self.seen)}

    def loaded(self, saved: Mapping[str, Any]) -> dict[str, Site]:
        """New sites of what :meth:`saved` gave, for :meth:`load`.

        Raises:
            KeyError, TypeError, ValueError: if it is no such thing.
        """
        sites = {
            name: self._new(name, Activation.from_dict(state.get("activation")))
            for name, state in saved["sites"].items()
        }
        for name, site in sites.items():
            site.load(saved["sites"][name])
        modules = {site.path for site in sites.values()}
        if modules and not modules & self._taken:
            raise ValueError(
                "load_state_dict: the state must be of this model, got call sites of modules that "
                f"it has not: {some(map(named, modules))}"
            )
        return sites

    def load(self, saved: Mapping[str, Any], sites: dict[str, Site]) -> None:
        """Replaces all counts by those of the sites that :meth:`loaded` gave."""
        with self._lock:
            self._loaded = {}
            met = {site.name: site for site in self._unique()}
            for name, site in met.items():
                site.reset()
                if name in sites and sites[name].counters.activation == site.counters.activation:
                    site.take(sites[name])
            self._loaded = {name: site for name, site in sites.items() if name not in met}
            order = list(map(str, saved["order"]))
            self._order[:] = [*order, *(name for name in self._order if name not in order)]
            self.seen = set(saved["seen"])
            self._ticks_loaded = {name: site.ticks for name, site in sites.items()}

    def changed(self) -> Iterator[tuple[str, str]]:
        """The sites of which either the loaded state or the model knows nothing, and which."""
        loaded = self._ticks_loaded
        if loaded is None:
            return
        sites = [site for site in self._unique() if site.is_chosen]
        is_called = any(site.ticks != loaded.get(site.name) for site in sites)
        for site in sites:
            if site.name not in loaded:
                yield site.name, "not in the state that was loaded"
            elif is_called and site.ticks == loaded[site.name]:
                yield site.name, "not called since the state was loaded"


def _meet_in_trace(context: ComptimeContext) -> None:
    sites: CallSites = traced_object(context, "self")
    attribute = traced_constant(context, "attribute")
    sites._meet_traced(attribute, traced_constant(context, "before"))
    getattr(sites._traced, attribute)
