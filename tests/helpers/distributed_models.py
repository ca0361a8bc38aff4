"""Models that ranks train, and a plain twin beside each."""

import copy

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

import relustat
from relustat import Counters, LinearBins
from relustat.distributed import all_reduce
from relustat.functional import counting_relu

BINS = LinearBins(-2, 2, 8)

STEPS = 3


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


def split_net(split=True):
    """A linear layer of 8 units, the sixth of them dead, split by rows as in Megatron-LM."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    with torch.no_grad():
        model[0].bias[5] = -100
    if not split:
        return model
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    return parallelize_module(model, mesh, {"0": ColwiseParallel()})


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
        return {"act": counting.act.counters.stats} if how == "swap" else watch.stats

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
    """All counts that do not depend on the order of calls."""
    found = {name: each.to_dict()["widths"] for name, each in stats.items()}
    for widths in found.values():
        for counts in widths.values():
            del counts["since_fired"]
    return found


def counted(seed, shape=(4, 3), bins=BINS, **options):
    """Counts of numbers that the test makes again."""
    counters = Counters(bins, **options)
    counting_relu(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), counters)
    return counters.stats


def own(**options):
    return counted(dist.get_rank(), **options)


def shard(model):
    """FSDP2, each layer by itself and then the rest."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in (model.conv1, model.conv2, model.fc1):
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)
