"""relustat.MaxPool*d as nn.MaxPool*d, and the modules that unpool."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch
from oracle import same_bits
from torch import nn

import relustat
from relustat import MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d

POOLS = [(nn.MaxPool1d, MaxPool1d), (nn.MaxPool2d, MaxPool2d), (nn.MaxPool3d, MaxPool3d)]
UNPOOLS = [MaxUnpool1d, MaxUnpool2d, MaxUnpool3d]


def image(axes, device):
    return torch.randn((2, 3, 9, 10, 11)[: 2 + axes], device=device)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "arguments",
    [(2,), (3, 2), (3, 2, 1), (2, 1, 0, 2), (3, None, 1, 1, True), (3, 2, 1, 1, True, True)],
)
def test_drop_in(device, axes, arguments):
    theirs, ours = (pool(*arguments) for pool in POOLS[axes - 1])
    assert isinstance(ours, POOLS[axes - 1][0])
    assert repr(ours) == repr(theirs)
    assert not ours.state_dict()
    x = image(axes, device)
    for each in (ours, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        outputs, expected = each(x), theirs(x)
        assert type(outputs) is type(expected)
        if not ours.return_indices:
            outputs, expected = [outputs], [expected]
        for output, other in zip(outputs, expected, strict=True):
            assert (
                same_bits(output, other)
                if output.is_floating_point()
                else torch.equal(output, other)
            )


@pytest.mark.parametrize(("theirs", "ours"), POOLS)
def test_same_constructor(theirs, ours):
    expected = list(inspect.signature(theirs).parameters.values())
    parameters = list(inspect.signature(ours).parameters.values())
    assert [(p.name, p.default) for p in parameters[:-1]] == [(p.name, p.default) for p in expected]
    assert parameters[-1].name == "return_switches"
    assert parameters[-1].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_switches_and_unpool(device, axes):
    pool = POOLS[axes - 1][1](3, 2, return_switches=True)
    assert repr(pool).endswith("return_switches=True)")
    x = image(axes, device)
    y, switches = pool(x)
    unpool = UNPOOLS[axes - 1]()
    assert unpool.overlap == "last"
    assert unpool(y, switches).shape == x.shape
    whole = torch.randint_like(y, -9, 10)
    assert UNPOOLS[axes - 1]("sum")(whole, switches).sum() == whole.sum()


def test_repr_of_unpool():
    assert repr(MaxUnpool2d(overlap="max")) == "MaxUnpool2d(overlap='max')"


def test_bad_arguments():
    with pytest.raises(ValueError, match="MaxPool2d: only one of return_indices and return_sw"):
        MaxPool2d(2, return_indices=True, return_switches=True)
    with pytest.raises(ValueError, match=r"MaxUnpool3d: overlap must be .* got 'first'"):
        MaxUnpool3d("first")


@pytest.mark.parametrize(
    ("x", "kernel_size"),
    [
        (torch.randint(0, 9, (1, 2, 9, 9)), 3),
        (torch.quantize_per_tensor(torch.randn(1, 2, 9, 9), 0.1, 8, torch.quint8), 3),
        (torch.randn(1, 1, 200, 200), 200),
        (torch.randn(1, 1, 200, 200), (200, 200)),
    ],
)
def test_what_has_no_kernel_is_left_to_torch(x, kernel_size):
    ours, theirs = MaxPool2d(kernel_size)(x), nn.MaxPool2d(kernel_size)(x)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours.dequantize(), theirs.dequantize())


def test_what_counts_as_an_int():
    x = torch.randn(1, 2, 9, 9)
    for three, two in ((np.int64(3), np.int64(2)), ((3,), (2,)), ([3, 3], torch.Size([2, 2]))):
        assert torch.equal(MaxPool2d(three, two)(x), nn.MaxPool2d(3, 2)(x))


def test_not_a_tensor_is_torchs_error():
    with pytest.raises(TypeError, match="max_pool2d"):
        MaxPool2d(2)("image")


def test_watch_sees_past_the_pools(device):
    model = nn.Sequential(nn.Conv1d(2, 4, 3), MaxPool1d(2), nn.ReLU()).to(device)
    with relustat.watch(model) as watch:
        model(torch.randn(5, 2, 16, device=device))
    # The convolution's channels are the units: pooling keeps them where they were.
    assert len(watch.stats["2"].unit_zeros) == 4
