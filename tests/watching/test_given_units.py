"""Unit dimensions that the user gives: for all calls, and by patterns of names."""

import pytest
import torch
from one_relu import watched
from torch import nn
from unit_cases import zeros_by_unit

import relustat


@pytest.mark.parametrize("dims", [(1, 2, 3), (1, 3), (2, 3), ()])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_units_over_several_dimensions(dims, memory_format):
    x = torch.randn(3, 4, 5, 6).to(memory_format=memory_format)
    stats, notes = watched(nn.Sequential(nn.ReLU()), x, unit_dim=dims)
    assert stats.unit_zeros.tolist() == zeros_by_unit(x, dims)
    assert notes[0].endswith("(given)")


def test_a_dimension_that_is_given_twice():
    model, x = nn.Sequential(nn.ReLU()), torch.randn(2, 3, 4, 5)
    with relustat.watch(model, unit_dim=(-3, 1)) as watch:
        assert torch.equal(model(x), x.relu())
    assert (
        "0: not counted, counting_relu: unit_dim must name each dimension once, got (-3, 1) for a "
        "4-D input"
    ) in watch.report().warnings


@pytest.mark.parametrize("inplace", [False, True])
def test_the_neurons_of_a_feature_map_in_place_and_with_gradients(inplace):
    x = torch.randn(3, 4, 5, requires_grad=True)
    counters = relustat.Counters(unit_dim=(1, 2))
    given = x * 1
    y = relustat.functional.counting_relu(given, counters, inplace=inplace)
    assert (y is given) == inplace
    assert torch.equal(y, x.relu())
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.equal(gradient, torch.autograd.grad(x.relu().square().sum(), x)[0])
    assert counters.stats.unit_zeros.tolist() == zeros_by_unit(x, (1, 2))


def test_unit_dims_by_name_overrule():
    model = nn.ModuleDict(
        {"encoder": nn.Sequential(nn.Linear(3, 4), nn.ReLU()), "decoder": nn.ReLU()}
    )
    model.forward = lambda x: model["decoder"](model["encoder"](x))
    x = torch.randn(2, 5, 3)
    with relustat.watch(model, unit_dims={"dec*": 1}) as watch:
        model(x)
    assert {name: stats.widths for name, stats in watch.stats.items()} == {
        "encoder.1": (4,),
        "decoder": (5,),
    }
    assert watch.report().notes == ["decoder: units: dimension 1 (given)"]


def test_wrong_unit_dims_are_told_before_anything_is_counted():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with pytest.warns(UserWarning, match="'decodr.*', which fits none of its modules"):
        relustat.watch(model, unit_dims={"decodr.*": 1}).close()
    with relustat.watch(model, unit_dims={"rleu": 1}) as watch:
        model(torch.randn(2, 3))
    assert "unit_dims: 'rleu' fits no ReLU that was called" in watch.report().warnings
    with pytest.raises(TypeError, match=r'an integer, a tuple of integers or "auto", got 1\.5'):
        relustat.watch(model, unit_dims={"1": 1.5})
    with pytest.raises(TypeError, match="unit_dims must have names as keys, got 1"):
        relustat.watch(model, unit_dims={1: 1})
    with pytest.raises(ValueError, match="repeats must be 'apart' or 'together', got 'both'"):
        relustat.watch(model, repeats="both")
    assert not model._forward_hooks
