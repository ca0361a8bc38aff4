"""The relatives of ReLU, counted, against PyTorch's own modules."""

import copy

import pytest
import torch
from harness.relu_inputs import ROUNDS, exact_counts, relu_input
from torch import nn

import relustat

pytestmark = pytest.mark.activation


class SquaredReLU(nn.Module):
    """Two calls, because PyTorch has no module for it."""

    def forward(self, x):
        return torch.square(torch.relu(x))


PLAIN = {
    "ReLU6": nn.ReLU6(),
    "Hardtanh": nn.Hardtanh(-3, 3),
    "LeakyReLU": nn.LeakyReLU(),
    "PReLU": nn.PReLU(),
    "PReLU per channel": nn.PReLU(64),
    "Threshold": nn.Threshold(0.1, 0),
    "SquaredReLU": SquaredReLU(),
    # Counted beside their calls.
    "GELU": nn.GELU(),
    "SiLU": nn.SiLU(),
    "Hardswish": nn.Hardswish(),
    "Sigmoid": nn.Sigmoid(),
}
INPUTS = [
    *[(size, "float32", "nchw") for size in ("51M", "6M", "0.8M", "1K")],
    ("6M", "float32", "channels_last"),
    *[(size, "bfloat16", "nchw") for size in ("51M", "6M")],
]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("size", "dtype", "layout"), INPUTS)
def test_activation(paired, size, dtype, layout, name):
    x = relu_input(size, dtype, layout)
    if name == "PReLU per channel" and x.size(1) != 64:
        pytest.skip("the input has other channels")
    plain = copy.deepcopy(PLAIN[name]).to(x.dtype)
    counting = relustat.swap(copy.deepcopy(plain), activations="all")
    with torch.no_grad():
        assert torch.equal(counting(x), plain(x))
    histogram = counting.counters.stats.histogram
    assert histogram.counts().tolist() == exact_counts(x, counting.counters.bins).tolist()
    rounds, calls = ROUNDS[size]
    paired(
        lambda: counting(x),
        lambda: plain(x),
        rounds=rounds,
        calls=calls,
        what=name,
        rival=f"nn.{name}" if name != "SquaredReLU" else "two calls",
        size=size,
        elements=x.numel(),
        dtype=dtype,
        layout=layout,
    )
