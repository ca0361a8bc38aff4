"""One call site: its counters, and what is known of it."""

from __future__ import annotations

import dataclasses
import itertools
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import TraceTimeAttributes
from relustat._torch_internals import unseen_by_dispatch_modes
from relustat.ops.counters import Counters
from relustat.stats.bins import Bins
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
    layers: dict[str, None] = dataclasses.field(default_factory=dict)
    is_in_graph: bool = False
    shard: Shard | None = None
    by_label: dict[int, Counters] = dataclasses.field(default_factory=dict)
    traced: TraceTimeAttributes = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.traced = TraceTimeAttributes(self._number)

    def _number(self, _name: str) -> Tensor:
        number = next(_numbers)
        _by_number[number] = self
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
        return ReLUStats(stats.bins, stats.by_width, shard=self.shard, block=stats.block)

    def counters_of(self, label: int) -> Counters:
        """Those of a label: the call itself decides whether it is counted."""
        of_all = self.counters
        made = Counters(
            of_all.bins, unit_histograms=of_all.unit_histograms, zero_blocks=of_all.zero_blocks
        )
        return self.by_label.setdefault(label, made)

    def reset(self) -> None:
        self.counters.reset()
        self.by_label = {}

    def saved(self) -> dict[str, Any]:
        """The site as tensors, numbers and texts."""
        return {
            "module": self.path,
            "place": self.place,
            "is_module": self.is_module,
            "after": list(self.layers),
            "units": self.units,
            "shard": None if self.shard is None else list(self.shard),
            "bins": _described(self.counters.bins),
            "block": self.counters.zero_blocks,
            "counters": _with_texts(self.counters.saved()),
            "labels": _with_texts(
                {label: _with_texts(each.saved()) for label, each in self.by_label.items()}
            ),
        }

    def check_saved(self, saved: Mapping[str, Any]) -> None:
        """Raises ValueError unless :meth:`load` can take ``saved``."""
        if saved["bins"] != _described(self.counters.bins):
            raise ValueError(
                f"load_state_dict: the bins must be those of the watch, {self.counters.bins}, got "
                f"{saved['bins']} for {self.name!r}"
            )
        if saved["block"] != self.counters.zero_blocks:
            raise ValueError(
                f"load_state_dict: zero_blocks must be that of the watch, "
                f"{self.counters.zero_blocks}, got {saved['block']} for {self.name!r}"
            )
        for each in (saved["counters"], *saved["labels"].values()):
            self.counters.check_saved(_with_numbers(each))

    def load(self, saved: Mapping[str, Any]) -> None:
        self.counters.load(_with_numbers(saved["counters"]))
        self.by_label = {}
        for label, each in saved["labels"].items():
            self.counters_of(int(label)).load(_with_numbers(each))
        self.layers.update(dict.fromkeys(saved["after"]))
        self.units = self.units or saved["units"]
        self.shard = None if saved["shard"] is None else (saved["shard"][0], saved["shard"][1])

    def meet(self, units: Units | None, assumed: str) -> None:
        """Stores what is known of an input, and the dimension that is assumed for its units."""
        if units is not None:
            self.shard = units.shard
            if units.layer and units.layer not in self.layers:
                self.layers[units.layer] = None
        if assumed and not self.units:
            self.units = assumed


def _described(bins: Bins | None) -> dict[str, Any] | None:
    return None if bins is None else bins.to_dict()


_numbers = itertools.count()
_by_number: weakref.WeakValueDictionary[int, Site] = weakref.WeakValueDictionary()


def site_of(number: int) -> Site:
    """The site with this number."""
    return _by_number[number]


def _with_texts(by_number: Mapping[int, Any]) -> dict[str, Any]:
    # Checkpoints of several ranks need texts as keys.
    return {str(number): each for number, each in by_number.items()}


def _with_numbers(by_text: Mapping[str, Any]) -> dict[int, Any]:
    return {int(number): each for number, each in by_text.items()}
