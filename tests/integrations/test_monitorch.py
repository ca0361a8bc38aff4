"""The lens against monitorch's own, on equal models with equal batches."""

import copy
import importlib
import math
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import snapshot
from optional import needs
from torch import nn

import relustat

needs("monitorch", whole_file=True)

from monitorch.inspector import PyTorchInspector
from monitorch.lens import OutputActivation
from monitorch.visualizer import AbstractVisualizer

from relustat.integrations.monitorch import ReLUActivation


class Recorder(AbstractVisualizer):
    """Keeps all that it is to draw."""

    def __init__(self):
        self.tags = {}
        self.drawn = []

    def register_tags(self, main_tag, tag_attr):
        self.tags[main_tag] = tag_attr

    def plot_probabilities(self, epoch, main_tag, values_dict):
        self.drawn.append((epoch, main_tag, copy.deepcopy(values_dict)))

    def plot_numerical_values(self, *_):
        raise AssertionError

    plot_relations = plot_numerical_values


def mlp():
    return nn.Sequential(
        OrderedDict(
            lin1=nn.Linear(5, 16),
            relu1=nn.ReLU(),
            drop1=nn.Dropout(0.5),
            lin2=nn.Linear(16, 7),
            relu2=nn.ReLU(inplace=True),
            drop2=nn.Dropout(0.25),
            lin3=nn.Linear(7, 4),
            softmax=nn.Softmax(dim=1),
        )
    )


def cnn():
    return nn.Sequential(
        OrderedDict(
            conv=nn.Sequential(
                OrderedDict(
                    conv1=nn.Conv2d(1, 6, 3, padding=1),
                    relu1=nn.ReLU(),
                    drop=nn.Dropout2d(0.4),
                    conv2=nn.Conv2d(6, 8, 3),
                    act=nn.Tanh(),
                )
            ),
            flatten=nn.Flatten(),
            dense=nn.Sequential(nn.Dropout(0.5), nn.Linear(32, 9), nn.ReLU()),
        )
    )


def with_dead_units(model):
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            with torch.no_grad():
                module.bias[::3] = -9
    return model


def drawn_by(lens, model, epochs, shape, **options):
    """Trains for some epochs of batches of given sizes, with an eval batch after each."""
    recorder = Recorder()
    inspector = PyTorchInspector(lenses=[lens], visualizer=recorder, module=model, **options)
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for sizes in epochs:
        for size in sizes:
            optimizer.zero_grad()
            model(torch.randn(size, *shape)).square().sum().backward()
            optimizer.step()
        model.eval()
        model(torch.zeros(3, *shape))
        model.train()
        inspector.tick_epoch()
    inspector.detach()
    return recorder


def float32_steps(some, others):
    """How many float32 numbers apart two rates are, at most."""
    apart = 0
    for (*where, ours), (*there, theirs) in zip(some, others, strict=True):
        assert where == there
        assert list(ours) == list(theirs)
        for layer, rates in theirs.items():
            assert list(ours[layer]) == list(rates)
            for name, rate in rates.items():
                step = np.spacing(np.float32(rate))
                apart = max(apart, abs(ours[layer][name] - rate) / step)
    return apart


@pytest.mark.parametrize(("make", "shape"), [(mlp, (5,)), (cnn, (1, 4, 4))])
@pytest.mark.parametrize("epochs", [[[4, 4, 4], [8, 8]], [[5, 3, 1, 12], [7], [2, 9]]])
def test_numbers_are_those_of_monitorch(make, shape, epochs):
    model = with_dead_units(make())
    ours = drawn_by(ReLUActivation(), copy.deepcopy(model), epochs, shape)
    theirs = drawn_by(OutputActivation(), model, epochs, shape)
    assert ours.tags == theirs.tags
    assert len(theirs.drawn) == 2 * len(epochs)
    # A batch's activation rate is a float32 mean of float32s with them, exact with us.
    assert float32_steps(ours.drawn, theirs.drawn) <= 2


@pytest.mark.parametrize("how", ["watched", "swapped"])
def test_monitorchs_own_lens_sees_the_plain_model(how):
    """It looks for activations by their exact classes."""
    model = with_dead_units(mlp())
    epochs = [[4, 4], [8]]
    theirs = drawn_by(OutputActivation(), copy.deepcopy(model), epochs, (5,))
    if how == "swapped":
        found = drawn_by(OutputActivation(), relustat.swap(model), epochs, (5,))
    else:
        with relustat.watch(model):
            found = drawn_by(OutputActivation(), model, epochs, (5,))
    assert found.tags == theirs.tags
    assert found.drawn == theirs.drawn
    assert "relu1" in str(theirs.drawn)


def test_numbers_that_need_no_rounding_are_equal():
    """Powers of two are exact in both."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4), nn.ReLU())
    epochs = [[4, 16], [2, 8, 1, 1]]
    ours = drawn_by(ReLUActivation(), copy.deepcopy(model), epochs, (4,))
    theirs = drawn_by(OutputActivation(), model, epochs, (4,))
    assert ours.drawn == theirs.drawn
    assert all(0 < rates["activation_rate"] < 1 for rates in ours.drawn[0][2].values())


def test_epochs_in_which_the_inspector_rests_are_not_recorded():
    model = mlp()
    epochs = [[4], [8], [4], [16]]
    ours = drawn_by(ReLUActivation(), copy.deepcopy(model), epochs, (5,), is_active_fn=2)
    theirs = drawn_by(OutputActivation(), model, epochs, (5,), is_active_fn=2)
    assert [epoch for epoch, *_ in ours.drawn] == [2, 2, 4, 4]
    assert float32_steps(ours.drawn, theirs.drawn) <= 2


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.ReLU()

    def forward(self, x):
        return F.relu(self.relu(self.relu(x) - 2) - 0.25)


def test_functional_in_place_and_repeated_calls_are_told_apart():
    model = Block()
    recorder = Recorder()
    inspector = PyTorchInspector(lenses=[ReLUActivation()], visualizer=recorder, module=model)
    model(torch.tensor([[-1.0, 1.0, 2.125, 2.5], [-1.0, -1.0, 2.125, -1.0]]))
    model(torch.tensor([[-1.0, 3.0, -1.0, -1.0]]))
    inspector.tick_epoch()
    (_, _, rates), (_, tag, worst) = recorder.drawn
    # Of two batches, the one of two samples counts as much as the other. The head was not called.
    assert rates == {
        "relu": {"activation_rate": (4 / 8 + 1 / 4) / 2, "death_rate": (1 / 4 + 3 / 4) / 2},
        "relu_1": {"activation_rate": (3 / 8 + 1 / 4) / 2, "death_rate": (2 / 4 + 3 / 4) / 2},
        "functional_relu": {
            "activation_rate": (1 / 8 + 1 / 4) / 2,
            "death_rate": (3 / 4 + 3 / 4) / 2,
        },
    }
    assert worst[tag] == {"worst activation_rate": 3 / 16, "worst death_rate": 3 / 4}


def test_zero_is_zero_and_nan_is_not_dead():
    model = nn.Sequential(nn.ReLU(), nn.Dropout(0.0))
    lens = ReLUActivation()
    inspector = PyTorchInspector(lenses=[lens], visualizer=Recorder(), module=model)
    model(torch.tensor([[0.0, 5e-9, math.nan, 1.0]]))
    rates = {"activation_rate": 0.5, "death_rate": 0.25}
    assert lens.rates() == {"0": rates, "1": rates}
    inspector.tick_epoch()
    assert lens.rates() == {}


def test_an_epoch_without_a_training_batch_is_empty():
    recorder = Recorder()
    model = Block().eval()
    PyTorchInspector(lenses=[ReLUActivation()], visualizer=recorder, module=model).tick_epoch()
    (_, _, rates), (_, tag, worst) = recorder.drawn
    assert rates == {}
    assert all(math.isnan(rate) for rate in worst[tag].values())
    with pytest.raises(KeyError):
        PyTorchInspector(
            lenses=[OutputActivation()], visualizer=recorder, module=model
        ).tick_epoch()


def test_a_batch_that_fails_is_not_mixed_with_the_next():
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 1))
    lens = ReLUActivation()
    PyTorchInspector(lenses=[lens], visualizer=Recorder(), module=model)
    with pytest.raises(RuntimeError):
        model(torch.ones(1, 4))
    model(torch.zeros(3, 2))
    assert lens.rates()["0"] == {"activation_rate": 0.5, "death_rate": 0.5}


def test_detaching_leaves_nothing_behind():
    model = cnn()
    before = snapshot(model)
    lens = ReLUActivation()
    inspector = PyTorchInspector(lenses=[lens], visualizer=Recorder(), module=model)
    model(torch.ones(2, 1, 4, 4))
    assert lens.rates()
    inspector.detach()
    assert snapshot(model) == before
    assert lens.rates() == {}
    inspector.attach(model).attach(mlp())
    assert snapshot(model) == before
    with relustat.watch(model):
        watched = snapshot(model)
        with pytest.raises(ValueError, match="a model can be watched once at a time"):
            PyTorchInspector(lenses=[ReLUActivation()], visualizer=Recorder(), module=model)
        assert snapshot(model) == watched


def test_monitorch_is_asked_for_by_this_module_only(monkeypatch):
    package = "relustat.integrations"
    for module in (package, f"{package}.monitorch"):
        monkeypatch.delitem(sys.modules, module)
    for module in ("monitorch", "monitorch.gatherer"):
        monkeypatch.setitem(sys.modules, module, None)
    importlib.import_module(package)
    with pytest.raises(ImportError, match=r"needs monitorch.*pip install monitorch"):
        importlib.import_module(f"{package}.monitorch")
