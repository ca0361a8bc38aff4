import math

import numpy as np
import pytest
import torch
from models import ResNet
from torch import nn

from relustat.analysis import by_sigma, feature_images, filter_images, image_grid


@pytest.mark.parametrize("sigmas", [0.5, 1, 3])
def test_by_sigma(sigmas):
    x = torch.randn(4, 5, 6)
    numbers = x.double().numpy()
    expected = (numbers - numbers.mean()) / (2 * sigmas * numbers.std()) + 0.5
    np.testing.assert_allclose(by_sigma(x, sigmas), expected.clip(0, 1), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_by_sigma_of_equal_numbers(dtype):
    # The mean of seven times 0.1 is not 0.1.
    expected = torch.full((7,), 0.5, dtype=dtype)
    torch.testing.assert_close(
        by_sigma(torch.full((7,), 0.1, dtype=dtype)), expected, rtol=0, atol=0
    )
    assert by_sigma(torch.ones(0, dtype=dtype)).shape == (0,)


@pytest.mark.parametrize(
    ("dtype", "scale"), [("float16", 6e4), ("float32", 3e38), ("float64", 1e308)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_by_sigma_of_large_numbers(dtype, scale, sign):
    numbers = torch.tensor([-1.0, -0.5, 0.25, 1.0], dtype=torch.float64)
    expected = (numbers - numbers.mean()) / (2 * 2 * numbers.std(correction=0)) + 0.5
    found = by_sigma((sign * scale * numbers).to(getattr(torch, dtype)), 2)
    torch.testing.assert_close(found.double(), 0.5 + sign * (expected - 0.5), rtol=0, atol=2e-3)


def test_by_sigma_of_numbers_that_are_not_finite():
    rest = torch.tensor([math.inf, math.nan, -math.inf])
    for finite, middle in [([-1.0, 0.0, 1.0], [0.0, 0.5, 1.0]), ([3.0, 3.0], [0.5, 0.5]), ([], [])]:
        found = by_sigma(torch.cat([torch.tensor(finite), rest]), 1)
        expected = torch.tensor([*middle, 1.0, math.nan, 0.0])
        torch.testing.assert_close(found, expected, equal_nan=True)


@pytest.mark.parametrize("columns", [None, 1, 3, 5, 9])
@pytest.mark.parametrize("gap", [0, 2])
def test_image_grid(columns, gap):
    images = torch.rand(5, 3, 4, 6)
    grid = image_grid(images, columns, gap)
    columns = min(2 if columns is None else columns, 5)
    rows = -(-5 // columns)
    expected = np.ones((3, rows * (4 + gap) - gap, columns * (6 + gap) - gap), np.float32)
    for index, image in enumerate(images.numpy()):
        top, left = index // columns * (4 + gap), index % columns * (6 + gap)
        expected[:, top : top + 4, left : left + 6] = image
    np.testing.assert_array_equal(grid, expected)


def test_filter_images():
    model = ResNet()
    image = filter_images(model)
    assert image.shape == (3, 3 * 8 - 1, 3 * 8 - 1)
    assert torch.equal(image[:, :7, 8:15], by_sigma(model.conv1.weight.detach())[1])
    assert torch.equal(image[:, 16:, 16:], torch.ones(3, 7, 7))


def test_feature_images():
    model = ResNet().eval()
    x = torch.randn(1, 3, 32, 32)
    image = feature_images(model, x, "relu", columns=4)
    with torch.no_grad():
        maps = by_sigma(model.relu(model.conv1(x)))[0]
    assert image.shape == (1, 2 * 17 - 1, 4 * 17 - 1)
    assert torch.equal(image[0, 17:, 17:33], maps[5])


def test_bad_input():
    model = ResNet().eval()
    with pytest.raises(ValueError, match="sigmas must be positive, got 0"):
        by_sigma(torch.ones(3), 0)
    with pytest.raises(TypeError, match=r"x must be floating point, got torch\.int64"):
        by_sigma(torch.arange(3))
    with pytest.raises(TypeError, match=r"images must be floating point, got torch\.uint8"):
        image_grid(torch.ones(2, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\[n, channels, height, width\], got \[3, 4, 4\]"):
        image_grid(torch.ones(3, 4, 4))
    with pytest.raises(ValueError, match="got columns=0, gap=1"):
        image_grid(torch.ones(3, 1, 4, 4), 0)
    with pytest.raises(ValueError, match=r"must have an nn\.Conv2d, got none"):
        filter_images(nn.Linear(3, 4))
    with pytest.raises(ValueError, match="1 or 3 channels, got 8"):
        filter_images(model.layer1)
    with pytest.raises(ValueError, match="got 'reul'; near names: 'relu'"):
        feature_images(model, torch.ones(1, 3, 32, 32), "reul")
    with pytest.raises(ValueError, match=r"one sample's maps, got \[2, 8, 16, 16\]"):
        feature_images(model, torch.ones(2, 3, 32, 32), "relu")
