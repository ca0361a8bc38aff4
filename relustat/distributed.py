"""Exact sums of counts over the ranks of a process group."""

from __future__ import annotations

import secrets
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import torch
import torch.distributed as dist

from ._messages import named, some
from .stats.counter_layout import BLOCKS, CALLS, ELEMENTS, ZERO_BLOCKS, CounterLayout
from .stats.exact import checked
from .stats.histogram import Int64Array
from .stats.relu_stats import ReLUStats
from .stats.same_layout import Layout, check_alike, described_shard
from .stats.unit_counts import UnitCounts

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["all_reduce"]


def __dir__() -> list[str]:
    return sorted(__all__)


# In milliseconds: for another thread that is ready to run.
_MOST_WAITS = 100


class _Site(NamedTuple):
    """What ranks must know about the counts of a call site before they can add them.

    ``rows`` is the number of histograms (1 or units) by width. ``reduced`` is the name of the
    all_reduce that gave the counts; it is empty if they are one rank's own. ``shard`` says which
    units a layer that is split over ranks has here. ``parts`` is that of the statistics, 0 if
    nothing was counted. ``elements`` are those of all widths; no other count is above them.
    """

    layout: Layout
    rows: dict[int, int]
    reduced: str
    shard: tuple[int, int] | None
    parts: int
    elements: int

    def counter_layout(self, width: int, rows: int) -> CounterLayout:
        bins = len(self.layout.bins) if self.layout.bins is not None else 0
        return CounterLayout(width, rows, bins, self.layout.activation.upper is not None)


_Sites = dict[str, _Site]


@overload
def all_reduce(stats: ReLUStats, group: ProcessGroup | None = None) -> ReLUStats: ...


@overload
def all_reduce(
    stats: Mapping[str, ReLUStats], group: ProcessGroup | None = None
) -> dict[str, ReLUStats]: ...


def all_reduce(
    stats: ReLUStats | Mapping[str, ReLUStats], group: ProcessGroup | None = None
) -> ReLUStats | dict[str, ReLUStats]:
    """The exact sum over all ranks of the counts of one ReLU, or of each call site.

    All ranks of the group call it together. They first exchange the layouts, then all counts in
    one int64 ``all_reduce``, and :attr:`relustat.ReLUStats.calls_since_fired`, whose minimum is
    taken, in another. A rank without call sites (because it saw no data) adds nothing and
    gets the sum. The sum has the widths (numbers of units) of all ranks. It has histograms per unit
    if all ranks have them. If ranks hold shards of a layer's units, as in tensor parallelism, the
    units of all shards lie side by side in the sum, in the shards' order. An error is raised on
    every rank.

    A result can be passed again, on all ranks, and comes back unchanged. This does not hold for
    counts that are derived from it, such as the sum of two results.

    Args:
        stats: this rank's own statistics, of one ReLU or by call site, such as ``watch.stats``. If
            ranks hold different parts of a model, as in a pipeline, their call sites differ: pass
            the ``group`` of the ranks with the same part.
        group: the process group; None: all ranks.

    Returns:
        The same sum on every rank, of the type of ``stats``. Call sites have the order of the
        group's first rank that has any.

    Raises:
        OverflowError: if a sum is no int64.
        RuntimeError: if no process group is initialised.
        TypeError: if a rank passes anything else.
        ValueError: if the call sites of two ranks differ, their bins, or the units of a layer that
            is split over ranks; if some ranks pass a result of ``all_reduce`` and others do not; or
            if this rank is not in ``group``.

    Example:
        >>> import torch, torch.distributed as dist, relustat
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> _, stats = relustat.functional.relu_stats(torch.tensor([[-1.0, 2.0]]))
        >>> relustat.distributed.all_reduce(stats).zeros
        1
        >>> relustat.distributed.all_reduce({"fc.relu": stats})["fc.relu"].zeros
        1
        >>> dist.destroy_process_group()
    """
    if isinstance(stats, ReLUStats):
        return _all_reduce({"": stats}, group)[""]
    return _all_reduce(stats, group)


def _all_reduce(stats: Mapping[str, ReLUStats], group: ProcessGroup | None) -> dict[str, ReLUStats]:
    ranks = _ranks_of(group)
    said: list[Any] = [None] * len(ranks)
    # The first rank's random name becomes the name of this reduction.
    dist.all_gather_object(said, (secrets.token_hex(8), _sites_of(stats)), group=group)
    reduction = said[0][0]
    by_rank = _checked({rank: sites for rank, (_, sites) in zip(ranks, said, strict=True)})
    if not by_rank:
        return {}
    first = next(iter(by_rank))
    merged, begins = {}, {}
    for name in by_rank[first]:
        merged[name], begins[name] = _merged([sites[name] for sites in by_rank.values()])

    counted, since_fired = [], []
    for name, site in merged.items():
        # If ranks have a sum already, one of them sends it to those that saw no data.
        adds = name in stats and (not site.reduced or dist.get_rank() == first)
        mine = stats[name].by_width if adds else {}
        begin = begins[name].get(stats[name].shard, 0) if adds else 0
        for width, rows in site.rows.items():
            layout = site.counter_layout(width, rows)
            # A shard's counts have a width of their own.
            its_width = width if len(begins[name]) == 1 else next(iter(mine), width)
            counts = mine.get(its_width)
            counted.append(_words(counts, layout, begin))
            since_fired.append(_since_fired(counts, width, begin))
    sums = iter(_exchanged(counted, dist.ReduceOp.SUM, group))
    minima = iter(_exchanged(since_fired, dist.ReduceOp.MIN, group))

    reduced = {}
    for name, site in merged.items():
        by_width = {}
        for width in site.rows:
            words = next(sums)
            layout = site.counter_layout(width, 1)
            words[layout.since_fired] = next(minima)
            by_width[width] = UnitCounts.from_counters(words, width, layout.bins, layout.saturates)
        name_of_sum = site.reduced or reduction
        bins, block, activation = site.layout
        parts = max(site.parts, 1)
        reduced[name] = ReLUStats(bins, by_width, name_of_sum, site.shard, parts, block, activation)
    return reduced


def union_of(names: Iterable[str], group: ProcessGroup | None) -> list[str]:
    """The names that any rank of a group has, in the order of the ranks. All ranks call it."""
    said: list[Any] = [None] * len(_ranks_of(group))
    dist.all_gather_object(said, list(names), group=group)
    return list(dict.fromkeys(name for theirs in said for name in theirs))


def _ranks_of(group: ProcessGroup | None) -> list[int]:
    """The group's ranks, as numbered among all ranks."""
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "all_reduce: a process group must be initialised, got none; call "
            "torch.distributed.init_process_group() first, in a script that torchrun starts"
        )
    if dist.get_rank(group) < 0:
        raise ValueError(
            f"all_reduce: this rank must be in the group, got rank {dist.get_rank()}, which is not"
        )
    return dist.get_process_group_ranks(group or dist.group.WORLD)


def _sites_of(stats: object) -> _Sites | str:
    """What the other ranks must know about the statistics, or the type of what is none."""
    # An error that is raised here would leave the other ranks waiting.
    if not isinstance(stats, Mapping):
        return f"a {type(stats).__name__}"
    for name, each in stats.items():
        if not isinstance(each, ReLUStats):
            return f"a {type(each).__name__} for {name!r}"
    return {
        name: _Site(
            each.layout,
            {width: len(counts.slots) for width, counts in each.by_width.items()},
            each.reduction,
            each.shard,
            each.parts if each.by_width else 0,
            each.elements,
        )
        for name, each in stats.items()
    }


def _checked(said: dict[int, _Sites | str]) -> dict[int, _Sites]:
    """The call sites of the ranks that have any. If they differ, all ranks raise the same error."""
    by_rank: dict[int, _Sites] = {}
    for rank, sites in said.items():
        if isinstance(sites, str):
            raise TypeError(
                "all_reduce: stats must be ReLUStats, alone or by the names of their call sites, "
                f"got {sites} on rank {rank}"
            )
        if sites:
            by_rank[rank] = sites
    check_alike(
        "all_reduce",
        "ranks",
        {
            f"rank {rank}": {name: site.layout for name, site in sites.items()}
            for rank, sites in by_rank.items()
        },
    )
    for name in next(iter(by_rank.values()), {}):
        _check_shards(name, {f"rank {rank}": sites[name] for rank, sites in by_rank.items()})
        by_reduction: dict[str, list[str]] = {}
        for rank, sites in by_rank.items():
            by_reduction.setdefault(sites[name].reduced, []).append(f"rank {rank}")
        if len(by_reduction) > 1:
            found = [
                f"{'a result' if reduced else 'own counts'} (of {some(holders)})"
                for reduced, holders in by_reduction.items()
            ]
            raise ValueError(
                "all_reduce: all ranks must pass their own counts, or all the result of one "
                f"all_reduce, got for {named(name)}: {some(found, '; ')}"
            )
        if by_reduction.keys() == {""}:
            elements = sum(sites[name].elements for sites in by_rank.values())
            checked(f"all_reduce: the sum of elements of {named(name)}", elements)
    return by_rank


def _check_shards(name: str, holders: dict[str, _Site]) -> None:
    """Checks that counts are of the same units, or that each unit is in one shard."""
    found: dict[tuple[int, int] | None, dict[str, _Site]] = {}
    for holder, site in holders.items():
        found.setdefault(site.shard, {})[holder] = site
    counts = {shard[1] for shard in found if shard is not None}
    is_split = len(counts) == 1 and set(found) == {(i, n) for n in counts for i in range(n)}
    # A shard of units has one width, whichever rank holds it.
    widths = [{tuple(site.rows) for site in sites.values()} for sites in found.values()]
    if len(found) > 1 and not (
        is_split and all(len(each) == 1 and len(next(iter(each))) == 1 for each in widths)
    ):
        told = [f"{described_shard(shard)} (in {some(sites)})" for shard, sites in found.items()]
        raise ValueError(
            "all_reduce: the ranks must hold the same units of a call site, or all its shards, "
            f"got for {named(name)}: {some(told, '; ')}"
        )


def _merged(sites: list[_Site]) -> tuple[_Site, dict[tuple[int, int] | None, int]]:
    """The layout of the sum of one call site, and where in it the units of each shard begin."""
    rows: dict[int, int] = {}
    if len({site.shard for site in sites}) == 1:
        for site in sites:
            for width, theirs in site.rows.items():
                # As for UnitCounts: histograms per unit only if all ranks have them.
                rows[width] = theirs if rows.get(width, theirs) == theirs else 1
        parts = sites[0].parts if sites[0].reduced else sum(site.parts for site in sites)
        return sites[0]._replace(rows=rows, parts=parts), {sites[0].shard: 0}
    begins: dict[tuple[int, int] | None, int] = {}
    whole = 0
    have_histograms = True
    of_shard: dict[tuple[int, int] | None, int] = {}
    for site in sorted(sites, key=lambda site: site.shard or (0, 0)):
        ((width, theirs),) = site.rows.items()
        have_histograms = have_histograms and theirs == width
        of_shard[site.shard] = of_shard.get(site.shard, 0) + site.parts
        if site.shard not in begins:
            begins[site.shard] = whole
            whole += width
    merged = sites[0]._replace(
        rows={whole: whole if have_histograms else 1}, shard=None, parts=max(of_shard.values())
    )
    return merged, begins


def _words(counts: UnitCounts | None, layout: CounterLayout, begin: int) -> Int64Array:
    """The counts in the layout of counters, int64; all 0 if there are none.

    Args:
        counts: of all units of the layout, or of a shard of them.
        layout: that of the sum.
        begin: the index of the shard's first unit. All shards see the same calls; those of the
            first count.
    """
    words = np.zeros(layout.size, dtype=np.int64)
    if counts is not None:
        units = slice(begin, begin + len(counts.zeros))
        words[CALLS] = counts.calls if begin == 0 else 0
        words[ELEMENTS] = counts.elements
        words[BLOCKS], words[ZERO_BLOCKS] = counts.blocks, counts.zero_blocks
        words[layout.zeros][units] = counts.zeros
        words[layout.dead_calls][units] = counts.dead_calls
        if counts.saturated is not None:
            words[layout.saturated][units] = counts.saturated
        histograms = words[layout.histograms].reshape(layout.rows, -1)
        if len(counts.slots) == len(counts.zeros) and layout.rows > 1:
            histograms[units] = counts.slots
        else:
            histograms[0] = counts.slots.sum(axis=0)
    return words


def _since_fired(counts: UnitCounts | None, units: int, begin: int) -> Int64Array:
    """The calls since each unit fired; where there is no such unit here, more than any other's."""
    since = np.full(units, np.iinfo(np.int64).max)
    if counts is not None:
        since[begin : begin + len(counts.zeros)] = counts.since_fired
    return since


def _exchanged(
    parts: list[Int64Array], op: dist.ReduceOp.RedOpType, group: ProcessGroup | None
) -> list[Int64Array]:
    """The sum or the minimum of each part over the ranks, in one exchange of int64 numbers."""
    if not parts:
        return []
    flat = torch.from_numpy(np.concatenate(parts)).to(_device_of(group))
    dist.all_reduce(flat, op, group)
    sums = flat.numpy(force=True).copy()
    # Gloo's threads need the GIL to free tensors. A script may end before that, and wait for them
    # with the GIL held, in the destructor of DistributedDataParallel:
    # https://github.com/pytorch/pytorch/issues/56297.
    held = weakref.ref(flat)
    del flat
    for _ in range(_MOST_WAITS):
        time.sleep(0.001)
        if held() is None:
            break
    ends = np.cumsum([len(part) for part in parts])
    return np.split(sums, ends[:-1])


def _device_of(group: ProcessGroup | None) -> str:
    """The device on which the group exchanges: the CPU if it can, else its current device."""
    # For example "cpu:gloo,cuda:gloo", or "cuda:nccl", which takes no tensors on the CPU.
    kinds = [pair.partition(":")[0] for pair in dist.get_backend_config(group).split(",")]
    return "cpu" if "cpu" in kinds else kinds[0]
