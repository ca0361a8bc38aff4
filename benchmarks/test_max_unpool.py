"""Unpooling, and the backward of pooling, against PyTorch's. Results are checked."""

import pytest
import torch
import torch.nn.functional as F

from relustat import _ops
from relustat.functional import max_pool2d, max_unpool2d
from relustat.max_pooling import OVERLAPS

SHAPES = {"55": (16, 64, 55, 55), "112": (16, 64, 112, 112)}
GEOMETRIES = {"k2s2": (2, 2, 0), "k3s2": (3, 2, 0), "k3s2p1": (3, 2, 1), "k5s3": (5, 3, 0)}
LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
# 51 MB are always fresh pages.
PAGES = {"55": "reused", "112": "fresh"}
CASES = [
    (layout, dtype, size, geometry, PAGES[size])
    for layout, dtype in (
        ("nchw", "float32"),
        ("channels_last", "float32"),
        ("nchw", "bfloat16"),
    )
    for size in SHAPES
    for geometry in GEOMETRIES
]
cases = pytest.mark.parametrize(
    ("layout", "dtype", "size", "geometry", "pages"), CASES, indirect=["pages"]
)
ROUNDS = {"55": (21, 3), "112": (15, 1)}


def pooled(layout, dtype, size, geometry):
    torch.manual_seed(0)
    x = torch.randn(SHAPES[size]).to(getattr(torch, dtype))
    x = x.contiguous(memory_format=LAYOUTS[layout])
    y, switches = max_pool2d(x, *GEOMETRIES[geometry])
    return x, torch.randn_like(y), switches


@cases
def test_unpool(paired, layout, dtype, size, geometry, pages):
    x, y, switches = pooled(layout, dtype, size, geometry)
    indices = switches.indices()

    def theirs():
        return F.max_unpool2d(y, indices, *GEOMETRIES[geometry], output_size=x.shape)

    assert torch.equal(max_unpool2d(y, switches), theirs())
    rounds, calls = ROUNDS[size]
    paired(lambda: max_unpool2d(y, switches), theirs, rounds=rounds, calls=calls)


@cases
def test_pool_backward(paired, layout, dtype, size, geometry, pages):
    x, y, switches = pooled(layout, dtype, size, geometry)
    indices = switches.indices()
    kernel, stride, padding = ([number] * 2 for number in GEOMETRIES[geometry])
    arguments = switches.offsets, switches.input_size, *switches.pooling.arguments

    # As the gradient of max_pool2d calls it: its own switches need no validation.
    def ours():
        return _ops.max_unpool(y, *arguments, OVERLAPS.index("sum"), False)

    def theirs(y=y, x=x):
        return torch.ops.aten.max_pool2d_with_indices_backward(
            y, x, kernel, stride, padding, [1, 1], False, indices
        )

    # Of 16-bit values, PyTorch rounds every sum.
    assert torch.equal(ours(), theirs(y.float(), x.float()).to(y.dtype))
    rounds, calls = ROUNDS[size]
    paired(ours, theirs, rounds=rounds, calls=calls)
