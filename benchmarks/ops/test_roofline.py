"""Bytes read and written over time, beside a pass of PyTorch's that counts nothing.

It is a copy into memory in use, or in place a negation: no copy, which fetches two tensors instead
of one. In place, a ReLU finds its own output from the second round on: half of it is 0.
"""

import pytest
import torch
from harness.relu_inputs import LINEAR, check_counts, relu_input
from torch import nn

from relustat import CountingReLU, LogBins

pytestmark = pytest.mark.roofline

RELUS = {
    "plain": nn.ReLU,
    "zeros": lambda inplace: CountingReLU(inplace, bins=None),
    "log": lambda inplace: CountingReLU(inplace, bins=LogBins()),
    "linear200": lambda inplace: CountingReLU(inplace, bins=LINEAR),
}


@pytest.mark.parametrize("counted", RELUS)
@pytest.mark.parametrize("inplace", [False, True], ids=["new_output", "in_place"])
@pytest.mark.parametrize("size", ["51M"], ids=["51M-float32-nchw"])
def test_roofline(paired, size, inplace, counted):
    source = relu_input(size)
    target = source.clone()
    x = source.clone() if inplace else source
    relu = RELUS[counted](inplace)
    if counted != "plain":
        check_counts(RELUS[counted](False), source)
    assert torch.equal(relu(x), torch.relu(source))
    paired(
        lambda: relu(x),
        target.neg_ if inplace else lambda: target.copy_(source),
        rounds=9,
        what=counted,
        rival="negation" if inplace else "copy",
        elements=x.numel(),
        bytes=source.nbytes + target.nbytes,
        inplace=inplace,
    )
