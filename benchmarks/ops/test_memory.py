"""What memory counting takes, and what a pool keeps for backward: exact, so nothing is timed."""

import functools

import pytest
import torch
from harness.allocations import held_after, peak
from harness.networks import digits, lenet, noise, resnet18, vgg16
from torch import nn

import relustat
from relustat import CountingReLU, LinearBins, LogBins, MaxPool2d
from relustat.stats.counter_layout import CounterLayout

pytestmark = pytest.mark.memory

RELU_SHAPE = (16, 64, 79, 79)
POOL_SHAPE = (16, 64, 112, 112)
LINEAR = LinearBins(-15, 15, 200)
COUNTED = {
    "zeros": {"bins": None},
    "log": {"bins": LogBins()},
    "linear200": {"bins": LINEAR},
    "units_linear200": {"bins": LINEAR, "unit_histograms": True},
}
GEOMETRIES = {"k2s2": (2, 2), "k3s2": (3, 2)}


@pytest.fixture
def weighed(benchmark, row):
    """Notes how many bytes ``ours`` says that it takes, beside the rival's."""

    def run(ours, rival_bytes, **facts):
        taken = benchmark.pedantic(ours)
        ratio = taken / rival_bytes
        row(bytes=taken, rival_bytes=rival_bytes, ratio=ratio, low=ratio, high=ratio, **facts)
        return taken

    return run


@pytest.mark.parametrize("counted", COUNTED)
@pytest.mark.parametrize("shape", [RELU_SHAPE], ids=["6M-float32-nchw"])
def test_memory_relu(weighed, shape, counted):
    x, plain, relu = torch.randn(shape), nn.ReLU(), CountingReLU(**COUNTED[counted])
    output = peak(lambda: plain(x))
    taken = weighed(
        lambda: peak(lambda: relu(x)) - output,
        output,
        what=counted,
        rival="nn.ReLU's output",
        note="more than nn.ReLU takes, once",
    )
    bins, units = relu.counters.bins, shape[1]
    histograms = units if relu.counters.unit_histograms else 1
    words = CounterLayout(units, histograms, len(bins) if bins else 0).size
    assert taken == torch.int64.itemsize * words
    assert peak(lambda: relu(x)) == output


@pytest.mark.parametrize("rival", ["indices", "indices_and_input"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("shape", [POOL_SHAPE], ids=["112-float32-nchw"])
def test_memory_pool_saved(weighed, shape, geometry, rival):
    x = torch.randn(shape, requires_grad=True)
    theirs = saved_for_backward(lambda: nn.MaxPool2d(*GEOMETRIES[geometry])(x))
    (indices,) = (saved for saved in theirs if saved.dtype == torch.int64)
    if rival == "indices":
        theirs = [indices]
    taken = weighed(
        lambda: sum_bytes(saved_for_backward(lambda: MaxPool2d(*GEOMETRIES[geometry])(x))),
        sum_bytes(theirs),
        what="saved for backward",
        rival=rival,
        geometry=geometry,
    )
    assert taken == indices.numel()
    assert sum_bytes(theirs) == 8 * taken + (x.nbytes if rival == "indices_and_input" else 0)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("shape", [POOL_SHAPE], ids=["112-float32-nchw"])
def test_memory_pool_peak(weighed, shape, geometry):
    x = torch.randn(shape, requires_grad=True)
    pools = [pool(*GEOMETRIES[geometry]) for pool in (MaxPool2d, nn.MaxPool2d)]
    y = pools[0](x)
    ours, theirs = (functools.partial(peak, functools.partial(pool, x)) for pool in pools)
    taken = weighed(ours, theirs(), what="forward's peak", rival="nn.MaxPool2d", geometry=geometry)
    assert taken == y.nbytes + y.numel()
    assert theirs() == y.nbytes + 8 * y.numel()


NETWORKS = {
    "vgg16-8x3x224x224": (vgg16, noise, 8),
    "resnet18-8x3x224x224": (resnet18, noise, 8),
    "lenet-256x1x28x28": (lenet, digits, 256),
}


@pytest.mark.parametrize("instrument", ["swap", "fuse"])
@pytest.mark.parametrize(("network", "images", "batch"), NETWORKS.values(), ids=NETWORKS)
def test_memory_kept_for_backward(weighed, network, images, batch, instrument):
    """What a forward in training leaves: its result, and all that is saved."""
    x, plain, measured = images(batch), network().train(), swapped(network, instrument)
    plain(x), measured(x)  # counters are there from now on
    theirs = held_after(lambda: plain(x))
    taken = weighed(
        lambda: held_after(lambda: measured(x)),
        theirs,
        what=instrument,
        rival="plain",
        network=network.__name__,
        note="kept for backward",
    )
    assert taken < theirs


@pytest.mark.parametrize("instrument", ["swap", "fuse"])
@pytest.mark.parametrize(("network", "images", "batch"), NETWORKS.values(), ids=NETWORKS)
def test_memory_training_step(weighed, network, images, batch, instrument):
    """A forward and a backward, which also makes the gradients of all parameters."""
    x, plain, measured = images(batch), network().train(), swapped(network, instrument)

    def peak_of(model):
        model.zero_grad(set_to_none=True)
        return peak(lambda: step(model, x))

    step(plain, x), step(measured, x)
    weighed(
        lambda: peak_of(measured),
        peak_of(plain),
        what=instrument,
        rival="plain",
        network=network.__name__,
        note="peak of a training step",
    )


def swapped(network, instrument):
    return relustat.swap(network().train(), fuse=instrument == "fuse")


def step(model, x):
    y = model(x)
    y.sum().backward()
    return y.detach()


def saved_for_backward(compute):
    saved = []

    def keep(x):
        saved.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        compute()
    return saved


def sum_bytes(tensors):
    return sum(x.nbytes for x in tensors)
