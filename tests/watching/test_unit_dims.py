"""Units are where the layer's weights say, after every call; see docs/units.md."""

import pytest
import torch
from one_relu import ReLUInputs, watched
from repository import ROOT
from torch import nn
from unit_cases import CHANNELS, Calls, cases_of, layers, table, unit_dims_of, zeros_by_unit

import relustat

LAYERS = list(layers())
# A trace takes seconds.
RUNS = [
    *((dtype, False) for dtype in (torch.float32, torch.float64, torch.bfloat16)),
    (torch.float32, True),
]


def model_of(name, dtype=torch.float32):
    torch.manual_seed(0)
    layer, shape, unit_dim = layers()[name]
    return Calls(layer, unit_dim, cases_of(name)).to(dtype), torch.randn(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "compiled"),
    RUNS,
    ids=[f"{dtype}-{'compiled' if compiled else 'eager'}" for dtype, compiled in RUNS],
)
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
        elif dims:
            rows = 2 if "glu" in after.case.name else 1
            assert (units.sum(1) <= rows).all(), after.case.name
            assert units.any(0).sum() > 1, after.case.name
        else:
            assert units.any(), after.case.name


def test_the_page_shows_this_table():
    page = (ROOT / "docs/units.md").read_text()
    assert "\n".join(table()) in page


def test_a_scalar_head_is_one_unit():
    model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0), nn.ReLU())
    stats, _ = watched(model, torch.randn(4, 3), torch.randn(7, 3))
    assert (stats.widths, stats.elements) == ((1,), 11)


def test_lengths_of_sequences_make_no_units():
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU())
    stats, _ = watched(model, *(torch.randn(2, 3, steps) for steps in (5, 6, 9)))
    assert stats.widths == (4,)


def test_what_is_not_known_is_said():
    for shape, said in (
        ((2, 5), "last dimension (assumed)"),
        ((2, 5, 3), "last dimension (assumed)"),
        ((2, 5, 3, 3), "dimension 1 of 4 (assumed)"),
        ((), "one (assumed)"),
    ):
        with relustat.watch(nn.Sequential(nn.ReLU())) as watch:
            watch._model(torch.randn(shape))
        assert watch.report().notes == [f"0: units: {said}"]
        assert str(watch.report()).endswith(f"  0: units: {said}")
