"""ReLUMaxPool1d, 2d and 3d are a CountingReLU and a MaxPool."""

import copy
import pickle

import pytest
import torch
from oracle import assert_counts
from torch import nn

import relustat
from relustat import CountingReLU, LinearBins, LogBins, Report

OURS = {1: relustat.ReLUMaxPool1d, 2: relustat.ReLUMaxPool2d, 3: relustat.ReLUMaxPool3d}
THEIRS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_a_relu_and_a_pool(device, axes):
    x = torch.randn(2, 3, *(13, 12, 11)[:axes], device=device)
    for options in ({}, {"stride": 1, "padding": 1}, {"dilation": 2, "ceil_mode": True}):
        module = OURS[axes](3, **options, bins=LinearBins(-2, 2, 8), unit_dim=1)
        assert torch.equal(module(x), THEIRS[axes](3, **options)(torch.relu(x)))
        assert_counts(module.stats, x, LinearBins(-2, 2, 8), 1)
        assert module.zero_count == int((x <= 0).sum())


def test_returns_indices_or_switches(device):
    x = torch.randn(2, 3, 9, 9, device=device)
    y, indices = relustat.ReLUMaxPool2d(3, 2, return_indices=True)(x)
    expected = nn.MaxPool2d(3, 2, return_indices=True)(torch.relu(x))
    assert torch.equal(y, expected[0])
    assert torch.equal(indices, expected[1])
    y, switches = relustat.ReLUMaxPool2d(3, 2, return_switches=True)(x)
    assert torch.equal(switches.indices(), indices)
    assert torch.equal(relustat.MaxUnpool2d()(y, switches).amax(), y.amax())
    with pytest.raises(ValueError, match=r"^ReLUMaxPool2d: only one of return_indices"):
        relustat.ReLUMaxPool2d(2, return_indices=True, return_switches=True)


def test_serves_what_pytorchs_modules_serve(device):
    x = torch.randint(0, 9, (1, 2, 8, 8), device=device)
    assert torch.equal(relustat.ReLUMaxPool2d(2)(x), nn.MaxPool2d(2)(torch.relu(x)))
    module = relustat.ReLUMaxPool2d(200, padding=100)
    x = torch.randn(1, 1, 210, 210, device=device)
    assert torch.equal(module(x), nn.MaxPool2d(200, padding=100)(torch.relu(x)))
    assert module.stats.elements == x.numel()
    with pytest.raises(TypeError, match=r"got (a Tensor of )?torch\.bool"):
        relustat.ReLUMaxPool2d(2)(x > 0)


def test_is_a_module_with_counters(device):
    module = relustat.ReLUMaxPool2d(2, every=2, unit_histograms=True, zero_blocks=3).to(device)
    x = torch.randn(2, 3, 8, 8, device=device)
    for _ in range(4):
        module(x)
    assert module.stats.calls == 2
    assert module.stats.unit_histograms.shape == (3, len(LogBins()))
    assert module.state_dict() == {}
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert other.stats == module.stats
        assert torch.equal(other(x), nn.MaxPool2d(2)(torch.relu(x)))
        assert other.stats.calls == 3
    module.enabled = False
    module(x)
    assert not module.enabled
    module.reset()
    assert module.stats.calls == 0
    assert "kernel_size=2, stride=2" in repr(module)
    assert "unit_histograms=True" in repr(module)


def test_is_in_the_report_and_the_list():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), relustat.ReLUMaxPool2d(2), CountingReLU())
    model(torch.randn(2, 3, 8, 8))
    assert list(Report.of(model).stats) == ["1", "2"]
    assert [each[:4] for each in relustat.swapped(model)] == [
        ("1", "ReLUMaxPool2d", "counts and pools by switches", "relustat's own class"),
        ("2", "CountingReLU", "counts", "relustat's own class"),
    ]


def test_a_watch_counts_it_as_a_relu():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), relustat.ReLUMaxPool2d(2))
    x = torch.randn(2, 3, 8, 8)
    expected = model(x)
    model[1].reset()
    with relustat.watch(model) as watch:
        assert torch.equal(model(x), expected)
    assert watch.stats["1.relu"].elements == model[1].stats.elements == 2 * 4 * 6 * 6
    assert watch.stats["1.relu"].zeros == model[1].stats.zeros


def test_is_not_scriptable():
    with pytest.raises(Exception, match=r"relustat\.unswap|torch.jit.script"):
        torch.jit.script(relustat.ReLUMaxPool2d(2))


@pytest.mark.parametrize("training", [False, True])
def test_compiled(device, training):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), relustat.ReLUMaxPool2d(3, 2, 1)).to(device)
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(2, 3, 12, 12, device=device)
    with torch.set_grad_enabled(training):
        y = compiled(x)
        expected = model(x)
    torch.testing.assert_close(y, expected)
    if training:
        gradients = [torch.autograd.grad(each.sum(), model[0].weight)[0] for each in (y, expected)]
        torch.testing.assert_close(*gradients)
    assert model[1].stats.calls == 2
    assert model[1].stats.elements == 2 * 2 * 8 * 10 * 10
