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
import torch.nn.functional as F
from torch import nn
from torch.distributed.algorithms.join import Join
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import relustat
from relustat import Counters, LinearBins, LogBins, ReLUStats
from relustat.distributed import all_reduce
from relustat.functional import counting_relu
from relustat.stats.unit_counts import UnitCounts

BINS = LinearBins(-2, 2, 8)
STEPS = 3
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Net(nn.Module):
    """One in-place ReLU module, called with two widths, one functional call, and buffers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc1 = nn.Linear(6 * 2 * 2, 5)
        self.fc2 = nn.Linear(5, 2)

    def forward(self, x):
        x = self.act(self.bn1(self.conv1(x)))
        x = self.act(self.conv2(x))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def net():
    """The same on all ranks."""
    torch.manual_seed(0)
    return Net()


def batch(rank, step, size=4):
    return torch.randn(size, 3, 6, 6, generator=torch.Generator().manual_seed(100 * rank + step))


def record_inputs(model):
    """What each of a plain Net's ReLUs will see, by call site, without relustat."""
    seen = {"act": [], "act_1": [], "relu": []}
    record_outputs(model.bn1, seen["act"])
    record_outputs(model.conv2, seen["act_1"])
    record_outputs(model.fc1, seen["relu"])
    return seen


def record_outputs(module, seen):
    # Lists: a ReLU in place will change the tensor.
    module.register_forward_hook(lambda *call: seen.append(call[-1].tolist()))


def step(model, x):
    """One of training; returns the gradients, of shards if they are sharded."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.grad = None
    model(x).square().mean().backward()
    gradients = [parameter.grad.clone() for parameter in parameters]
    with torch.no_grad():
        for parameter in parameters:
            parameter -= 0.1 * parameter.grad
    return gradients


def same(ours, theirs):
    pairs = zip(ours, theirs, strict=True)
    return all(
        torch.equal(getattr(a, "_local_tensor", a), getattr(b, "_local_tensor", b))
        for a, b in pairs
    )


def train_beside_plain(wrap, how):
    """Trains a counting and a plain model: counts, what the plain one's ReLUs saw, gradients.

    Args:
        wrap: makes a model distributed.
        how: "swap" the model, "watch" it, or "watch wrapper".
    """
    rank = dist.get_rank()
    counting, plain = net(), net()
    seen = record_inputs(plain)
    if how == "swap":
        relustat.swap(counting, bins=BINS)
    wrapped, plain = wrap(counting), wrap(plain)
    if how != "swap":
        watch = relustat.watch(counting if how == "watch" else wrapped, BINS)

    def counts():
        return {"act": counting.act.stats} if how == "swap" else watch.stats

    same_gradients = [
        same(step(wrapped, batch(rank, index)), step(plain, batch(rank, index)))
        for index in range(STEPS)
    ]
    own = counts()
    first_seen = copy.deepcopy(seen)
    reduced = all_reduce(own)
    again = all_reduce(reduced)
    step(wrapped, batch(rank, STEPS))
    step(plain, batch(rank, STEPS))
    return {
        "same_gradients": same_gradients,
        "seen": first_seen,
        "own": numbers(own),
        "reduced": numbers(reduced),
        "again": numbers(again),
        "seen_later": seen,
        "reduced_later": numbers(all_reduce(counts())),
    }


def numbers(stats):
    return {name: each.to_dict()["widths"] for name, each in stats.items()}


def error_of(call):
    try:
        call()
    except (RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def counted(seed, shape=(4, 3), bins=BINS, **options):
    """Counts of numbers that the test makes again."""
    counters = Counters(bins, **options)
    counting_relu(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), counters)
    return counters.stats


def own(**options):
    return counted(dist.get_rank(), **options)


@case
def ddp_swap():
    return train_beside_plain(DistributedDataParallel, "swap")


@case
def ddp_watch():
    return train_beside_plain(DistributedDataParallel, "watch")


@case
def ddp_watch_wrapper():
    return train_beside_plain(DistributedDataParallel, "watch wrapper")


def shard(model):
    """FSDP2, each layer by itself and then the rest."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in (model.conv1, model.conv2, model.fc1):
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


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
        zeros = np.array([elements])
        counts = UnitCounts(2**31 + 1, elements, zeros, np.array([0]), np.array([[0]]))
        stats[name] = ReLUStats(None, {1: counts})
    return numbers(all_reduce(stats))


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


def main():
    told = {"without a group": error_of(lambda: all_reduce({}))}
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    told.update({name: run() for name, run in CASES.items()})
    Path(sys.argv[1], f"{dist.get_rank()}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
