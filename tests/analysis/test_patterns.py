"""Counts of distinct activation patterns, against matrices of bits."""

import importlib
import itertools
import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relustat.analysis.patterns import ActivationPatterns, activation_patterns

MODULE = importlib.import_module("relustat.analysis.patterns")


def with_whole_weights(model):
    """Exact in float64: no rounding makes a pattern depend on the batch."""
    for parameter in model.parameters():
        parameter.data = torch.randint(-2, 3, parameter.shape).double()
    return model.eval()


class MLP(nn.Module):
    """One module called twice, in place; a function; a clamp."""

    NAMES = ("relu", "relu_1", "last.relu", "clamp")

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return F.relu(self.fc(x), inplace=True)

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(3, 5), nn.Linear(5, 4)
        self.relu = nn.ReLU(inplace=True)
        self.last = self.Last()

    def forward(self, x):
        x = self.last(self.relu(self.fc2(self.relu(self.fc1(x)))))
        return (x - 1).clamp(min=0)

    def pre_activations(self, x):
        first = self.fc1(x)
        second = self.fc2(first * (first > 0))
        third = self.last.fc(second * (second > 0))
        return [first, second, third, third * (third > 0) - 1]


class CNN(nn.Sequential):
    NAMES = ("1", "3")

    def __init__(self):
        super().__init__(
            *(nn.Conv2d(1, 2, 2), nn.ReLU(inplace=True)),
            *(nn.Conv2d(2, 2, 2, bias=False), nn.ReLU()),
        )

    def pre_activations(self, x):
        first = self[0](x)
        return [first, self[2](first * (first > 0))]


CASES = {
    "mlp": (MLP, lambda: torch.randint(-3, 4, (500, 3)).double()),
    "cnn": (CNN, lambda: torch.randint(-1, 2, (300, 1, 3, 3)).double()),
    "channels_last": (
        CNN,
        lambda: torch.randint(-1, 2, (300, 1, 3, 4)).double().to(memory_format=torch.channels_last),
    ),
}


def distinct(bits):
    return len(np.unique(bits, axis=0))


@pytest.fixture(params=CASES)
def case(request):
    make_model, make_data = CASES[request.param]
    return with_whole_weights(make_model()), make_data()


def test_counts_equal_those_of_bit_matrices(case):
    model, x = case
    found = activation_patterns(model, x.split(64))
    bits = [(each > 0).flatten(1).detach().numpy() for each in model.pre_activations(x)]
    assert found.samples == len(x)
    assert found.units == {n: each.shape[1] for n, each in zip(model.NAMES, bits, strict=True)}
    assert found.layers == {n: distinct(each) for n, each in zip(model.NAMES, bits, strict=True)}
    assert found.network == distinct(np.concatenate(bits, axis=1))
    assert 1 < min(found.layers.values()) <= found.network < len(x)
    assert not found.skipped


def assert_equal(a, b):
    assert (a.samples, a.units, a.skipped) == (b.samples, b.units, b.skipped)
    assert list(a.hashes) == list(b.hashes)
    assert all(np.array_equal(a.hashes[name], b.hashes[name]) for name in a.hashes)
    assert np.array_equal(a.network_hashes, b.network_hashes)


def test_any_batches_in_any_order(case):
    model, x = case
    expected = activation_patterns(model, [x])
    assert expected.network_hashes.dtype == np.int64
    assert (np.diff(expected.network_hashes) > 0).all()
    for size in (1, 7, 100):
        assert_equal(activation_patterns(model, x[torch.randperm(len(x))].split(size)), expected)


def test_parts_add_up(case):
    model, x = case
    parts = [activation_patterns(model, [part]) for part in (x[:200], x[150:])]
    both = parts[0] + parts[1]
    assert both.samples == len(x) + 50
    whole = activation_patterns(model, [x])
    assert (both.layers, both.network) == (whole.layers, whole.network)
    assert_equal(both, activation_patterns(model, [x[:200], x[150:]]))
    with pytest.raises(TypeError, match="unsupported operand"):
        both + 1


def test_labels_and_empty_batches_are_passed_over(case):
    model, x = case
    expected = activation_patterns(model, [x])
    for batches in ([(x, 1)], [[x, x, x]], [x[:0], x], [x, (x[:0],)]):
        assert_equal(activation_patterns(model, batches), expected)


def test_regions_of_lines_in_the_plane():
    """Three lines in general position part it into 7."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval()
    model[0].weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    model[0].bias.data = torch.tensor([0.0, 0.0, -1.0])
    axis = torch.linspace(-3, 3, 61)
    found = activation_patterns(model, torch.cartesian_prod(axis, axis).split(1000))
    assert found.layers == {"1": 7}
    assert found.network == 7


def test_more_patterns_than_are_gathered_at_once():
    x = torch.randint(-1, 2, (300_000, 13)).float()
    found = activation_patterns(nn.Sequential(nn.ReLU()).eval(), [*x.split(999), x[:200_000]])
    assert found.samples == 500_000
    codes = (x > 0).numpy() @ (1 << np.arange(13))
    assert found.network == len(np.unique(codes))
    many = torch.randn(200_000, 64)
    found = activation_patterns(nn.Sequential(nn.ReLU()).eval(), many.split(50_000))
    assert found.network == 200_000


def test_equal_patterns_take_no_memory():
    x = torch.randn(20_000, 1)
    tracemalloc.start()
    found = activation_patterns(nn.Sequential(nn.ReLU()).eval(), itertools.repeat(x, 100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.samples == 2_000_000
    assert found.network == 2
    assert peak < 8 * found.samples / 4


def test_the_model_is_as_before(case):
    model, x = case
    expected = model(x)
    x.requires_grad_()
    activation_patterns(model, [x])
    assert torch.equal(model(x), expected)
    assert x.grad is None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class WithOthers(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        steps = torch.arange(len(x)).relu()
        mean = x.mean(0, keepdim=True).relu()
        return F.relu(x) * self.scale.relu() + mean + steps[:, None] + x.int().relu()


@pytest.mark.parametrize("batch", [3, 8])
def test_relus_of_other_things_are_named(batch):
    # A batch of 3 has as many samples as there are scales; so has the last one of 8.
    x = torch.randn(19, 3)
    found = activation_patterns(WithOthers().eval(), x[: 19 - batch % 2].split(batch))
    x = x[: 19 - batch % 2]
    assert found.units == {"relu_2": 3}
    assert found.network == found.layers["relu_2"] == distinct((x > 0).numpy())
    other = "its input does not depend on the model's"
    mean = f"its input is [1, 3] in a batch of {batch}"
    skipped = {"relu_1": mean, "relu_4": "its input is torch.int32"}
    assert found.skipped == {"relu": other, "relu_3": other, **skipped}
    assert f"! relu_1: {mean}" in str(found)


def test_scripted_parts_are_named():
    model = nn.Sequential(torch.jit.script(nn.ReLU()), nn.Linear(3, 4), nn.ReLU()).eval()
    found = activation_patterns(model, torch.randn(5, 3))
    assert list(found.units) == ["2"]
    assert found.skipped == {"0": "it is a TorchScript module, inside which nothing is seen"}


class Both(nn.ReLU):
    def forward(self, x):
        return torch.cat([F.relu(x), F.relu(-x - 1)], 1)


def test_several_relus_of_a_relu_module():
    x = torch.randn(200, 2)
    found = activation_patterns(nn.Sequential(Both()).eval(), x)
    assert found.layers == {"0": distinct((x > 0).numpy()), "0_1": distinct((-x - 1 > 0).numpy())}
    both = torch.cat([x > 0, -x - 1 > 0], 1)
    assert found.network == distinct(both.numpy())


def test_table():
    layers = {"stem": 750, "blocks.0.relu": 64}
    found = ActivationPatterns(
        20_000,
        layers,
        {name: np.arange(units) for name, units in layers.items()},
        np.arange(20_000),
        {},
    )
    assert str(found).splitlines() == [
        "layer          units  patterns  of samples",
        "stem             750       750     3.8%",
        "blocks.0.relu     64        64     0.3%",
        "all together     814    20,000   100.0%",
    ]


def test_collision_probability():
    none = np.empty(0, np.int64)
    found = ActivationPatterns(2**20 + 1, {"a": 1, "b": 1, "c": 1}, {}, none, {})
    assert found.collision_probability == 4 * (2**20 + 1) * 2**20 / 2**65
    assert ActivationPatterns(1, {"a": 1}, {}, none, {}).collision_probability == 0
    assert ActivationPatterns(2**40, {"a": 1}, {}, none, {}).collision_probability == 1
