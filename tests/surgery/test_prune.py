"""Pruned models give the same, or are as they were."""

import pytest
import torch
from dead_models import Chain, X, counted, dead_model, deaths, kill, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import relustat
from relustat.surgery import Skipped, prune_dead


@settings(max_examples=10, deadline=None)
@given(deaths, st.booleans(), st.integers(0, 100))
def test_pruned_models_give_the_same(dead, norm, seed):
    torch.manual_seed(seed)
    model = kill(Chain(norm=norm), dead).eval()
    expected, before = model(X), tensors(model)
    watch = counted(model)
    found = [stats.dead_units.tolist() for stats in watch.stats.values()]
    dead = dict(zip(("conv1", "conv2", "fc1", "fc2"), found, strict=True))
    done = prune_dead(model, watch, X)
    torch.testing.assert_close(model(X), expected)
    pruned = {change.layer: list(change.units) for change in done.done}
    for path, width in (("conv1", 6), ("conv2", 5), ("fc1", 8), ("fc2", 7)):
        wanted = dead[path]
        wanted = wanted[len(wanted) == width :]  # one unit is kept
        assert pruned.get(path, []) == wanted
        layer = model.get_submodule(path)
        kept = [unit for unit in range(width) if unit not in wanted]
        assert len(layer.weight) == len(layer.bias) == len(kept)
        assert torch.equal(layer.bias, before[f"{path}.bias"][kept])
        size = layer.out_channels if path.startswith("conv") else layer.out_features
        assert size == len(kept)
    assert done.skipped == []
    assert bool(done) is any(pruned.values())
    # It can be trained and counted.
    model.train()(X).sum().backward()
    assert all(each.grad is not None for each in model.parameters())
    layers = (model.conv1, model.conv2, model.fc1, model.fc2)
    widths = [stats.widths for stats in counted(model.eval()).stats.values()]
    assert widths == [(len(layer.weight),) for layer in layers]


@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_feed_forward_layers_of_transformers(kind):
    torch.manual_seed(0)
    model = kind(16, 2, 32, batch_first=True).eval()
    with torch.no_grad():
        model.linear1.bias[[3, 30]] = -100
    x = torch.randn(2, 5, 16)
    inputs = (x,) if kind is nn.TransformerEncoderLayer else (x, x)
    with relustat.watch(model) as watch:
        expected = model(*inputs)
    assert str(prune_dead(model, watch, inputs)) == (
        "relu  2 units of linear1 pruned: 3, 30; read by linear2"
    )
    torch.testing.assert_close(model(*inputs), expected)
    assert model.linear1.weight.shape == (30, 16)
    assert model.linear2.weight.shape == (16, 30)


@pytest.mark.parametrize("fault", ["fires", "raises"])
def test_a_model_that_would_give_something_else_is_as_it_was(fault):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))
    x = torch.rand(64, 2)
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.copy_(torch.tensor([-0.5, -100, 1, 1, -100, 1]))
    model.eval()
    watch = counted(model, torch.zeros(4, 2))
    assert 0 in watch.stats["2"].dead_units
    before, parameters = tensors(model), list(model.parameters())
    model.train()
    if fault == "raises":

        def picky(_, args):
            assert args[0].shape[1] == 6, "too small"

        picky.__module__ = "relustat.test"  # else it would be seen before
        model[3].register_forward_pre_hook(picky)
    got = "units that fire for them" if fault == "fires" else "an error of the smaller model: too"
    rule = "prune_dead: the outputs for `inputs` must stay the same, got "
    with pytest.raises(ValueError, match=rule + got):
        prune_dead(model, watch, x)
    assert [id(each) for each in model.parameters()] == [id(each) for each in parameters]
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert str(model[0]) == "Linear(in_features=2, out_features=6, bias=True)"
    assert model[1].num_features == 6


def test_an_open_watch_does_not_count_what_prune_dead_asks():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].bias[0] = -100
    x = torch.rand(4, 2)
    with relustat.watch(model) as watch:
        model(x)
        prune_dead(model, watch, {"input": x})
        assert watch.stats["1"].calls == 1
        prune_dead(model, watch.report(), (x,))
        assert watch.stats["1"].calls == 1
        model(x)
        assert len(watch.stats["1"].widths) == 2


def test_the_last_unit_stays():
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    x = torch.rand(4, 2)
    done = prune_dead(model, counted(model, x), x)
    assert done.skipped == [Skipped("1", 1, "it is the last of 0")]
    assert not done


def test_outputs_that_cannot_be_compared_are_an_error():
    class Wrapped(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return {1: "no tensor", 2: self.model(x) is None}

    model, x = dead_model()
    wrapped = Wrapped(model)
    before = tensors(wrapped)
    with pytest.raises(ValueError, match="prune_dead: the model must give tensors, alone or in"):
        prune_dead(wrapped, counted(wrapped, x), x)
    assert all(torch.equal(each, before[name]) for name, each in wrapped.state_dict().items())


def test_a_data_parallel_model_is_pruned_uncounted():
    model, x = dead_model()
    parallel = nn.DataParallel(model)
    with relustat.watch(parallel) as watch:
        parallel(x)
        assert prune_dead(parallel, watch, x).units == 2
        assert [stats.calls for stats in watch.stats.values()] == [1]
