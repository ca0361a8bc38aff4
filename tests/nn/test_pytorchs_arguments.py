"""Calls of unpooling as PyTorch's: the errors lead to switches."""

import pytest
import torch

import relustat
from relustat import functional

y, indices = torch.ones(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: relustat.MaxUnpool2d(2, 2), r"got \(2, 2\)"),
        (lambda: relustat.MaxUnpool2d(2), r"got \(2,\)"),
        (lambda: relustat.MaxUnpool2d(kernel_size=2), "got {'kernel_size': 2}"),
        (lambda: relustat.MaxUnpool2d()(y, indices, output_size=(4, 4)), "got {'output_size'"),
        (lambda: relustat.MaxUnpool2d(2, overlap="sum"), r"got \(2,\)"),
        (lambda: functional.max_unpool2d(y, indices, 2), r"got \(2,\)"),
    ],
)
def test_geometry_is_in_the_switches(call, got):
    with pytest.raises(TypeError, match=got) as error:
        call()
    assert "MaxPool2d(..., return_switches=True) gives them" in str(error.value)


def test_indices_lead_to_switches():
    with pytest.raises(TypeError, match=r"got Tensor \(Switches\.from_indices makes them"):
        relustat.MaxUnpool2d()(y, indices)
    with pytest.raises(TypeError, match=r"must be relustat\.Switches, got NoneType"):
        relustat.MaxUnpool2d()(y)
