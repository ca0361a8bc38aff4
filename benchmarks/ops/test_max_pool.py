"""Max-pooling with switches against PyTorch's, with indices and without. Results are checked."""

import pytest
import torch
import torch.nn.functional as F
from harness.pool_inputs import GEOMETRIES, LAYOUTS, MOST_USED, described, pool_input
from torch import nn

import relustat
from relustat.functional import max_pool2d

pytestmark = pytest.mark.pool

POOLED = (*MOST_USED, "k3s2p1", "k5s3p2")
CASES = [
    *[
        ("112", dtype, layout, geometry, "indices")
        for dtype in ("float32", "bfloat16")
        for layout in LAYOUTS
        for geometry in POOLED
    ],
    *[("112", "float32", layout, geometry, "plain") for layout in LAYOUTS for geometry in POOLED],
    *[("112", "float32", "nchw", geometry, "compiled") for geometry in POOLED],
]
BOTH_WAYS = [("112", "float32", "nchw", geometry) for geometry in POOLED]


def with_indices(x, *geometry):
    return F.max_pool2d(x, *geometry, return_indices=True)


RIVALS = {
    "indices": with_indices,
    "plain": lambda x, *geometry: (F.max_pool2d(x, *geometry), None),
    "compiled": torch.compile(with_indices, dynamic=False),
}


@pytest.mark.parametrize(("size", "dtype", "layout", "geometry", "rival"), CASES)
def test_pool(paired, size, dtype, layout, geometry, rival):
    x = pool_input(size, dtype, layout)
    arguments = GEOMETRIES[geometry]
    y, switches = max_pool2d(x, *arguments)
    expected, indices = RIVALS[rival](x, *arguments)
    assert torch.equal(y, expected)
    if indices is not None:
        assert torch.equal(switches.indices(), indices)
    paired(
        lambda: max_pool2d(x, *arguments),
        lambda: RIVALS[rival](x, *arguments),
        rounds=9,
        what="pool",
        rival=rival,
        **described(size, dtype, layout, geometry),
    )


@pytest.mark.parametrize(("size", "dtype", "layout", "geometry"), BOTH_WAYS)
def test_pool_forward_backward(paired, size, dtype, layout, geometry):
    x = pool_input(size, dtype, layout).requires_grad_()
    ours, theirs = relustat.MaxPool2d(*GEOMETRIES[geometry]), nn.MaxPool2d(*GEOMETRIES[geometry])
    gradient = torch.randn_like(ours(x))

    def gradient_by(pool):
        return torch.autograd.grad(pool(x), x, gradient)[0]

    assert torch.equal(gradient_by(ours), gradient_by(theirs))
    paired(
        lambda: gradient_by(ours),
        lambda: gradient_by(theirs),
        rounds=9,
        grad=True,
        what="pool, forward and backward",
        rival="nn.MaxPool2d",
        **described(size, dtype, layout, geometry),
    )
