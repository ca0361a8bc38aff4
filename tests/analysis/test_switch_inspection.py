import collections

import pytest
import torch
from torch.nn import functional as F

import relustat
from relustat.analysis import inspect_switches


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [((2, 3, 17, 17), 3, 2), ((2, 3, 16, 16), 2, 2), ((3, 20), 4, 1), ((2, 6, 7, 8), (3, 2, 3), 2)],
)
def test_counts(shape, kernel, stride, device):
    axes = {4: 2, 2: 1}[len(shape)] if kernel != (3, 2, 3) else 3
    x = torch.randn(shape, device=device).relu()
    pool = getattr(relustat, f"MaxPool{axes}d")(kernel, stride, return_switches=True)
    found = inspect_switches(pool(x)[1])

    function = getattr(F, f"max_pool{axes}d")
    _, indices = function(x, kernel, stride, return_indices=True)
    planes = indices.reshape(-1, indices.shape[-axes:].numel()).tolist()
    cells = collections.Counter((plane, i) for plane, each in enumerate(planes) for i in each)
    assert found.windows == indices.numel()
    assert found.sharing == sum(count for count in cells.values() if count > 1)
    assert found.sharing_fraction == found.sharing / found.windows

    size = x.shape[-axes:]
    kernels = [kernel] * axes if isinstance(kernel, int) else kernel
    winners = torch.zeros(*kernels, dtype=torch.int64)
    coordinates = torch.unravel_index(indices.cpu(), size)
    for window in torch.ones(indices.shape).nonzero().tolist():
        positions = [int(each[tuple(window)]) for each in coordinates]
        starts = [at * stride for at in window[-axes:]]
        winners[tuple(p - s for p, s in zip(positions, starts, strict=True))] += 1
    assert torch.equal(found.winners.cpu(), winners)


def test_no_switches():
    with pytest.raises(TypeError, match=r"must be relustat\.Switches, got Tensor"):
        inspect_switches(torch.ones(3))


def test_of_an_empty_batch():
    _, switches = relustat.MaxPool2d(2, return_switches=True)(torch.ones(0, 3, 4, 4))
    found = inspect_switches(switches)
    assert (found.windows, found.sharing, found.sharing_fraction) == (0, 0, 0.0)
    assert str(found).endswith("0 windows (0.0%) share it with another")
