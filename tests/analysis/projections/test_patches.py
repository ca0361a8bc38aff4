import pytest
import torch
from torch import nn

from relustat.analysis import deconvnet, deconvnet_grid, deconvnet_patches


@pytest.fixture
def model():
    layers = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(3, 2), nn.Conv2d(6, 4, 3)
    return nn.Sequential(*layers, nn.ReLU(inplace=True)).eval()


@pytest.fixture
def data():
    return torch.randn(11, 3, 20, 24)


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
            whole = deconvnet(model, x, "4", unit, patch.position, rule, signal="activation")[0]
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


def test_a_dead_unit_has_empty_projections(model, data):
    model[3].bias.data[2] = -1e6
    patches = deconvnet_patches(model, data.split(4), "4", [2], k=3)
    assert [(patch.value, patch.projection.count_nonzero()) for patch in patches[2]] == [(0, 0)] * 3


@pytest.mark.parametrize("to_image", [None, lambda x: x.sigmoid().permute(1, 2, 0)])
def test_grid(model, data, to_image):
    figure = deconvnet_grid(model, data.split(4), "4", [0, 1, 3], k=4, to_image=to_image)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.partition(",")[0] for title in titles if title] == ["unit 0", "unit 1", "unit 3"]
    sheets = [image.get_array() for axes in figure.axes for image in axes.get_images()]
    assert [sheet.shape for sheet in sheets] == [(20, 20, 3)] * 6
    figure.canvas.draw()


def test_bad_input():
    with pytest.raises(ValueError, match=r"images \[N, C, H, W\], got \['N', 8\]"):
        deconvnet_patches(nn.Linear(8, 4).eval(), [torch.ones(2, 8)], "", [0])
