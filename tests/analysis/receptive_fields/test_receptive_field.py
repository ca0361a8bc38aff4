"""Receptive fields against sums, loops and numbers that are known."""

import math

import numpy as np
import pytest
import torch
from receptive_field_cases import UNet, images, network, ones
from torch import nn

import relustat
from relustat.analysis.receptive_fields.gaussian_fit import GaussianFit
from relustat.analysis.receptive_fields.receptive_field import receptive_field


def binomial(depth, length):
    """A box of three, convolved with itself, in the middle of many zeros."""
    share = np.ones(1)
    for _ in range(depth):
        share = np.convolve(share, np.ones(3) / 3)
    around = length - len(share)
    return np.pad(share, (around - around // 2, around // 2))


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_sums_of_three_by_three_become_a_binomial(depth):
    field = receptive_field(ones(depth), str(depth - 1))
    line = binomial(depth, field.effective.shape[0])
    np.testing.assert_allclose(field.effective, np.outer(line, line), rtol=1e-12, atol=1e-15)
    assert field.size == (2 * depth + 1,) * 2
    assert field.gaussian.sigma == pytest.approx((math.sqrt(2 * depth / 3),) * 2)
    assert field.gaussian.center == pytest.approx([float(low + depth) for low, _ in field.box])
    assert field.gaussian.covariance[0, 1] == pytest.approx(0)


@pytest.mark.parametrize("axes", [1, 3])
def test_one_and_three_axes(axes):
    field = receptive_field(ones(3, axes), "2", input_size=[12] * axes)
    share = line = binomial(3, 12)
    for _ in range(axes - 1):
        share = np.multiply.outer(share, line)
    np.testing.assert_allclose(field.effective, share, rtol=1e-12, atol=1e-15)
    assert field.position == (6,) * axes
    assert field.box == ((3, 9),) * axes
    assert field.gaussian.sigma == pytest.approx((math.sqrt(2),) * axes)


@pytest.mark.parametrize("layer", ["0", "1", "2", "5"])
@pytest.mark.parametrize("unit", [None, 2])
@pytest.mark.parametrize("position", ["center", (0, 7), torch.tensor([3, 1])])
def test_gradients_are_those_of_single_samples(layer, unit, position):
    model, data = network(), images()[:11]
    field = receptive_field(model, layer, position, data, unit=unit)
    before = model[: int(layer) + 1]
    summed = np.zeros((16, 18))
    row, column = field.position
    for x in data:
        x = x[None].clone().requires_grad_()
        y = before(x * 1)[0, :, row, column]
        (gradient,) = torch.autograd.grad(y.sum() if unit is None else y[unit], x)
        summed += np.abs(gradient[0].numpy().astype(np.float64)).sum(0)
    assert field.samples == 11
    np.testing.assert_allclose(field.effective, summed / summed.sum(), rtol=1e-5, atol=1e-9)
    (top, bottom), (left, right) = field.box
    assert summed[top : bottom + 1, left : right + 1].sum() == summed.sum()


def test_of_a_linear_layer_without_a_map():
    field = receptive_field(network(), "7", data=images(), unit=3)
    assert field.position == ()
    assert field.box == ((0, 15), (0, 17))
    assert field.effective.shape == (16, 18)
    assert field.effective.sum() == pytest.approx(1)


def test_at_the_border():
    field = receptive_field(network(), "3", (0, 8), images())
    assert field.size == (8, 8)
    assert field.box == ((0, 4), (13, 17))
    assert field.is_exact
    low, high = field.effective.nonzero().amin(0), field.effective.nonzero().amax(0)
    assert low.tolist() == [0, 13]
    assert high.tolist() == [4, 17]


def test_all_kinds_of_data_give_the_same():
    model, data = network(), images(10)
    expected = receptive_field(model, "4", data=data)
    labels = torch.zeros(10)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data, labels), 3)
    for same in (list(data.split(4)), loader, [(data, "label")]):
        field = receptive_field(model, "4", data=same)
        assert field.samples == 10
        torch.testing.assert_close(field.effective, expected.effective, rtol=1e-5, atol=1e-9)
    with torch.inference_mode():
        assert torch.equal(receptive_field(model, "4", data=data).effective, expected.effective)
    part = receptive_field(model, "4", data=loader, samples=4)
    assert part.samples == 4
    fewer = receptive_field(model, "4", data=data[:4])
    torch.testing.assert_close(part.effective, fewer.effective, rtol=1e-5, atol=1e-9)


def test_random_inputs_are_large_enough_and_the_same_by_seed():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 7, (2, 3), 3),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(3, 2, 5, padding=2),
    ).eval()
    assert receptive_field(model, "3").samples == 16
    field = receptive_field(model, "3", samples=9)
    assert field.size == (7 + 2 * 2 + 4 * 4, 7 + 3 * 2 + 6 * 4)
    assert all(
        low >= 0 and high < length and high - low + 1 == size
        for (low, high), length, size in zip(
            field.box, field.effective.shape, field.size, strict=True
        )
    )
    # One stride of all layers together at most.
    assert np.all(np.array(field.effective.shape) - field.size <= (4 * 2, 6 * 2))
    assert torch.equal(receptive_field(model, "3", samples=9).effective, field.effective)
    other = receptive_field(model, "3", samples=9, seed=1)
    assert not torch.equal(other.effective, field.effective)
    smaller = receptive_field(model, "3", samples=2, input_size=(20, 31))
    assert smaller.effective.shape == (20, 31)
    assert smaller.size == field.size


def test_random_inputs_of_a_u_net():
    field = receptive_field(UNet().eval(), "out")
    assert field.size == (10, 10)
    # Eleven would do, but are odd.
    assert field.effective.shape == (32, 32)


def test_circular_padding_changes_no_gradient():
    torch.manual_seed(0)
    model = nn.Conv2d(3, 2, 5, padding=2, padding_mode="circular").eval()
    data = images()
    field = receptive_field(model, "", (0, 17), data)
    assert field.is_exact
    assert field.size == (5, 5)
    x = data.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[..., 0, 17].sum(), x)
    expected = gradient.abs().double().sum((0, 1))
    torch.testing.assert_close(field.effective, expected / expected.sum(), rtol=1e-5, atol=1e-9)


def test_relustats_own_modules_change_nothing():
    model, data = network(), images()
    theirs = receptive_field(model, "5", data=data)
    ours = receptive_field(relustat.swap(model), "5", data=data)
    assert (ours.size, ours.box, ours.is_exact) == (theirs.size, theirs.box, True)
    torch.testing.assert_close(ours.effective, theirs.effective)


def test_the_model_is_left_as_it_was():
    model = network()
    model[0].weight.requires_grad_(False)
    model[3].weight.grad = torch.ones_like(model[3].weight)
    data = images()
    before = {name: value.clone() for name, value in model.state_dict().items()}, data.clone()
    receptive_field(model, "5", data=data)
    assert [parameter.requires_grad for parameter in model.parameters()] == [False] + [True] * 7
    assert [each.grad is None for each in model.parameters()].count(False) == 1
    assert bool((model[3].weight.grad == 1).all())
    assert all(torch.equal(value, before[0][name]) for name, value in model.state_dict().items())
    assert torch.equal(data, before[1])
    assert not data.requires_grad
    assert not any(module._forward_hooks for module in model.modules())


def test_area():
    field = receptive_field(network(), "5", data=images())
    shares = sorted(field.effective.flatten().tolist(), reverse=True)
    for mass in (0.1, 0.5, 0.95, 0.999):
        count, held = 0, 0.0
        while held < mass:
            held += shares[count]
            count += 1
        assert field.area(mass) == count
    assert field.area() == field.area(0.95)
    flat = receptive_field(nn.AvgPool2d(10).eval(), "", data=torch.randn(2, 1, 10, 10))
    assert [flat.area(mass) for mass in (0.01, 0.5, 0.95, 1)] == [1, 50, 95, 100]


def test_gaussian_is_of_the_moments():
    shares = np.random.default_rng(0).random((5, 7))
    shares /= shares.sum()
    fit = GaussianFit.to(torch.from_numpy(shares))
    rows, columns = np.indices(shares.shape)
    weights = shares.ravel()
    positions = np.stack([rows.ravel(), columns.ravel()])
    np.testing.assert_allclose(fit.center, np.average(positions, axis=1, weights=weights))
    expected = np.cov(positions, aweights=weights, bias=True)
    np.testing.assert_allclose(fit.covariance, expected)
    offset = np.array([1.0, 2.0]) - fit.center
    density = math.exp(-offset @ np.linalg.inv(expected) @ offset / 2)
    density /= 2 * math.pi * math.sqrt(np.linalg.det(expected))
    assert float(fit.density(torch.tensor([1, 2]))) == pytest.approx(density)


def test_an_unknown_operation_makes_it_an_upper_bound():
    class Mirrored(nn.Module):
        def forward(self, x):
            return x[..., torch.arange(17, -1, -1)]

    model = nn.Sequential(network()[0], Mirrored()).eval()
    field = receptive_field(model, "1", data=images())
    assert not field.is_exact
    assert field.unknown == ("IndexBackward0",)
    assert field.box == ((0, 15), (0, 17))
    assert repr(field).startswith("<ReceptiveField of '1': at most 18 x 20 pixels, sigma ")
