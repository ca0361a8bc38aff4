"""Unpooling, and the backward of pooling, against PyTorch's. Results are checked."""

import pytest
import torch
import torch.nn.functional as F
from harness.pool_inputs import GEOMETRIES, MOST_USED, SHAPES, described, pool_input

from relustat.functional import max_pool2d, max_unpool2d
from relustat.ops import library
from relustat.ops.max_pool import OVERLAPS

pytestmark = pytest.mark.pool

CASES = [
    (size, dtype, layout, geometry)
    for dtype, layout in (("float32", "nchw"), ("float32", "channels_last"), ("bfloat16", "nchw"))
    for size in SHAPES
    for geometry in (*MOST_USED, "k3s2p1", "k5s3")
]
cases = pytest.mark.parametrize(("size", "dtype", "layout", "geometry"), CASES)
ROUNDS = {"55": {"rounds": 15, "calls": 3}, "112": {"rounds": 11}}


def pooled(size, dtype, layout, geometry):
    x = pool_input(size, dtype, layout)
    y, switches = max_pool2d(x, *GEOMETRIES[geometry])
    return x, torch.randn_like(y), switches


@cases
def test_unpool(paired, size, dtype, layout, geometry):
    x, y, switches = pooled(size, dtype, layout, geometry)
    indices = switches.indices()

    def theirs(y=y, indices=indices):
        return F.max_unpool2d(y, indices, *GEOMETRIES[geometry], output_size=x.shape)

    # In channels_last, PyTorch's threads race for a cell of several windows.
    assert torch.equal(max_unpool2d(y, switches), theirs(y.contiguous(), indices.contiguous()))
    paired(
        lambda: max_unpool2d(y, switches),
        theirs,
        what="unpool",
        rival="F.max_unpool2d",
        **ROUNDS[size],
        **described(size, dtype, layout, geometry),
    )


@cases
def test_pool_backward(paired, size, dtype, layout, geometry):
    x, y, switches = pooled(size, dtype, layout, geometry)
    indices = switches.indices()
    kernel, stride, padding = ([number] * 2 for number in GEOMETRIES[geometry])
    arguments = switches.offsets, switches.input_size, *switches.pooling.arguments

    # As the gradient of max_pool2d calls it: its own switches need no validation.
    def ours():
        return library.max_unpool(y, *arguments, OVERLAPS.index("sum"), False)

    def theirs(y=y, x=x):
        return torch.ops.aten.max_pool2d_with_indices_backward(
            y, x, kernel, stride, padding, [1, 1], False, indices
        )

    # Of 16-bit values, PyTorch rounds every sum.
    assert torch.equal(ours(), theirs(y.float(), x.float()).to(y.dtype))
    paired(
        ours,
        theirs,
        what="pool backward",
        rival="the op of PyTorch's backward",
        **ROUNDS[size],
        **described(size, dtype, layout, geometry),
    )
