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
            (top, bottom), (left, right) = patch.window
            assert torch.equal(patch.input, x[0, :, top : bottom + 1, left : right + 1])
            assert patch.input.shape == (3, 9, 9)
            torch.testing.assert_close(
                patch.projection, whole[:, top : bottom + 1, left : right + 1]
            )
            # Nothing is cut off.
            (top, bottom), (left, right) = patch.box
            inside = whole[:, top : bottom + 1, left : right + 1]
            assert inside.count_nonzero() == whole.count_nonzero() > 0
            # By hand: a 3x3 convolution over pools of 3, 2 apart, of 3x3 convolutions.
            for at, size, box, window in zip(
                patch.position, (20, 24), patch.box, patch.window, strict=True
            ):
                first, last = 2 * at - 1, 2 * at + 7
                assert box == (max(first, 0), min(last, size - 1))
                moved = max(-first, 0) - max(last - size + 1, 0)
                assert window == (first + moved, last + moved)


def test_a_window_is_never_larger_than_the_sample(model):
    (patch,) = deconvnet_patches(model, [torch.randn(1, 3, 8, 24)], "4", [1], k=1)[1]
    assert patch.window[0] == (0, 7)
    assert patch.input.shape == patch.projection.shape == (3, 8, 9)


def test_a_dead_unit_has_empty_projections(model, data):
    model[3].bias.data[2] = -1e6
    patches = deconvnet_patches(model, data.split(4), "4", [2], k=3)
    assert [(patch.value, patch.projection.count_nonzero()) for patch in patches[2]] == [(0, 0)] * 3


@pytest.mark.parametrize("to_image", [None, lambda x: x.sigmoid().permute(1, 2, 0)])
def test_grid(model, data, to_image):
    figure = deconvnet_grid(model, data.split(4), "4", [0, 1, 3], k=4, to_image=to_image)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[::2] == [f"unit {unit}, projected back" for unit in (0, 1, 3)]
    assert titles[1::2] == ["what it saw"] * 3
    sheets = [image.get_array() for axes in figure.axes for image in axes.get_images()]
    # Pictures of 9x9 are enlarged 27 times, to 243, and are 8 apart.
    assert [sheet.shape for sheet in sheets] == [(494, 494, 3)] * 6
    assert all((sheet[243:251] == 1).all() for sheet in sheets)
    places = [axes.get_position() for axes in figure.axes]
    assert len({round(place.width, 9) for place in places}) == 1
    assert all(0 < place.x0 < place.x1 < 1 and 0 < place.y0 < place.y1 < 1 for place in places)
    figure.canvas.draw()


def test_bad_input():
    with pytest.raises(ValueError, match=r"images \[N, C, H, W\], got \['N', 8\]"):
        deconvnet_patches(nn.Linear(8, 4).eval(), [torch.ones(2, 8)], "", [0])
