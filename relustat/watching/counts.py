"""What a watch has counted: of this rank and of all ranks, by epoch and by group."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from relustat import distributed
from relustat._messages import named, some
from relustat.history.history import History
from relustat.stats.relu_stats import ReLUStats

from .call_sites import CallSites
from .groups import Groups, Stats
from .reduced import Reduced
from .saved_state import (
    VERSION,
    as_arrays,
    as_tensors,
    check_is_of_model,
    check_is_state,
    parameter_sizes,
)

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Counts:
    """The counts of the call sites of one model.

    Args:
        model: the model.
        paths: the paths of its modules.
        sites: its call sites, where this rank counts.

    Attributes:
        history: the epochs that :meth:`snapshot` added.
    """

    def __init__(self, model: nn.Module, paths: set[str], sites: CallSites) -> None:
        self._model = model
        self._paths = paths
        self._sites = sites
        self._reduced = Reduced()
        self._reduced_groups: dict[str, Reduced] = {}
        self._groups = Groups(lambda: self._sites.stats)
        self._at_snapshot: Stats = {}
        self.history = History()

    @property
    def stats(self) -> Stats:
        return self._reduced.with_others(self._sites.stats)

    @property
    def groups(self) -> dict[str, Stats]:
        """The statistics of each group: of named blocks first, then of labels."""
        own = self._own_groups()
        return {
            name: self._reduced_groups.get(name, Reduced()).with_others(own.get(name, {}))
            for name in dict.fromkeys((*own, *self._reduced_groups))
        }

    def _own_groups(self) -> dict[str, Stats]:
        labels = {str(label): stats for label, stats in self._sites.stats_by_label.items()}
        return {**self._groups.stats, **labels}

    @property
    def sites_of_other_ranks(self) -> frozenset[str]:
        return self._reduced.call_sites

    def all_reduce(self, group: ProcessGroup | None) -> None:
        own = self._sites.stats
        self._reduced.reduce(own, group)
        groups = self._own_groups()
        for name in distributed.union_of(groups, group):
            self._reduced_groups.setdefault(name, Reduced()).reduce(groups.get(name, {}), group)

    def group(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._groups.block(name)

    def snapshot(self, epoch: int) -> None:
        now, before = self.stats, self._at_snapshot
        since = {
            name: stats - before[name] if name in before else stats for name, stats in now.items()
        }
        noted = self.history.spans
        try:
            self._at_snapshot = now
            self.history.add(epoch, since)
        finally:
            if self.history.spans is noted:
                self._at_snapshot = before

    def reset(self) -> None:
        self._reduced, self._reduced_groups = Reduced(), {}
        self._at_snapshot = {}
        self._sites.reset()
        self._groups.reset()

    def state_dict(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "parameters": parameter_sizes(self._model),
            "call_sites": self._sites.saved(),
            "groups": {name: _packed(stats) for name, stats in self._groups.stats.items()},
            "at_snapshot": _packed(self._at_snapshot),
            "history": as_tensors(self.history.to_dict()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_is_state(state)
        try:
            check_is_of_model(self._model, state)
            self._check_sites(state)
            groups = {name: _unpacked(stats) for name, stats in state["groups"].items()}
            at_snapshot = _unpacked(state["at_snapshot"])
            history = History.from_dict(as_arrays(state["history"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"load_state_dict: state must be what state_dict() returned, got {error!r}"
            ) from error
        self.reset()
        self._sites.load(state["call_sites"])
        self._groups.load(groups)
        self._at_snapshot, self.history = at_snapshot, history

    def _check_sites(self, state: Mapping[str, Any]) -> None:
        sites = state["call_sites"]
        modules = {site["module"] for site in sites.values()}
        if modules and not modules & self._paths:
            raise ValueError(
                "load_state_dict: the state must be of this model, got call sites of modules that "
                f"it has not: {some(map(named, modules))}"
            )
        self._sites.check_saved(sites)


def _packed(stats: Stats) -> dict[str, Any]:
    return {site: as_tensors(each.to_dict()) for site, each in stats.items()}


def _unpacked(state: Mapping[str, Any]) -> Stats:
    return {site: ReLUStats.from_dict(as_arrays(each)) for site, each in state.items()}
