"""One call site: its counters, and what is known of it."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import TraceTimeAttributes
from relustat._locks import fork_safe_lock
from relustat._torch_internals import unseen_by_dispatch_modes
from relustat.ops.counters import Counters
from relustat.stats.agreement import check_shard
from relustat.stats.counter_layout import TICKS
from relustat.stats.relu_stats import ReLUStats

from .units.of_tensors import Units
from .units.shards import Shard


@dataclasses.dataclass(eq=False)
class Site:
    """A call site and its counters.

    Attributes:
        layers: the layers that made its inputs, in the order of their first calls.
        units: how its units were found; see :class:`relustat.report.call_site.CallSite`.
        shard: which units of the layer this process has, if it does not have all.
        is_chosen: whether its calls are counted; see ``only`` of :func:`relustat.watch`.
        lock: held while a call and its parts by label are counted.
        by_label: the counters of each label; see :mod:`relustat.watching.labels`.
        traced: its attribute ``number``, int64 [], is that of :func:`site_of`. (A graph takes a
            tensor as a variable, and a number as a constant.)
    """

    name: str
    place: str
    path: str
    is_module: bool
    counters: Counters
    units: str
    is_chosen: bool = True
    layers: dict[str, None] = dataclasses.field(default_factory=dict)
    is_in_graph: bool = False
    shard: Shard | None = None
    by_label: dict[int, Counters] = dataclasses.field(default_factory=dict)
    traced: TraceTimeAttributes = dataclasses.field(init=False)
    lock: threading.RLock = dataclasses.field(default_factory=fork_safe_lock)

    def __post_init__(self) -> None:
        self.traced = TraceTimeAttributes(self._number)

    def _number(self, _name: str) -> Tensor:
        number = next(_numbers)
        _sites[number] = self
        with torch.inference_mode(False), unseen_by_dispatch_modes():
            return torch.tensor(number)

    @property
    def stats(self) -> ReLUStats:
        return self._of_shard(self.counters)

    @property
    def stats_by_label(self) -> dict[int, ReLUStats]:
        found = {label: self._of_shard(counters) for label, counters in self.by_label.items()}
        return {label: stats for label, stats in sorted(found.items()) if stats.calls}

    def _of_shard(self, counters: Counters) -> ReLUStats:
        stats = counters.stats
        return ReLUStats(
            stats.bins,
            stats.by_width,
            shard=self.shard,
            block=stats.block,
            activation=stats.activation,
        )

    def counters_of(self, label: int) -> Counters:
        """Those of a label: the call itself decides whether it is counted."""
        of_all = self.counters
        made = Counters(
            of_all.bins,
            unit_histograms=of_all.unit_histograms,
            zero_blocks=of_all.zero_blocks,
            activation=of_all.activation,
        )
        return self.by_label.setdefault(label, made)

    def reset(self) -> None:
        self.counters.reset()
        self.by_label = {}

    @property
    def ticks(self) -> int:
        """The number of calls while counting was on."""
        return sum(int(words[TICKS]) for words in self.counters.saved().values())

    def saved(self) -> dict[str, Any]:
        """The site as tensors, lists, numbers and texts."""
        return {
            "module": self.path,
            "place": self.place,
            "activation": self.counters.activation.to_dict(),
            "is_module": self.is_module,
            "after": list(self.layers),
            "units": self.units,
            "shard": None if self.shard is None else list(self.shard),
            "counters": self.counters.saved(),
            "labels": {label: each.saved() for label, each in self.by_label.items()},
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Replaces all by what :meth:`saved` gave, with texts as keys and arrays.

        Raises:
            KeyError, TypeError, ValueError: if it is no such thing. Then only a part is loaded.
        """
        self.path, self.place = str(saved["module"]), str(saved["place"])
        self.is_module = bool(saved["is_module"])
        self.layers = dict.fromkeys(map(str, saved["after"]))
        self.units = self.units or str(saved["units"])
        self.shard = None
        if saved["shard"] is not None:
            index, count = map(int, saved["shard"])
            self.shard = index, count
            check_shard(self.shard)
        self.counters.load(_by_number(saved["counters"]))
        self.by_label = {}
        for label, each in saved["labels"].items():
            self.counters_of(int(label)).load(_by_number(each))

    def meet(self, units: Units | None, assumed: str) -> None:
        """Stores what is known of an input, and the dimension that is assumed for its units."""
        if units is not None:
            self.shard = units.shard
            if units.layer and units.layer not in self.layers:
                self.layers[units.layer] = None
        if assumed and not self.units:
            self.units = assumed

    def take(self, loaded: Site) -> None:
        """Replaces all counts by those of another site, which was loaded for this one."""
        self.counters.load(loaded.counters.saved())
        self.by_label, self.layers, self.shard = loaded.by_label, loaded.layers, loaded.shard


def _by_number(by_text: Mapping[str, Any]) -> dict[int, Tensor]:
    return {int(text): torch.from_numpy(each) for text, each in by_text.items()}


_numbers = itertools.count()
_sites: weakref.WeakValueDictionary[int, Site] = weakref.WeakValueDictionary()


def site_of(number: int) -> Site:
    """The site with this number."""
    return _sites[number]
