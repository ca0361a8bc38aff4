"""Pooling, unpooling and the backward over the maps of real networks, against PyTorch's.

A row is a median of rounds, each as long as a millisecond or more. Results are checked.
"""

import time

import pytest
import torch
import torch.nn.functional as F
from harness.pool_inputs import LAYOUTS

from relustat.functional import max_pool1d, max_pool2d, max_pool3d, max_unpool2d
from relustat.ops import library
from relustat.ops.max_pool import OVERLAPS

pytestmark = pytest.mark.grid

# The sizes of maps and their channels: from the last blocks of networks to the first.
MAPS = {7: 512, 14: 512, 28: 256, 55: 64, 112: 64, 224: 64}
# Kernel, stride, padding.
GEOMETRIES = {
    "k2s2": (2, 2, 0),
    "k3s2": (3, 2, 0),
    "k3s2p1": (3, 2, 1),
    "k3s1p1": (3, 1, 1),
    "k5s3": (5, 3, 0),
}
WHAT = ("pool", "unpool", "backward")
OTHER_AXES = {
    1: (max_pool1d, F.max_pool1d, (16, 64, 4096)),
    3: (max_pool3d, F.max_pool3d, (4, 32, 16, 56, 56)),
}


def times(ours, theirs):
    """The number of calls in a round, so that its clock is no matter."""
    ours()
    start = time.perf_counter()
    ours()
    theirs()
    return max(1, int(2e-3 / (time.perf_counter() - start)))


def check(what, ours, values, x, indices, geometry):
    """Against PyTorch's, contiguous (in channels_last its threads race) and in float32 (of 16-bit
    sums it rounds each)."""
    kernel, stride, padding = geometry
    x, indices = x.contiguous().float(), indices.contiguous()
    if what == "unpool":
        arguments = indices, kernel, stride, padding
        expected = F.max_unpool2d(values.contiguous(), *arguments, output_size=x.shape)
        assert torch.equal(ours, expected)
    elif what == "backward":
        numbers = [kernel] * 2, [stride] * 2, [padding] * 2, [1, 1], False
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        expected = backward(values.contiguous().float(), x, *numbers, indices)
        assert torch.equal(ours, expected.to(ours.dtype))


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("size", "batch"), [(size, batch) for size in MAPS for batch in (1, 16) if size * batch < 2000]
)
def test_grid(paired, what, size, batch, dtype, layout, geometry):
    torch.manual_seed(0)
    x = torch.randn(batch, MAPS[size], size, size).to(getattr(torch, dtype))
    x = x.contiguous(memory_format=LAYOUTS[layout])
    kernel, stride, padding = GEOMETRIES[geometry]
    expected, indices = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
    y, switches = max_pool2d(x, kernel, stride, padding)
    assert torch.equal(y, expected)
    values = torch.randn_like(y)
    arguments = switches.offsets, switches.input_size, *switches.pooling.arguments
    numbers = [kernel] * 2, [stride] * 2, [padding] * 2, [1, 1], False
    ours, theirs = {
        "pool": (
            lambda: max_pool2d(x, kernel, stride, padding),
            lambda: F.max_pool2d(x, kernel, stride, padding, return_indices=True),
        ),
        "unpool": (
            lambda: max_unpool2d(values, switches),
            lambda: F.max_unpool2d(values, indices, kernel, stride, padding, output_size=x.shape),
        ),
        # As the gradient of max_pool2d calls it: its own switches need no validation.
        "backward": (
            lambda: library.max_unpool(values, *arguments, OVERLAPS.index("sum"), False),
            lambda: torch.ops.aten.max_pool2d_with_indices_backward(values, x, *numbers, indices),
        ),
    }[what]
    check(what, ours(), values, x, indices, GEOMETRIES[geometry])
    paired(
        ours,
        theirs,
        rounds=7,
        calls=times(ours, theirs),
        what=what,
        size=size,
        batch=batch,
        elements=x.numel(),
        dtype=dtype,
        layout=layout,
        geometry=geometry,
    )


@pytest.mark.parametrize("kernel_and_stride", [(2, 2), (3, 2)], ids=str)
@pytest.mark.parametrize("axes", OTHER_AXES)
@pytest.mark.parametrize("grad", [False, True], ids=["forward", "step"])
def test_other_axes(paired, axes, kernel_and_stride, grad):
    torch.manual_seed(0)
    our_pool, their_pool, shape = OTHER_AXES[axes]
    x = torch.randn(shape, requires_grad=grad)
    pooled, _ = our_pool(x, *kernel_and_stride)
    assert torch.equal(pooled, their_pool(x, *kernel_and_stride))
    gradient = torch.randn_like(pooled)

    def step(pool):
        y = pool(x, *kernel_and_stride)
        y = y[0] if isinstance(y, tuple) else y
        if grad:
            torch.autograd.grad(y, x, gradient)

    paired(
        lambda: step(our_pool),
        lambda: step(lambda *arguments: their_pool(*arguments, return_indices=True)),
        rounds=9,
        grad=grad,
        what=f"{axes}-D",
        elements=x.numel(),
    )
