"""The counts of all ranks, as one rank knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from relustat import distributed
from relustat.stats.relu_stats import ReLUStats

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Reduced:
    """What the last ``all_reduce`` gave, and what this rank has counted since.

    A layer whose units are split over ranks stays as it was then.
    """

    def __init__(
        self, sums: Mapping[str, tuple[ReLUStats, ReLUStats | None]] | None = None
    ) -> None:
        # By call site: the counts of all ranks, and this rank's own at that time.
        self._sums = dict(sums or {})

    @classmethod
    def of(cls, own: Mapping[str, ReLUStats], group: ProcessGroup | None) -> Reduced:
        """The sum of the counts of all ranks; see :func:`relustat.distributed.all_reduce`."""
        total = distributed.all_reduce(own, group)
        return cls({name: (stats, own.get(name)) for name, stats in total.items() if stats.calls})

    def with_others(self, own: Mapping[str, ReLUStats]) -> dict[str, ReLUStats]:
        """The counts of all ranks then, and after them those of this rank since."""
        stats = dict(own)
        for name, (total, before) in self._sums.items():
            mine = own.get(name)
            if mine is None or (before is not None and total.shard != before.shard):
                stats[name] = total
            else:
                stats[name] = total.then(mine if before is None else mine - before)
        return stats

    @property
    def call_sites(self) -> frozenset[str]:
        """Those that any rank had."""
        return frozenset(self._sums)
