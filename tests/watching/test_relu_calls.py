"""Every spelling of ReLU is seen, and nothing else; outputs, gradients and errors stay torch's."""

import math

import pytest
import torch
import torch.nn.functional as F
from oracle import assert_counts, same_bits
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import relustat

SPELLINGS = {
    "F.relu": F.relu,
    "F.relu inplace": lambda x: F.relu(x, inplace=True),
    "F.relu input=": lambda x: F.relu(input=x),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "torch.clamp": lambda x: torch.clamp(x, min=0),
    "torch.clamp positional": lambda x: torch.clamp(x, 0),
    "torch.clip": lambda x: torch.clip(x, min=0.0),
    "torch.clamp_": lambda x: torch.clamp_(x, min=0),
    "torch.clamp_min": lambda x: torch.clamp_min(x, 0),
    "torch.clamp_min_": lambda x: torch.clamp_min_(x, 0),
    "Tensor.clamp": lambda x: x.clamp(min=0),
    "Tensor.clamp_": lambda x: x.clamp_(min=0),
    "Tensor.clip": lambda x: x.clip(0),
    "Tensor.clip_": lambda x: x.clip_(min=0),
    "Tensor.clamp_min": lambda x: x.clamp_min(0),
    "Tensor.clamp_min_": lambda x: x.clamp_min_(0),
    "F.threshold": lambda x: F.threshold(x, 0, 0),
    "F.threshold inplace": lambda x: F.threshold(x, 0, 0, inplace=True),
    "F.threshold_": lambda x: F.threshold_(x, 0, 0),
    "torch.threshold": lambda x: torch.threshold(x, 0, 0),
    "clamp(0, inf)": lambda x: x.clamp(0, math.inf),
    "clamp tensor": lambda x: torch.clamp(x, min=torch.zeros(())),
    "clamp_min tensor": lambda x: x.clamp_min(torch.zeros(1)),
    "clamp out=": lambda x: torch.clamp(x.detach(), 0, out=torch.empty_like(x)) + 0 * x,
    "F.hardtanh": lambda x: F.hardtanh(x, 0.0, math.inf),
    "F.hardtanh_": lambda x: F.hardtanh_(x, 0.0, math.inf),
    "F.leaky_relu": lambda x: F.leaky_relu(x, 0.0),
    "F.leaky_relu inplace": lambda x: F.leaky_relu(x, 0.0, inplace=True),
    "aten.relu": torch.ops.aten.relu,
    "aten.clamp_min": lambda x: torch.ops.aten.clamp_min(x, 0),
    "nn.Hardtanh": nn.Hardtanh(0.0, math.inf),
    "nn.LeakyReLU": nn.LeakyReLU(0.0),
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU inplace": nn.ReLU(True),
    "nn.Threshold": nn.Threshold(0, 0),
}
NOT_RELU = {
    "clamp both": lambda x: x.clamp(0, 6),
    "clamp max": lambda x: x.clamp(max=0),
    "clamp other": lambda x: x.clamp(min=0.1),
    "clamp to others": lambda x: x.clamp(min=torch.tensor([0.0, 0, 0, 1], device=x.device)),
    "clamp_min tensor other": lambda x: x.clamp_min(torch.ones(())),
    "clamp larger": lambda x: x[:1].clamp(min=torch.zeros(1, 1, 1)),
    "clamp_min other": lambda x: x.clamp_min(-1),
    "relu6": F.relu6,
    "leaky": F.leaky_relu,
    "gelu": F.gelu,
    "threshold other": lambda x: F.threshold(x, 0, 1),
    "nn.Threshold other": nn.Threshold(0.5, 0),
}


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.inner = function

    def forward(self, x):
        return self.inner(x * 1)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling(device, spelling):
    model = Call(SPELLINGS[spelling])
    x = torch.tensor([[-1.0, 0.0, -0.0, 2.0], [3.0, -2.0, float("nan"), 1.0]], device=device)
    x.requires_grad_()
    expected = model(x)
    (gradient,) = torch.autograd.grad(expected.sum(), x)
    with relustat.watch(model) as watch:
        output = model(x)
    assert same_bits(output, expected)
    assert same_bits(torch.autograd.grad(output.sum(), x)[0], gradient)
    (stats,) = watch.stats.values()
    assert_counts(stats, x, relustat.LogBins(), unit_dim=1)
    assert list(watch.stats) == ["inner"]


@pytest.mark.parametrize("spelling", NOT_RELU)
def test_what_is_no_relu(spelling):
    model = Call(NOT_RELU[spelling])
    x = torch.randn(3, 4)
    expected = model(x)
    with relustat.watch(model) as watch:
        assert same_bits(model(x), expected)
    assert watch.stats == {}
    other, choice = {
        "relu6": ("ReLU6", "relu-like"),
        "leaky": ("LeakyReLU", "relu-like"),
        "gelu": ("GELU", "all"),
        "threshold other": ("Threshold", "relu-like"),
        "nn.Threshold other": ("Threshold", "relu-like"),
    }.get(spelling, ("", ""))
    said = f"no ReLU was called: 1 {other}; try activations={choice!r}"
    assert watch.report().warnings == [said if other else "no ReLU was seen"]


def test_wrong_arguments_raise_torchs_errors():
    for wrong in (lambda _: torch.relu(), lambda x: F.relu(x, in_place=True), lambda x: x.clamp()):
        model = Call(wrong)
        with pytest.raises((TypeError, RuntimeError)) as plain:
            model(torch.ones(2))
        with relustat.watch(model), pytest.raises(type(plain.value)) as watched:
            model(torch.ones(2))
        assert str(watched.value) == str(plain.value)


class OutOfMemory(TorchDispatchMode):
    """Has no memory for the outputs of activations."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._opname in ("relu", "gelu", "rrelu_with_noise"):
            raise torch.OutOfMemoryError("no memory")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("activation", [torch.relu, F.gelu, F.rrelu])
def test_a_call_that_raises_is_not_counted(device, activation):
    model = Call(activation)
    x = torch.randn(3, 4, device=device)
    with relustat.watch(model, activations="all") as watch:
        model(x)
        with OutOfMemory(), pytest.raises(torch.OutOfMemoryError):
            model(x)
        model(x)
    assert [stats.calls for stats in watch.stats.values()] == [2]


def test_gradient_at_zero_of_clamp_stays_clamps():
    model = Call(lambda x: x.clamp(min=0))
    x = torch.zeros(2, 3, requires_grad=True)
    # 1, and 0 from PyTorch 2.14 on.
    (expected,) = torch.autograd.grad(x.clamp(min=0).sum(), x)
    with relustat.watch(model) as watch:
        model(x).sum().backward()
    assert torch.equal(x.grad, expected)
    assert watch.stats["inner"].zeros == 6
