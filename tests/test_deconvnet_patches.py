import numpy as np
import pytest
import torch
from models import ResNet
from torch import nn

from relustat.analysis import (
    deconvnet,
    deconvnet_grid,
    deconvnet_patches,
    strongest_activations,
)


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
        places = [np.unravel_index(maps[i, unit].argmax(), maps.shape[2:]) for i in order]
        assert found.positions[row].tolist() == [list(map(int, place)) for place in places]
        assert torch.equal(found.inputs[row], data[order])


def test_fewer_samples_than_asked_for(model, data):
    loader = [(data[:2], torch.zeros(2)), (data[2:4], torch.zeros(2))]
    found = strongest_activations(model, loader, "4", [1], k=9)
    assert sorted(found.samples[0].tolist()) == [0, 1, 2, 3]


def test_units_of_a_linear_layer(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 20 * 24, 5)).eval()
    found = strongest_activations(model, data.split(4), "1", [3], k=2)
    with torch.no_grad():
        values, samples = model(data)[:, 3].topk(2)
    torch.testing.assert_close(found.values[0], values)
    assert torch.equal(found.samples[0], samples)
    assert found.positions.shape == (1, 2, 0)


@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
def test_patches_are_crops_of_what_a_deconvnet_gives(model, data, rule):
    patches = deconvnet_patches(model, data.split(4), "4", [2, 0], k=4, rule=rule)
    assert list(patches) == [2, 0]
    for unit, those in patches.items():
        assert [patch.value for patch in those] == sorted(
            (patch.value for patch in those), reverse=True
        )
        for patch in those:
            x = data[patch.sample : patch.sample + 1]
            whole = deconvnet(model, x, "4", unit, patch.position, rule)[0]
            (top, bottom), (left, right) = patch.box
            assert torch.equal(patch.input, x[0, :, top : bottom + 1, left : right + 1])
            inside = whole[:, top : bottom + 1, left : right + 1]
            torch.testing.assert_close(patch.projection, inside)
            # Nothing is cut off.
            assert inside.count_nonzero() == whole.count_nonzero() > 0
            # By hand: a 3x3 convolution over pools of 3, 2 apart, of 3x3 convolutions.
            assert patch.window == tuple((2 * at - 1, 2 * at + 7) for at in patch.position)
            assert patch.box == tuple(
                (max(low, 0), min(high, size - 1))
                for (low, high), size in zip(patch.window, (20, 24), strict=True)
            )


@pytest.mark.parametrize("to_image", [None, lambda x: x.sigmoid().permute(1, 2, 0)])
def test_grid(model, data, to_image):
    figure = deconvnet_grid(model, data.split(4), "4", [0, 1, 3], k=4, to_image=to_image)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.partition(",")[0] for title in titles if title] == ["unit 0", "unit 1", "unit 3"]
    sheets = [image.get_array() for axes in figure.axes for image in axes.get_images()]
    assert [sheet.shape for sheet in sheets] == [(20, 20, 3)] * 6
    figure.canvas.draw()


def test_bad_input(model, data):
    ask = strongest_activations
    with pytest.raises(ValueError, match="0 to 3, got 4"):
        ask(model, data.split(4), "4", [0, 4])
    with pytest.raises(ValueError, match="k must be positive, got 0"):
        ask(model, data.split(4), "4", [0], k=0)
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
    with pytest.raises(ValueError, match=r"images \[N, C, H, W\], got \['N', 8\]"):
        deconvnet_patches(nn.Linear(8, 4).eval(), [torch.ones(2, 8)], "", [0])
