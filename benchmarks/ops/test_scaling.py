"""How time grows with elements, bins, units and threads, and what the data's spread does to it."""

import os

import pytest
import torch
from harness.machine import available_gib
from harness.relu_inputs import check_counts
from torch import nn

from relustat import CountingReLU, LinearBins, LogBins

pytestmark = pytest.mark.scaling

ELEMENTS = [1 << power for power in (10, 12, 14, 16, 18, 20, 22, 24, 26, 28)]
BINS = [1 << power for power in range(0, 13, 2)]
UNITS = [1 << power for power in range(0, 17, 4)]
THREADS = sorted({1, 2, 4, 8, 16, os.cpu_count()} & set(range(os.cpu_count() + 1)))
MILLION = 1 << 20
# In and out on both sides, and a margin.
GIB_FOR_LARGEST = 6


def normal(elements):
    """Five times standard normal; a million drawn, and repeated."""
    torch.manual_seed(0)
    tile = torch.randn(min(elements, MILLION)).mul_(5)
    return tile.repeat(elements // tile.numel())


@pytest.mark.parametrize("elements", ELEMENTS, ids=lambda count: f"{count}-float32")
def test_scaling_elements(paired, elements):
    if elements == ELEMENTS[-1] and available_gib() < GIB_FOR_LARGEST:
        pytest.skip(f"needs {GIB_FOR_LARGEST} GiB of memory, has {available_gib():.1f}")
    x = normal(elements)
    tile = x[:MILLION]
    relu, plain = CountingReLU(bins=LogBins()), nn.ReLU()
    check_counts(relu, tile.view(1, 64, 1, -1))
    x = x.view(1, 64, 1, -1)
    relu.reset()
    relu(x)
    assert relu.stats.zeros == int((tile <= 0).sum()) * (elements // tile.numel())
    calls = max(1, MILLION // 8 // elements)
    paired(
        lambda: relu(x),
        lambda: plain(x),
        # Both outputs are fresh memory beyond 8M elements; what the system takes for that varies.
        rounds=15,
        calls=calls,
        what="elements",
        rival="nn.ReLU",
        elements=elements,
        dtype="float32",
    )


@pytest.mark.parametrize("bins", BINS, ids=lambda count: f"1M-float32-{count}bins")
def test_scaling_bins(paired, bins):
    x = normal(MILLION).view(-1, 64)
    relu, one_bin = (CountingReLU(bins=LinearBins(-15, 15, count)) for count in (bins, 1))
    check_counts(relu, x)
    paired(
        lambda: relu(x),
        lambda: one_bin(x),
        rounds=15,
        calls=3,
        what="bins",
        rival="1 bin",
        elements=MILLION,
        bins=bins,
    )


@pytest.mark.parametrize("units", UNITS, ids=lambda count: f"{count}units")
@pytest.mark.parametrize("layout", ["nchw", "features"], ids=lambda name: f"1M-float32-{name}")
def test_scaling_units(paired, layout, units):
    x = normal(MILLION)
    one_unit = x.view(MILLION, 1)
    x = x.view(-1, units) if layout == "features" else x.view(1, units, 1, -1)
    relu, single = CountingReLU(), CountingReLU()
    check_counts(relu, x)
    paired(
        lambda: relu(x),
        lambda: single(one_unit),
        rounds=15,
        calls=3,
        what="units",
        rival="1 unit",
        elements=MILLION,
        units=units,
        layout=layout,
    )


@pytest.mark.parametrize("threads", THREADS, ids=lambda count: f"{count}t", indirect=True)
@pytest.mark.parametrize("counted", ["log", "plain"], ids=lambda name: f"6M-float32-{name}")
def test_scaling_threads(paired, counted, threads):
    x = normal(6 * MILLION).view(-1, 64)
    relu = CountingReLU() if counted == "log" else nn.ReLU()

    def on(count):
        torch.set_num_threads(count)
        relu(x)

    if counted == "log":
        check_counts(relu, x)
    paired(
        lambda: on(threads),
        lambda: on(1),
        rounds=15,
        what="threads",
        rival="1 thread",
        elements=x.numel(),
        counted=counted,
    )


SPREADS = {
    "uniform": lambda x: x.uniform_(-15, 15),
    "normal": lambda x: x.normal_(0, 5),
    "half_zeros": lambda x: x.normal_(0, 5).mul_(torch.rand_like(x) < 0.5),
    "one_value": lambda x: x.fill_(1.0),
    "one_edge": lambda x: x.fill_(1.5),  # of the linear bins
}
SPREAD_BINS = {"log": LogBins(), "linear200": LinearBins(-15, 15, 200)}


@pytest.fixture(scope="module", params=SPREAD_BINS)
def spread_inputs(request):
    """A ReLU, and inputs of all spreads."""
    torch.manual_seed(0)
    relu = CountingReLU(bins=SPREAD_BINS[request.param])
    inputs = {name: fill(torch.empty(16, 64, 79, 79)) for name, fill in SPREADS.items()}
    return request.param, relu, inputs


@pytest.mark.parametrize("spread", SPREADS, ids=lambda name: f"6M-float32-{name}")
def test_scaling_spread(paired, spread_inputs, spread):
    bins, relu, inputs = spread_inputs
    check_counts(relu, inputs[spread])
    paired(
        lambda: relu(inputs[spread]),
        lambda: relu(inputs["normal"]),
        rounds=15,
        what="spread",
        rival="normal",
        elements=inputs[spread].numel(),
        bins=bins,
        spread=spread,
        note="the rival is normal",
    )
