"""Activation and death rates by epoch, against NumPy and autograd."""

import math

import numpy as np
import pytest
import torch
from rates_cases import Net, batches, rates_of, train
from torch import nn

from relustat.analysis.rates import activation_rates
from relustat.analysis.rates.activation_rates import ActivationRates


def test_outputs_are_those_of_the_definitions():
    model = Net()
    expected = []
    with ActivationRates(model, gradients=False) as rates:
        for epoch, sizes in [(3, [4, 7, 1]), (5, [2, 2])]:
            model.seen.clear()
            train(model, batches(sizes))
            rates.snapshot(epoch)
            expected.append({name: rates_of(seen) for name, seen in model.seen.items()})
    assert list(rates.outputs) == ["relu", "relu_1", "functional_relu", "drop2d", "drop"]
    for layer, found in rates.outputs.items():
        assert found.epochs.tolist() == [3, 5]
        assert found.epochs.dtype == np.int64
        activation, death = zip(*(each[layer] for each in expected), strict=True)
        assert found.activation.tolist() == list(activation)
        np.testing.assert_allclose(found.death, death, rtol=1e-15)
    assert (rates.outputs["functional_relu"].death >= 0.8).all()
    assert rates.gradients == {}


def test_gradients_are_those_of_autograd():
    torch.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 6)),
        *(nn.ReLU(), nn.Linear(6, 2), nn.Linear(2, 2, bias=False)),
    )
    model[4].bias.data[:2] = -99
    model[0].bias.requires_grad_(False)
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    expected = []
    with ActivationRates(model, outputs=False) as rates:
        for epoch, sizes in enumerate([(3, 5), (4,)]):
            seen = {name: [] for name in trained}
            for size in sizes:
                loss = model(torch.randn(size, 1, 3, 3)).sum()
                found = torch.autograd.grad(loss, trained.values(), retain_graph=True)
                for name, gradient in zip(trained, found, strict=True):
                    seen[name].append(gradient.reshape(len(gradient), -1).numpy())
                model.zero_grad()
                loss.backward()
            rates.snapshot(epoch)
            expected.append(seen)
    counted = ["0.weight", "1.weight", "1.bias", "4.weight", "4.bias", "6.weight", "6.bias"]
    assert list(rates.gradients) == counted
    for name, found in rates.gradients.items():
        assert found.epochs.tolist() == [0, 1]
        for epoch, seen in enumerate(expected):
            activation = np.mean([(gradient != 0).mean() for gradient in seen[name]])
            death = np.mean([(~gradient.any(1)).mean() for gradient in seen[name]])
            assert found.activation[epoch] == pytest.approx(activation, rel=1e-15)
            assert found.death[epoch] == pytest.approx(death, rel=1e-15)
    assert (rates.gradients["4.weight"].death >= 2 / 6).all()
    assert rates.outputs == {}


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_dead_outputs_of_transposed_convolutions(axes, groups):
    layer = getattr(nn, f"ConvTranspose{axes}d")(4, 6, 2, groups=groups)
    alive = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.0]).reshape(6, *[1] * axes)
    x = torch.rand(3, 4, *[5] * axes) + 1
    x[:, 0] = 0
    with ActivationRates(layer) as rates:
        (layer(x) * alive).sum().backward()
        rates.snapshot(0)
    # The first input, of the first group, passes nothing to any output of its group.
    silent = 3 if groups == 1 else 2
    assert rates.gradients["bias"].death.tolist() == [3 / 6]
    assert rates.gradients["weight"].death.tolist() == [3 / 6]
    entries = 6 * 4 // groups
    active = 3 * 4 // groups - silent
    assert rates.gradients["weight"].activation.tolist() == [active / entries]


def test_each_accumulation_counts_once_with_what_has_accumulated():
    model = nn.Linear(2, 2)
    with ActivationRates(model) as rates:
        model(torch.tensor([[1.0, 0.0]]))[:, 0].sum().backward()
        model(torch.tensor([[0.0, 1.0]]))[:, 0].sum().backward()  # now [[1, 1], [0, 0]]
        model.weight.grad = None
        (model(torch.tensor([[1.0, 1.0]])) * torch.tensor([1.0, 1.0])).sum().backward()
        rates.snapshot(0)
    assert rates.gradients["weight"].activation.tolist() == [(1 + 2 + 4) / 12]
    assert rates.gradients["weight"].death.tolist() == [(1 + 1 + 0) / 6]
    # Nobody has set the bias's to None.
    assert rates.gradients["bias"].activation.tolist() == [(1 + 1 + 2) / 6]


@pytest.mark.parametrize("during", ["train", "eval", "all"])
def test_during(during):
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Dropout(0.0))
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.fill_(0)
    with ActivationRates(model, during=during) as rates:
        for mode, value in [(True, 1.0), (False, -1.0)]:
            model.train(mode)
            model.zero_grad(set_to_none=True)
            model(torch.full((2, 1), value)).sum().backward()
        rates.snapshot(0)
    active = {"train": 1.0, "eval": 0.0, "all": 0.5}[during]
    layers = rates.outputs | rates.gradients
    assert list(layers) == ["1", "2", "0.weight", "0.bias"]
    for layer in layers.values():
        assert layer.activation.tolist() == [active]
        assert layer.death.tolist() == [1 - active]


@pytest.mark.parametrize(
    ("layer", "shape", "unit_axis"),
    [
        (nn.Dropout(0.5), (4, 3), 1),
        (nn.AlphaDropout(0.5), (4, 3), 1),
        (nn.Dropout(0.5), (2, 5, 3), 2),
        (nn.Dropout1d(0.5), (2, 3, 5), 1),
        (nn.Dropout1d(0.5), (3, 5), 0),
        (nn.Dropout2d(0.5), (2, 3, 4, 4), 1),
        (nn.Dropout3d(0.5), (2, 3, 2, 2, 2), 1),
        (nn.FeatureAlphaDropout(0.5), (2, 3, 2, 2, 2), 1),
    ],
)
def test_units_of_dropout_layers(layer, shape, unit_axis):
    outputs = []
    x = torch.randn(shape)
    x.select(unit_axis, 0).zero_()
    with ActivationRates(layer) as rates:
        for _ in range(4):
            outputs.append(np.moveaxis(layer(x).numpy(), unit_axis, 1))
        rates.snapshot(0)
    activation, death = rates_of(outputs)
    assert rates.outputs["dropout"].activation.tolist() == [activation]
    assert rates.outputs["dropout"].death[0] == pytest.approx(death, rel=1e-15)


def test_zero_is_zero_and_nan_is_neither():
    values = torch.tensor([[0.0, -0.0, 1e-30, math.nan]])
    model = nn.Sequential(nn.ReLU(), nn.Dropout(0.0))
    weights = nn.Linear(1, 4)
    with ActivationRates(model) as outputs, ActivationRates(weights) as gradients:
        model(values)
        (weights(torch.ones(1, 1)) * values).sum().backward()
        outputs.snapshot(0)
        gradients.snapshot(0)
    for rates in (*outputs.outputs.values(), *gradients.gradients.values()):
        assert (rates.activation.tolist(), rates.death.tolist()) == ([0.25], [0.5])
    assert len(outputs.outputs) + len(gradients.gradients) == 4


def test_layers_that_are_not_called_are_left_out():
    model = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Dropout(0.0), "c": nn.Linear(1, 1)})
    with ActivationRates(model) as rates:
        model["a"](torch.ones(1, 1))
        rates.snapshot(0)
        rates.snapshot(1)
        assert str(rates) == "epoch 1\n! no layer was called in training mode"
        model["b"](torch.zeros(1, 1))
        rates.snapshot(2)
    found = {name: each.epochs.tolist() for name, each in rates.outputs.items()}
    assert found == {"a": [0], "b": [2]}
    assert rates.gradients == {}
    worst = [(each.epoch, each.activation_layer) for each in rates.worst("outputs")]
    assert worst == [(0, "a"), (2, "b")]


def test_worst_layers():
    model = nn.ModuleDict({name: nn.Dropout(0.0) for name in "abc"})
    with ActivationRates(model, gradients=False) as rates:
        model["a"](torch.tensor([[0.0, 1.0, 1.0, 1.0]]))
        model["b"](torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
        model["c"](torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]))
        rates.snapshot(7)
    (worst,) = rates.worst("outputs")
    assert worst == activation_rates.Worst(7, 1 / 3, "b", 2 / 3, "c")


def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"ActivationRates: model must be an nn\.Module, got list"):
        ActivationRates([])
    with pytest.raises(ValueError, match="outputs or gradients must be counted, got neither"):
        ActivationRates(Net(), outputs=False, gradients=False)
    with pytest.raises(ValueError, match="during must be 'train', 'eval' or 'all', got 'test'"):
        ActivationRates(Net(), outputs=False, during="test")
    lazy = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(4))
    with pytest.raises(ValueError, match="must have their weights, got the lazy '1'; call the mo"):
        ActivationRates(lazy)
    lazy(torch.ones(1, 2))
    ActivationRates(lazy).close()
    for during, mode in [
        ("train", " in training mode"),
        ("eval", " in evaluation mode"),
        ("all", ""),
    ]:
        with ActivationRates(lazy, during=during) as rates:
            rates.snapshot(0)
        assert str(rates) == f"epoch 0\n! no layer was called{mode}"
    with ActivationRates(Net(), outputs=False) as rates:
        rates.snapshot(np.int64(4))
        for epoch, message in [
            ("5", "snapshot: epoch must be an integer, got '5'"),
            (True, "snapshot: epoch must be an integer, got True"),
            (4, "snapshot: epochs must increase, got 4 after 4"),
        ]:
            with pytest.raises(ValueError, match=message):
                rates.snapshot(epoch)
        with pytest.raises(ValueError, match=r"worst: kind must be one of \['gradients'\], got 'o"):
            rates.worst("outputs")
