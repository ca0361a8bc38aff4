"""CountingReLU against nn.ReLU, the floor, and against what one would do instead."""

import numpy as np
import pytest
import torch
from harness import rivals
from harness.instruments import Counts
from harness.relu_inputs import LINEAR, ROUNDS, check_counts, exact_counts, relu_input, unit_zeros
from torch import nn

from relustat import CountingReLU, LogBins

pytestmark = pytest.mark.relu

COUNTED = {
    "zeros": {"bins": None},
    "log": {"bins": LogBins()},
    "linear200": {"bins": LINEAR},
    "units_linear200": {"bins": LINEAR, "unit_histograms": True},
}
INPUTS = [
    *[(size, "float32", "nchw") for size in ("51M", "6M", "0.8M")],
    *[(size, "float32", "features") for size in ("48K", "1K")],
    *[(size, "bfloat16", "nchw") for size in ("51M", "6M", "0.8M")],
    *[("6M", "float32", layout) for layout in ("channels_last", "features")],
]
RIVALS = [
    *[(size, name) for size in ("51M", "6M", "0.8M") for name in ("Histc", "TunedHistc")],
    *[("6M", name) for name in ("CompiledHistc", "Histogram", "Observer")],
    *[("6M", name) for name in ("NumPyHook", "MonitorchLens")],
    ("1K", "Loop"),
]
CALLS = {"0.8M": 5, "1K": 10}


@pytest.mark.parametrize("counted", COUNTED)
@pytest.mark.parametrize(("size", "dtype", "layout"), INPUTS)
def test_relu(paired, size, dtype, layout, counted):
    x = relu_input(size, dtype, layout)
    relu, plain = CountingReLU(**COUNTED[counted]), nn.ReLU()
    check_counts(relu, x)
    rounds, calls = ROUNDS[size]
    paired(
        lambda: relu(x),
        lambda: plain(x),
        rounds=rounds,
        calls=calls,
        what=counted,
        rival="nn.ReLU",
        size=size,
        elements=x.numel(),
        dtype=dtype,
        layout=layout,
    )


@pytest.mark.parametrize(
    ("size", "name"), RIVALS, ids=[f"{size}-float32-nchw-{name}" for size, name in RIVALS]
)
def test_relu_against(paired, size, name):
    x = relu_input(size)
    relu, rival = CountingReLU(bins=LINEAR), getattr(rivals, name)()
    check_counts(relu, x)
    off = check_rival(rival, x)
    paired(
        lambda: relu(x),
        lambda: rival(x),
        rounds=9,
        calls=CALLS.get(size, 1),
        what="linear200",
        rival=name,
        size=size,
        elements=x.numel(),
        note=f"the rival's counts are off by {off}" if off else "",
    )


def check_rival(rival, x):
    """Its output and its zeros are right; returns by how much its histogram is not."""
    y = rival(x)
    zeros = unit_zeros(y)
    assert torch.equal(y, torch.relu(x))
    if hasattr(rival, "check"):
        rival.check({"0": Counts(int(zeros.sum()), x.numel())})
    if hasattr(rival, "unit_zeros"):
        assert rival.unit_zeros.tolist() == zeros.tolist()
    if not hasattr(rival, "histogram"):
        return 0
    off = int(np.abs(np.asarray(rival.histogram) - exact_counts(x, LINEAR)).sum())
    # Bins found by multiplication alone miss values that lie at an edge.
    assert off < 1e-4 * x.numel()
    return off
