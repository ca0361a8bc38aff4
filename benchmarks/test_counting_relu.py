"""CountingReLU against nn.ReLU: what counting costs. Every row's counts are checked."""

import numpy as np
import pytest
import torch
from torch import nn

from relustat import CountingReLU, EdgeBins, LinearBins, LogBins

BINS = {
    "zeros_only": None,
    "log": LogBins(),
    "linear200": LinearBins(-15, 15, 200),
    "edges200": EdgeBins(np.linspace(-15, 15, 201)),
}
SHAPES = {
    "51M": (16, 64, 224, 224),
    "6M": (16, 64, 79, 79),
    "0.8M": (16, 64, 28, 28),
    "48K": (64, 750),
    "1K": (10, 100),
}
ROUNDS = {"51M": (15, 1), "6M": (31, 1), "0.8M": (51, 5), "48K": (51, 50), "1K": (51, 200)}
USUAL = ("zeros_only", "log", "linear200")
CASES = [
    *[(bins, size, "float32", "fresh") for bins in USUAL for size in ("51M", "6M", "0.8M")],
    *[(bins, size, "float32", "reused") for bins in USUAL for size in ("6M", "0.8M", "48K", "1K")],
    *[(bins, size, "bfloat16", "fresh") for bins in USUAL for size in ("51M", "6M")],
    ("edges200", "6M", "float32", "fresh"),
]


def check(relu, x, y):
    relu.reset()
    relu(x)
    stats = relu.stats
    assert stats.zeros == int((y == 0).sum())
    if relu.counters.bins is not None:
        sample = x[:1]
        relu.reset()
        relu(sample)
        expected, _ = np.histogram(sample.float().numpy(), bins=relu.counters.bins.edges)
        assert relu.stats.histogram.counts().tolist() == expected.tolist()


@pytest.mark.parametrize(("bins", "size", "dtype", "pages"), CASES, indirect=["pages"])
def test_relu(paired, bins, size, dtype, pages):
    torch.manual_seed(0)
    x = (5 * torch.randn(SHAPES[size])).to(getattr(torch, dtype))
    relu, plain = CountingReLU(bins=BINS[bins]), nn.ReLU()
    check(relu, x, plain(x))
    rounds, calls = ROUNDS[size]
    paired(lambda: relu(x), lambda: plain(x), rounds=rounds, calls=calls)


@pytest.mark.parametrize("layout", ["channels_last", "features"])
@pytest.mark.parametrize("pages", ["fresh"], indirect=True)
def test_relu_layout(paired, layout, pages):
    x = (5 * torch.randn(SHAPES["6M"])).to(memory_format=torch.channels_last)
    if layout == "features":
        x = x.contiguous().view(-1, 79 * 79)
    relu, plain = CountingReLU(bins=BINS["linear200"]), nn.ReLU()
    check(relu, x, plain(x))
    paired(lambda: relu(x), lambda: plain(x), rounds=31)


@pytest.mark.parametrize("size", ["51M", "6M"])
@pytest.mark.parametrize("pages", ["fresh"], indirect=True)
def test_relu_against_histc_and_zero_count(paired, size, pages):
    x = 5 * torch.randn(SHAPES[size])
    relu, plain = CountingReLU(bins=BINS["linear200"]), nn.ReLU()

    def by_hand():
        y = plain(x)
        return y, torch.histc(x, 200, -15, 15), (y == 0).sum((0, 2, 3))

    check(relu, x, by_hand()[0])
    paired(lambda: relu(x), by_hand, rounds=7)
