import math

import numpy as np
import pytest
import torch
from models import ResNet
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from relustat.analysis import strongest_activations


@pytest.fixture
def model():
    layers = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(3, 2), nn.Conv2d(6, 4, 3)
    return nn.Sequential(*layers, nn.ReLU(inplace=True)).eval()


@pytest.fixture
def data():
    return torch.randn(11, 3, 20, 24)


@pytest.mark.parametrize("batch", [1, 4, 11])
@pytest.mark.parametrize("layer", ["3", "4"])
def test_strongest_activations(model, data, batch, layer):
    with torch.no_grad():
        maps = model[: int(layer) + 1](data).numpy()
    found = strongest_activations(model, data.split(batch), layer, [2, 0], k=3)
    assert (found.layer, found.units) == (layer, (2, 0))
    for row, unit in enumerate([2, 0]):
        best = maps[:, unit].max((1, 2))
        order = np.argsort(-best, kind="stable")[:3]
        np.testing.assert_allclose(found.values[row], best[order], rtol=1e-5)
        assert found.samples[row].tolist() == order.tolist()
        positions = [np.unravel_index(maps[i, unit].argmax(), maps.shape[2:]) for i in order]
        assert found.positions[row].tolist() == [list(map(int, position)) for position in positions]
        assert torch.equal(found.inputs[row], data[order])


def test_fewer_samples_than_asked_for(model, data):
    loader = [(data[:2], torch.zeros(2)), (data[2:4], torch.zeros(2))]
    found = strongest_activations(model, loader, "4", [1], k=9)
    assert sorted(found.samples[0].tolist()) == [0, 1, 2, 3]


def test_nan_is_no_strong_activation():
    nan, inf = math.nan, math.inf
    data = torch.tensor(
        [[nan, nan, nan], [1, nan, 2], [nan, -7, -9], [3, 0, 0], [nan, nan, nan], [inf, nan, 0]]
    )
    found = strongest_activations(nn.Identity().eval(), data[:, None].split(2), "", [0], k=5)
    assert found.samples.tolist() == [[5, 3, 1, 2, 0]]
    assert found.values[0, :4].tolist() == [inf, 3, 2, -7]
    assert found.positions[0, :4].tolist() == [[0], [0], [2], [1]]


@pytest.mark.parametrize(
    "units", [(0, 2), torch.tensor([0, 2]), np.array([0, 2]), range(0, 3, 2), iter([0, 2])]
)
def test_units_are_any_integers(model, data, units):
    found = strongest_activations(model, data.split(4), "4", units, k=2)
    expected = strongest_activations(model, data.split(4), "4", [0, 2], k=2)
    assert found.units == (0, 2)
    assert all(type(unit) is int for unit in found.units)
    assert torch.equal(found.values, expected.values)


@pytest.mark.parametrize("units", [0, 5, None, "14", [1.0], [True], torch.tensor(1)])
def test_units_that_are_no_integers(model, data, units):
    with pytest.raises(TypeError, match=r"units must be a list of integers, got ") as caught:
        strongest_activations(model, data.split(4), "4", units)
    assert str(caught.value).endswith(f"got {units!r}")


def test_units_of_a_linear_layer(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 20 * 24, 5)).eval()
    found = strongest_activations(model, data.split(4), "1", [3], k=2)
    with torch.no_grad():
        values, samples = model(data)[:, 3].topk(2)
    torch.testing.assert_close(found.values[0], values)
    assert torch.equal(found.samples[0], samples)
    assert found.positions.shape == (1, 2, 0)


class Swapped(nn.Module):
    def forward(self, x):
        return x.transpose(0, 1)


def test_loaders(model, data):
    labels = torch.zeros(11, dtype=torch.int64)
    samples = TensorDataset(data, labels)
    found = [
        strongest_activations(model, loader, "4", [0], k=2).samples.tolist()
        for loader in (data, data.split(4), list(data.split(4)), [(data, labels)])
    ]
    found.append(strongest_activations(model, DataLoader(samples, 3), "4", [0], 2).samples.tolist())
    assert found == found[:1] * 5
    for loader, message in [
        (samples, "must give batches, got a Dataset; wrap it in a DataLoader"),
        (None, "must give batches, got NoneType"),
        (7, "must give batches, got int"),
        ((data, labels), r"got tensors of several; a single batch with labels is \[\(x, y\)\]"),
        ([data, labels.float()], "batches must be of one dtype and number of dimensions"),
    ]:
        with pytest.raises(TypeError, match=message):
            strongest_activations(model, loader, "4", [0])


def test_bad_input(model, data):
    ask = strongest_activations
    with pytest.raises(ValueError, match="0 to 3, got 4"):
        ask(model, data.split(4), "4", [0, 4])
    with pytest.raises(ValueError, match="k must be positive, got 0"):
        ask(model, data.split(4), "4", [0], k=0)
    with pytest.raises(ValueError, match=r"k must be an integer, got 2\.5"):
        ask(model, data.split(4), "4", [0], k=2.5)
    with pytest.raises(ValueError, match=r"one size, got \[3, 20, 20\] after \[3, 20, 24\]"):
        ask(model, [data, data[..., :20]], "4", [0])
    with pytest.raises(
        ValueError, match=r"each of 11 samples, got '', which gives \[3, 11, 20, 24\]"
    ):
        ask(Swapped().eval(), [data], "", [0])
    with pytest.raises(ValueError, match="units must name at least one"):
        ask(model, data.split(4), "4", [])
    with pytest.raises(ValueError, match="must give samples, got none"):
        ask(model, [], "4", [0])
    with pytest.raises(TypeError, match="got dict as batch 0"):
        ask(model, [{"x": data}], "4", [0])
    with pytest.raises(ValueError, match="must give samples, got none"):
        ask(model, [data[:0]], "4", [0])
    with pytest.raises(ValueError, match="got '5'; near names"):
        ask(model, [data], "5", [0])
    with pytest.raises(ValueError, match="in training mode"):
        ask(ResNet(), [data], "relu", [0])
