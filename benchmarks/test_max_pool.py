"""Max-pooling with switches against PyTorch's, with indices and without. Results are checked."""

import pytest
import torch
import torch.nn.functional as F

from relustat.functional import max_pool2d

SHAPE = (16, 64, 112, 112)
# Kernel, stride, padding; the last is the generic path.
GEOMETRIES = {"k2s2": (2, 2, 0), "k3s2": (3, 2, 0), "k3s2p1": (3, 2, 1), "k5s3p2": (5, 3, 2)}
LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
CASES = [
    *[("nchw", "float32", "indices", geometry, "fresh") for geometry in GEOMETRIES],
    *[("nchw", "float32", "indices", geometry, "reused") for geometry in GEOMETRIES],
    *[("nchw", "float32", "plain", geometry, "reused") for geometry in GEOMETRIES],
    *[("nchw", "bfloat16", "indices", geometry, "reused") for geometry in GEOMETRIES],
    *[("channels_last", "float32", "indices", geometry, "reused") for geometry in GEOMETRIES],
    *[("channels_last", "float32", "plain", geometry, "reused") for geometry in GEOMETRIES],
    *[("channels_last", "bfloat16", "indices", geometry, "reused") for geometry in GEOMETRIES],
]


@pytest.mark.parametrize(
    ("layout", "dtype", "rival", "geometry", "pages"), CASES, indirect=["pages"]
)
def test_pool(paired, layout, dtype, rival, geometry, pages):
    torch.manual_seed(0)
    x = torch.randn(SHAPE).to(getattr(torch, dtype)).contiguous(memory_format=LAYOUTS[layout])
    arguments = GEOMETRIES[geometry]
    with_indices = rival == "indices"

    def theirs():
        return F.max_pool2d(x, *arguments, return_indices=with_indices)

    y, switches = max_pool2d(x, *arguments)
    if with_indices:
        assert torch.equal(switches.indices(), theirs()[1])
    assert torch.equal(y, theirs()[0] if with_indices else theirs())
    paired(lambda: max_pool2d(x, *arguments), theirs, rounds=15)
