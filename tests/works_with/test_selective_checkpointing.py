"""Checkpointing that keeps what a policy chooses: the recompute must call the same ops."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from checkpointing_cases import Model, assert_same, calls, trained, whole
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

import relustat
from relustat import CountingReLU


def selective(saved):
    """Checkpoint contexts that keep the outputs of ops for which ``saved`` holds."""

    def policy(context, op, *args, **kwargs):
        return CheckpointPolicy.MUST_SAVE if saved(op) else CheckpointPolicy.MUST_RECOMPUTE

    return functools.partial(create_selective_checkpoint_contexts, policy)


KEPT = {
    "nothing": lambda _: False,
    "matrix products": lambda op: op is torch.ops.aten.mm.default,
    "our ops": lambda op: op.namespace == "relustat",
    "all": lambda _: True,
}


class Chosen(nn.Module):
    """Uses the ops that make counters, too: whose outputs are saved must not be mixed up."""

    def __init__(self, relu):
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        self.relu = relu()

    def forward(self, x):
        y = self.relu(self.linear(x))
        shift = torch.zeros(5, 4, device=x.device) + 3
        return (F.relu(y - 0.1) * y.select(1, 0)[:, None] + shift).sin()


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("kept", KEPT)
def test_selective_checkpointing(device, kept, watched):
    model = Chosen(nn.ReLU if watched else CountingReLU).to(device)
    plain = copy.deepcopy(model)
    x = torch.randn(5, 4, device=device)
    run = functools.partial(whole, use_reentrant=False, context_fn=selective(KEPT[kept]))
    watch = relustat.watch(model) if watched else None
    ours = trained(model, x, run)
    assert_same(ours, trained(plain, x, lambda model, x: model(x)))
    if watched:
        assert calls(watch) == {"relu": 1, "functional_relu": 1}
        watch.close()


@pytest.mark.parametrize("kept", ["nothing", "matrix products", "our ops"])
def test_selective_checkpointing_of_pools_and_in_place_relus(device, kept):
    model = Model().to(device)
    plain = copy.deepcopy(model)
    x = torch.randn(2, 3, 9, 9, device=device)
    run = functools.partial(whole, use_reentrant=False, context_fn=selective(KEPT[kept]))
    assert_same(trained(model, x, run), trained(plain, x, lambda model, x: model(x)))
