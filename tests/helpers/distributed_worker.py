"""One rank of what test_distributed.py starts: runs all cases, writes what came out as JSON.

torchrun --nproc-per-node=N tests/helpers/distributed_worker.py FOLDER
"""

import copy
import datetime
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from distributed_models import (
    BINS,
    STEPS,
    batch,
    net,
    numbers,
    own,
    record_inputs,
    record_outputs,
    shard,
    split_net,
    step,
    train_beside_plain,
)
from torch import nn
from torch.distributed.algorithms.join import Join
from torch.nn.parallel import DistributedDataParallel

import relustat
from relustat import LogBins, ReLUStats
from relustat.distributed import all_reduce
from relustat.stats.unit_counts import UnitCounts

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def error_of(call):
    try:
        call()
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


@case
def ddp_swap():
    return train_beside_plain(DistributedDataParallel, "swap")


@case
def ddp_watch():
    return train_beside_plain(DistributedDataParallel, "watch")


@case
def ddp_watch_wrapper():
    return train_beside_plain(DistributedDataParallel, "watch wrapper")


@case
def fsdp_swap():
    return train_beside_plain(shard, "swap")


@case
def fsdp_watch():
    return train_beside_plain(shard, "watch")


@case
def uneven_batches():
    """Rank r trains r + 1 batches, the last of them short."""
    rank = dist.get_rank()
    counting, plain = net(), net()
    seen = record_inputs(plain)
    watch = relustat.watch(counting, BINS)
    for model in (DistributedDataParallel(plain), DistributedDataParallel(counting)):
        with Join([model]):
            for index in range(rank + 1):
                step(model, batch(rank, index, size=4 if index < rank else 1))
    return {"seen": seen, "own": numbers(watch.stats), "reduced": numbers(all_reduce(watch.stats))}


@case
def a_rank_without_data():
    model = net()
    with relustat.watch(model, BINS) as watch:
        if dist.get_rank() != dist.get_world_size() - 1:
            model(batch(dist.get_rank(), 0))
    reduced = all_reduce(watch.stats)
    return {
        "own": numbers(watch.stats),
        "reduced": numbers(reduced),
        # Now that rank has a result, and passes nothing again.
        "again": numbers(all_reduce(reduced if watch.stats else {})),
        "of_no_rank": numbers(all_reduce({})),
    }


@case
def one_relu():
    """One ReLU's statistics by themselves; the last rank's ReLU saw nothing."""
    relu = relustat.CountingReLU(bins=BINS)
    if dist.get_rank() != dist.get_world_size() - 1:
        relu(torch.randn(4, 3, generator=torch.Generator().manual_seed(dist.get_rank())))
    reduced = all_reduce(relu.stats)
    again = all_reduce(reduced)
    copies = [
        pickle.loads(pickle.dumps(reduced)),
        copy.deepcopy(reduced),
        # The sum of a sum is the same sum.
        again if dist.get_rank() == 0 else reduced,
    ]
    return {
        "reduced": numbers({"": reduced}),
        "again": numbers({"": again}),
        "copies": [numbers({"": all_reduce(each)}) for each in copies],
        "equals_own": reduced == sum([reduced, ReLUStats(BINS, {})]),
        # What is derived from a result is no result.
        "twice": numbers({"": all_reduce(reduced + reduced)}),
    }


@case
def unlike_call_sites():
    mine, names = (
        own(),
        ["shared", "first", "second"] if dist.get_rank() == 0 else ["shared", "other"],
    )
    return {
        "error": error_of(lambda: all_reduce(dict.fromkeys(names, mine))),
        "afterwards": numbers(all_reduce({"shared": mine})),
    }


@case
def many_unlike_call_sites():
    names = [f"site{index}" for index in range(9)] if dist.get_rank() == 0 else ["site0"]
    return {"error": error_of(lambda: all_reduce(dict.fromkeys(names, own())))}


@case
def unlike_bins():
    mine = own(bins=BINS if dist.get_rank() == 0 else LogBins())
    alike = own(bins=None)
    return {
        "error": error_of(lambda: all_reduce({"alike": alike, "unlike": mine})),
        "error_of_one": error_of(lambda: all_reduce(mine)),
        "afterwards": numbers(all_reduce({"alike": alike})),
    }


@case
def not_statistics():
    bad = [None, {"a": 3}, {"a": own()}][min(dist.get_rank(), 2)]
    return {
        "error": error_of(lambda: all_reduce(bad)),
        "afterwards": numbers(all_reduce({"a": own()})),
    }


@case
def some_reduced():
    mine, first = own(), dist.get_rank() == 0
    reduced, other = all_reduce(mine), all_reduce(mine + mine)
    return {
        "error": error_of(lambda: all_reduce({"a": mine, "b": reduced if first else mine})),
        "error_of_two": error_of(lambda: all_reduce(reduced if first else other)),
        # Site by site.
        "mixed": numbers(all_reduce({"a": mine, "b": reduced})),
    }


@case
def unlike_widths():
    """Rank r saw 3 units and r + 4."""
    rank = dist.get_rank()
    return numbers(all_reduce({"a": own() + own(shape=(2, rank + 4))}))


@case
def unit_histograms():
    return {
        "all": numbers(all_reduce({"a": own(unit_histograms=True)})),
        "some": numbers(all_reduce({"a": own(unit_histograms=dist.get_rank() == 0)})),
    }


@case
def order_of_call_sites():
    """Rank 0 saw no data, rank 1's order counts."""
    names = [[], ["b", "a", "c"], ["c", "b", "a"]][dist.get_rank()]
    return list(all_reduce({name: own() for name in names}))


@case
def many_counts():
    """Sums beyond what int32, float32 and float64 hold."""
    rank, stats = dist.get_rank(), {}
    for name, elements in (("int32", 2**30 + rank), ("float32", 2**24 + 1), ("float64", 2**60 + 1)):
        stats[name] = silent(2**24 + 1, elements)
    return numbers(all_reduce(stats))


@case
def too_many_counts():
    """A sum beyond int64, in a call site of two."""
    stats = {"few": silent(1, 1), "many": silent(1, 2**62)}
    error = error_of(lambda: all_reduce(stats))
    return {"error": error, "afterwards": numbers(all_reduce({"few": stats["few"]}))}


def silent(calls, elements):
    """One unit, of which all outputs were 0."""
    zeros, dead_calls = np.array([elements]), np.array([calls])
    counts = UnitCounts(calls, elements, zeros, dead_calls, dead_calls, np.array([[0]]))
    return ReLUStats(None, {1: counts})


@case
def subgroup():
    """All ranks but the first."""
    ranks = list(range(1, dist.get_world_size()))
    group = dist.new_group(ranks)
    mine = own()
    if dist.get_rank() in ranks:
        return numbers({"a": all_reduce({"a": mine}, group)["a"], "one": all_reduce(mine, group)})
    return error_of(lambda: all_reduce({"a": mine}, group))


@case
def pipeline():
    """Rank r holds stage r: a layer and its ReLU; activations go on, gradients come back."""
    rank, last = dist.get_rank(), dist.get_world_size() - 1
    torch.manual_seed(rank)
    stage = nn.Sequential(nn.Linear(5, 5), nn.ReLU())
    seen = []
    record_outputs(stage[0], seen)
    watch = relustat.watch(stage, BINS)
    for index in range(STEPS):
        x = torch.randn(3, 5, generator=torch.Generator().manual_seed(index))
        if rank > 0:
            dist.recv(x, rank - 1)
        y = stage(x.requires_grad_())
        gradient = torch.ones_like(y)
        if rank < last:
            dist.send(y.detach(), rank + 1)
            dist.recv(gradient, rank + 1)
        y.backward(gradient)
        if rank > 0:
            dist.send(x.grad, rank - 1)
    # All ranks make all groups; of each stage there is one copy here.
    groups = [dist.new_group([each]) for each in range(last + 1)]
    return {"seen": seen, "own": numbers(all_reduce(watch.stats, groups[rank]))}


@case
def watch_all_reduce():
    """The last rank begins without data; batches are numbered by rank and time."""
    rank, last = dist.get_rank(), dist.get_world_size() - 1
    model = nn.Sequential(nn.ReLU())
    watch = relustat.watch(model, BINS)

    def forward(time):
        model(torch.randn(4, 3, generator=torch.Generator().manual_seed(100 * rank + time)))

    if rank != last:
        forward(0)
    told = {"returned": watch.all_reduce(), "first": numbers(watch.stats)}
    told["reported"] = numbers(watch.report().stats)
    watch.all_reduce()
    told["again"] = numbers(watch.stats)
    forward(1)
    told["between"] = numbers(watch.stats)
    watch.all_reduce(group=None)
    told["second"] = numbers(watch.stats)
    watch.reset()
    told["reset"] = numbers(watch.stats)
    forward(2)
    told["own"] = numbers(watch.stats)
    watch.all_reduce()
    told["third"] = numbers(watch.stats)
    return told


# For each rank and time, whether each of three units fires.
FIRES = {
    0: [[1, 1, 0], [0, 1, 0], [0, 0, 0]],
    1: [[1, 0, 0], [1, 0, 0], [0, 0, 0]],
    2: [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
}


@case
def since_fired():
    """Units die on one rank and not on the other; the last rank may have one more call."""
    model = nn.Sequential(nn.ReLU())
    told = []
    with relustat.watch(model, BINS) as watch:
        for time, fires in enumerate(FIRES[dist.get_rank()]):
            model(torch.tensor([fires]) - 0.5)
            if time < 3:
                watch.all_reduce()
            told.append(watch.stats["0"].calls_since_fired.tolist())
            watch.snapshot(time)
    stats = watch.stats["0"]
    told.append([stats.parts, watch.report().warnings])
    lived = [span.stats["0"].calls_since_fired.tolist() for span in watch.history.spans]
    return {"told": told, "epochs": lived}


@case
def groups():
    """Each rank has a group of its own, one that all share, and labels."""
    model = nn.Sequential(nn.ReLU())
    rank = dist.get_rank()
    labels = torch.tensor([0, rank])
    with relustat.watch(model, BINS, groups=lambda *_: labels) as watch:
        for name in (f"of {rank}", "of all", "of all"):
            with watch.group(name):
                model(torch.tensor([[-1.0, rank], [1.0, -rank]]))
        watch.all_reduce()
        with watch.group("of all"):
            model(torch.full((2, 2), -1.0))
    return {
        name: [report.stats["0"].calls, report.stats["0"].elements, report.stats["0"].zeros]
        for name, report in watch.report().groups.items()
    }


@case
def split_units():
    """A layer whose rows are split over the ranks, in eager and in compiled code."""
    model = split_net()
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    plain = split_net(split=False)
    told = {}
    for compiled in (False, True):
        with relustat.watch(model, BINS, unit_histograms=True) as watch:
            # The graph has collectives, with which not all backends of the compiler can cope.
            (torch.compile(model, backend="eager") if compiled else model)(x)
        own_shard = watch.stats["1"]
        watch.all_reduce()
        watch.all_reduce()
        told["compiled" if compiled else "eager"] = {
            "shard": own_shard.shard,
            "reread": ReLUStats.from_dict(own_shard.to_dict()).shard,
            "units": own_shard.widths,
            "sum": numbers(watch.stats)["1"],
            "since fired": watch.stats["1"].calls_since_fired.tolist(),
            "dead": watch.stats["1"].dead_units.tolist(),
        }
    told["inputs"] = plain[0](x).tolist()
    told["error"] = error_of(
        lambda: all_reduce(
            ReLUStats(own_shard.bins, own_shard.by_width, shard=(0, dist.get_world_size() + 1))
            if dist.get_rank()
            else own_shard
        )
    )
    told["other"] = error_of(
        lambda: own_shard + ReLUStats(own_shard.bins, own_shard.by_width, shard=(7, 8))
    )
    return told


def main():
    told = {"without a group": error_of(lambda: all_reduce({}))}
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    told.update({name: run() for name, run in CASES.items()})
    Path(sys.argv[1], f"{dist.get_rank()}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
