"""What a watch has counted: of this rank and of all ranks, by epoch and by group."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from relustat import distributed
from relustat._whole import make_whole
from relustat.history.history import History
from relustat.stats.relu_stats import ReLUStats

from .call_sites import CallSites
from .groups import Groups, Stats
from .reduced import Reduced
from .saved_state import (
    check_options,
    check_parameters,
    check_unchanged,
    packed,
    parameter_sizes,
    unpacked,
)

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Counts:
    """The counts of the call sites of one model.

    Args:
        model: the model.
        sites: its call sites, where this rank counts.
        options: those of the watch, as texts: a state must have the same.

    Attributes:
        history: the epochs that :meth:`snapshot` added.
    """

    def __init__(self, model: nn.Module, sites: CallSites, options: Mapping[str, Any]) -> None:
        self._model = model
        self._sites = sites
        self._options = options
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
        groups = self._groups.stats
        labels = {
            str(label) if str(label) not in groups else f"label {label}": stats
            for label, stats in self._sites.stats_by_label.items()
        }
        return {**groups, **labels}

    @property
    def sites_of_other_ranks(self) -> frozenset[str]:
        return self._reduced.call_sites

    def all_reduce(self, group: ProcessGroup | None) -> None:
        own, groups = self._sites.stats, self._own_groups()
        # First: only all_reduce waits until Gloo has freed its tensors.
        names = distributed.union_of(groups, group)
        reduced = Reduced.of(own, group)
        of_groups = {}
        for name in names:
            # A group may have met fewer call sites on one rank than on another.
            nothing = {
                site: ReLUStats(each.bins, {}, block=each.block, activation=each.activation)
                for site, each in own.items()
                if each.shard is None
            }
            of_groups[name] = Reduced.of({**nothing, **groups.get(name, {})}, group)
        self._reduced, self._reduced_groups = reduced, of_groups

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
        return packed(
            {
                "parameters": parameter_sizes(self._model),
                "options": self._options,
                "call_sites": self._sites.saved(),
                "groups": {name: _as_dicts(stats) for name, stats in self._groups.stats.items()},
                "at_snapshot": _as_dicts(self._at_snapshot),
                "history": self.history.to_dict(),
            }
        )

    def load_state_dict(self, state: Any) -> None:
        try:
            saved = unpacked(state)
            check_parameters(self._model, saved["parameters"])
            check_options(self._options, saved["options"])
            sites = self._sites.loaded(saved["call_sites"])
            groups = {name: _from_dicts(stats) for name, stats in saved["groups"].items()}
            at_snapshot = _from_dicts(saved["at_snapshot"])
            history = History.from_dict(saved["history"])
            check_unchanged(state)
        # What is broken can be broken in many ways.
        except Exception as error:
            if isinstance(error, ValueError) and str(error).startswith("load_state_dict: "):
                raise
            raise ValueError(
                f"load_state_dict: state must be what state_dict() returned ({error!r})"
            ) from error

        def change() -> None:
            self.reset()
            self._sites.load(saved["call_sites"], sites)
            self._groups.load(groups)
            self._at_snapshot, self.history = at_snapshot, history

        make_whole(change)


def _as_dicts(stats: Stats) -> dict[str, Any]:
    return {site: each.to_dict() for site, each in stats.items()}


def _from_dicts(state: Mapping[str, Any]) -> Stats:
    return {site: ReLUStats.from_dict(each) for site, each in state.items()}
