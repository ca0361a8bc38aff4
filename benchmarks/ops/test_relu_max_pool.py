"""ReLU, counts and max-pooling in one pass, against PyTorch's two and ours. Results are checked."""

import pytest
import torch
import torch.nn.functional as F
from harness.pool_inputs import GEOMETRIES, LAYOUTS, MOST_USED, described, pool_input

from relustat import Counters, LogBins
from relustat.functional import counting_relu, max_pool2d, relu_max_pool2d

pytestmark = pytest.mark.pool

CASES = [
    ("112", dtype, layout, geometry)
    for dtype in ("float32", "bfloat16")
    for layout in LAYOUTS
    for geometry in (*MOST_USED, "k3s2p1")
]


def two_passes(x, *geometry):
    return max_pool2d(counting_relu(x, COUNTERS), *geometry)[0]


COUNTERS = Counters(LogBins())
RIVALS = {
    "relu and max_pool2d": lambda x, *geometry: F.max_pool2d(F.relu(x), *geometry),
    "counting_relu and max_pool2d": two_passes,
}


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize(("size", "dtype", "layout", "geometry"), CASES)
def test_relu_pool(paired, size, dtype, layout, geometry, rival):
    x = pool_input(size, dtype, layout)
    arguments = GEOMETRIES[geometry]
    theirs, counters = RIVALS[rival], Counters(LogBins())
    y, _ = relu_max_pool2d(x, counters, *arguments)
    assert torch.equal(y, theirs(x, *arguments))
    assert counters.stats.elements == x.numel()
    paired(
        lambda: relu_max_pool2d(x, counters, *arguments),
        lambda: theirs(x, *arguments),
        rounds=9,
        what="relu and pool",
        rival=rival,
        **described(size, dtype, layout, geometry),
    )
