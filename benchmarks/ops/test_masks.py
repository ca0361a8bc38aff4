"""What masks and blocks of units cost, against a counting ReLU without them."""

import pytest
import torch
from harness.relu_inputs import LINEAR, ROUNDS, relu_input

from relustat import Counters, LogBins
from relustat.functional import counting_relu

pytestmark = pytest.mark.relu

BINS = {"zeros": None, "log": LogBins(), "linear200": LINEAR}


def padding(x):
    """A tenth to all of each sample's positions, as of sentences or smaller images."""
    positions = x[:, 0] if x.dim() > 2 else x[:, 0].view(16, -1)
    rows = positions.flatten(1)
    kept = torch.linspace(0.1, 1, len(rows))[:, None] * rows.size(1)
    return (torch.arange(rows.size(1)) < kept).view_as(positions).reshape(x[:, 0].shape)


def random(x):
    return torch.rand(x[:, 0].shape) < 0.5


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("make_mask", [padding, random])
@pytest.mark.parametrize("layout", ["nchw", "features"])
@pytest.mark.parametrize("size", ["6M", "0.8M"])
def test_mask(paired, size, layout, make_mask, bins):
    x = relu_input(size, "float32", layout)
    mask = make_mask(x)
    counters, plain = Counters(BINS[bins]), Counters(BINS[bins])
    counting_relu(x, counters, mask=mask)
    stats = counters.stats
    assert stats.elements == int(mask.sum()) * x.size(1)
    assert stats.zeros == int((x.movedim(1, -1)[mask] <= 0).sum())
    rounds, calls = ROUNDS[size]
    paired(
        lambda: counting_relu(x, counters, mask=mask),
        lambda: counting_relu(x, plain),
        rounds=rounds,
        calls=calls,
        what=f"{bins}, {make_mask.__name__} mask",
        rival="without a mask",
        size=size,
        elements=x.numel(),
        layout=layout,
    )


@pytest.mark.parametrize("block", [8, 32])
@pytest.mark.parametrize("layout", ["nchw", "features"])
def test_zero_blocks(paired, layout, block):
    size = "6M"
    x = relu_input(size, "float32", layout)
    counters, plain = Counters(zero_blocks=block), Counters()
    rounds, calls = ROUNDS[size]
    paired(
        lambda: counting_relu(x, counters),
        lambda: counting_relu(x, plain),
        rounds=rounds,
        calls=calls,
        what=f"log, blocks of {block}",
        rival="without blocks",
        size=size,
        elements=x.numel(),
        layout=layout,
    )
