"""Units are where the layer's weights say, after every call; see docs/units.md."""

import pytest
import torch
import torch.nn.functional as F
from repository import ROOT
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from unit_cases import CHANNELS, Calls, cases_of, layers, table, unit_dims_of, zeros_by_unit

import relustat

LAYERS = list(layers())
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


class ReLUInputs(TorchDispatchMode):
    """The inputs of aten's relu, as they are computed."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.relu.default:
            self.found.append(args[0].clone())
        return func(*args, **(kwargs or {}))


def model_of(name, dtype=torch.float32):
    torch.manual_seed(0)
    layer, shape, unit_dim = layers()[name]
    return Calls(layer, unit_dim, cases_of(name)).to(dtype), torch.randn(shape, dtype=dtype)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_units_after_every_call(name, dtype, compiled):
    model, x = model_of(name, dtype)
    with torch.no_grad(), ReLUInputs() as inputs:
        model(x)
    with torch.no_grad(), relustat.watch(model) as watch:
        (torch.compile(model, backend="eager", fullgraph=True) if compiled else model)(x)
    found = {
        case.name: stats.unit_zeros.tolist()
        for case, stats in zip(cases_of(name), watch.stats.values(), strict=True)
    }
    assert found == {
        case.name: zeros_by_unit(y, unit_dims_of(case, name))
        for case, y in zip(cases_of(name), inputs.found, strict=True)
    }
    assert not any("assumed" in note for note in watch.report().notes)


@pytest.mark.parametrize("name", LAYERS)
def test_the_units_of_these_cases_are_those_of_the_weights(name):
    """Changes one row of the weights, and looks where the ReLU's input changes."""
    model, x = model_of(name, torch.float64)
    plain = [after.input_of(model.layer(x)) for after in model.after]
    owners = [torch.zeros((*y.shape, CHANNELS), dtype=torch.bool) for y in plain]
    for row in range(CHANNELS):
        with torch.no_grad():
            # More than a shift or a factor, which norms would undo.
            before = model.layer.bias.clone(), model.layer.weight.clone()
            model.layer.weight[row] = torch.randn_like(model.layer.weight[row])
            model.layer.bias[row] += torch.randn(())
        for after, y, owner in zip(model.after, plain, owners, strict=True):
            owner[..., row] = after.input_of(model.layer(x)) != y
        with torch.no_grad():
            model.layer.bias.copy_(before[0])
            model.layer.weight.copy_(before[1])
    for after, owner in zip(model.after, owners, strict=True):
        dims = unit_dims_of(after.case, name)
        others = [dim for dim in range(owner.dim() - 1) if dim not in dims]
        units = owner.permute(*dims, *others, -1).flatten(len(dims), -2)
        units = units.reshape(-1, *units.shape[-2:]).any(1)  # [units, rows]
        if "layer_norm" in after.case.name or "group_norm" in after.case.name:
            # They mix rows, but every unit goes on with its own.
            assert units[range(CHANNELS), range(CHANNELS)].all()
        elif dims and "glu" not in after.case.name:
            assert (units.sum(1) <= 1).all(), after.case.name
            assert units.any(0).sum() > 1, after.case.name


def test_the_page_shows_this_table():
    page = (ROOT / "docs/units.md").read_text()
    assert "\n".join(table()) in page


def watched_relu(model, x, **options):
    with relustat.watch(model, **options) as watch:
        model(x)
    (stats,) = watch.stats.values()
    return stats, watch.report()


class Before(nn.Module):
    """A ReLU after some function."""

    def __init__(self, function, *parameters):
        super().__init__()
        self.function = function
        self.parameters_ = nn.ParameterList(parameters)

    def forward(self, x):
        return F.relu(self.function(x, *self.parameters_))
