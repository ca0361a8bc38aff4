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
# A trace takes seconds.
RUNS = [
    *((dtype, False) for dtype in (torch.float32, torch.float64, torch.bfloat16)),
    *((dtype, True) for dtype in (torch.float32, torch.bfloat16)),
]


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


class Before(nn.Module):
    """A ReLU after some function of the input and of parameters."""

    def __init__(self, function, *parameters):
        super().__init__()
        self.function = function
        self.held = nn.ParameterList(parameters)

    def forward(self, x):
        return F.relu(self.function(x, *self.held))


def weight(*shape):
    return nn.Parameter(torch.randn(shape))


def watched(model, *inputs, **options):
    """The statistics of the only ReLU, and the report's notes."""
    with torch.no_grad(), relustat.watch(model, **options) as watch:
        for x in inputs:
            model(x)
    (stats,) = watch.stats.values()
    return stats, watch.report().notes


class Attention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x)[0]


X = torch.randn
MAKING = {
    "conv_transpose": (nn.ConvTranspose2d(3, 4, 2), X(2, 3, 4, 4), (1,)),
    "grouped convolution": (nn.Conv1d(4, 8, 1, groups=4), X(2, 4, 8), (1,)),
    "unbatched convolution": (nn.Conv2d(3, 5, 1), X(3, 5, 5), (0,)),
    "bilinear": (lambda x: F.bilinear(x, x, torch.ones(5, 3, 3)), X(2, 5, 3), (2,)),
    "embedding": (nn.Embedding(7, 5), torch.arange(10).reshape(2, 5) % 7, (2,)),
    "attention": (Attention(4, 2, batch_first=True), X(2, 4, 4), (2,)),
    "LSTM": (nn.LSTM(3, 6, batch_first=True), X(2, 6, 3), (2,)),
    "GRUCell": (nn.GRUCell(3, 4), X(2, 3), (1,)),
    "BatchNorm": (nn.BatchNorm1d(4), X(2, 4, 4), (1,)),
    "LayerNorm([C, H, W])": (nn.LayerNorm([3, 4, 5]), X(2, 3, 4, 5), (1,)),
    "LayerNorm([C, T])": (nn.LayerNorm([4, 4]), X(2, 4, 4), (1,)),
    "RMSNorm": (nn.RMSNorm(4), X(2, 4, 4), (2,)),
}
BY_PARAMETERS = {
    "x @ W": (lambda x, w: x @ w, (3, 4), X(2, 4, 3), (2,)),
    "x @ W.t()": (lambda x, w: x @ w.t(), (4, 3), X(2, 4, 3), (2,)),
    "W @ x": (lambda x, w: w @ x, (4, 3), X(2, 3, 4), (1,)),
    "matmul of a normalised W": (
        lambda x, w: torch.matmul(x, w / w.norm(dim=0)),
        (3, 4),
        X(2, 4, 3),
        (2,),
    ),
    "einsum": (lambda x, w: torch.einsum("nit,oi->not", x, w), (4, 3), X(2, 3, 4), (1,)),
    "einsum to heads": (
        lambda x, w: torch.einsum("nti,hid->nhtd", x, w),
        (2, 3, 5),
        X(2, 4, 3),
        (1, 3),
    ),
    "addmm": (lambda x, w: torch.addmm(w[0], x, w), (3, 3), X(2, 3), (1,)),
}


@pytest.mark.parametrize("name", MAKING)
def test_layers_that_make_units(name):
    layer, x, dims = MAKING[name]
    layer = layer.eval() if isinstance(layer, nn.Module) else layer

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            y = self.layer(x)
            return F.relu(y[0] if isinstance(y, tuple) else y)

    with torch.no_grad():
        y = layer(x)
    stats, notes = watched(Model(), x)
    y = y[0] if isinstance(y, tuple) else y
    assert stats.unit_zeros.tolist() == zeros_by_unit(y, dims)
    assert notes == []


@pytest.mark.parametrize("name", BY_PARAMETERS)
def test_products_with_parameters_make_units(name):
    function, shape, x, dims = BY_PARAMETERS[name]
    model = Before(function, weight(*shape))
    with torch.no_grad():
        y = function(x, *model.held)
    stats, notes = watched(model, x)
    assert stats.unit_zeros.tolist() == zeros_by_unit(y, dims)
    assert notes == []


def linear(outputs, inputs=6):
    return nn.Linear(inputs, outputs)


class Function(nn.Module):
    """A ReLU after a function of the layers and the input."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return F.relu(self.function(x, *self.layers))


def routed(x, expert):
    rows = (x[:, 0] > 0).nonzero().squeeze(-1)
    return torch.zeros(len(x), 8).index_add(0, rows, expert(x[rows]))


def assigned(x, expert):
    y = torch.zeros(len(x), 8)
    rows = x[:, 0] > 0
    y[rows] = expert(x[rows])
    return y


def scattered(x, layer):
    y = layer(x)
    index = torch.zeros(len(x), 1, dtype=torch.int64).expand_as(y)
    return torch.zeros(2, 8).scatter_add(0, index, y)


def stretched(x, one, other):
    return one(x) + other(x).T


OF_SEVERAL = {
    "rows that an expert sees": (Function(routed, linear(8)), (1,)),
    "rows that are assigned": (Function(assigned, linear(8)), (1,)),
    "scattered rows": (Function(scattered, linear(8)), (1,)),
    "an op of ATen": (
        Function(lambda x, f: torch.ops.aten.transpose.int(f(x), 0, 1), linear(16)),
        (0,),
    ),
    "a triangle": (Function(lambda x, f: f(x).tril(), linear(8)), (1,)),
    "a single unit before others": (
        Function(
            lambda x, f, g: torch.cat([f(x).squeeze(-1)[..., None], g(x)], -1), linear(1), linear(3)
        ),
        (1,),
    ),
    "means beside their channels": (
        Function(lambda x, f: torch.cat([f(x).mean(1, keepdim=True), f(x)], 1), linear(4)),
        (1,),
    ),
    "pooled by attention": (
        Function(lambda x, f, a: a(x).softmax(0).T @ f(x), linear(8), linear(3)),
        (1,),
    ),
    "scores of pairs": (Function(stretched, linear(1), linear(1)), ()),
    "scores the other way": (Function(lambda x, f, g: g(x).T + f(x), linear(1), linear(1)), ()),
    "a joint mixed by a parameter": (
        Before(
            lambda x, w: torch.einsum("nv,vw->nw", F.linear(x, torch.ones(9, 6)).T, w),
            weight(16, 5),
        ),
        (0,),
    ),
}


def chosen(x, layer):
    """Q(s, a) of one action for each state."""
    return layer(x).gather(1, torch.arange(16)[:, None] % 4)


def sampled(x, layer, offsets):
    maps = layer(x.view(2, 3, 4, 4))
    grid = offsets(x.view(2, 3, 4, 4)).permute(0, 2, 3, 1)
    return F.grid_sample(maps, grid, align_corners=False)


def linear_attention(x, keys, values):
    k, v = (layer(x).view(4, 4, 2, 4) for layer in (keys, values))
    return torch.einsum("nlhd,nlhe->nhde", k, v)


def gated(x, values, gates):
    y = values(x).view(4, 4, 8)
    return (y * gates(y.mean(1)).softmax(-1).unsqueeze(-1)).sum(1)


OF_SEVERAL |= {
    "one action of each state": (Function(chosen, linear(4)), ()),
    "maps at other positions": (
        Function(sampled, nn.Conv2d(3, 5, 1), nn.Conv2d(3, 2, 1)),
        (1,),
    ),
    "as the type of others": (
        Function(lambda x, f, g: f(x).T.to(g(x)), linear(8), linear(3)),
        (0,),
    ),
    "keys and values of one shape": (Function(linear_attention, linear(8), linear(8)), (1, 3)),
    "a gate that is called later": (Function(gated, linear(8), linear(4, 8)), (1,)),
    "a scores' product": (
        Function(lambda x, f, g: (f(x) @ g(x).mT).softmax(-1) @ g(x), linear(8), linear(8)),
        (1,),
    ),
}
# The inputs of these have other sizes.
OTHER_INPUTS = {"maps at other positions": (2, 48)}


def modulated(x, scales):
    """A convolution for each sample: samples are groups of channels."""
    weights = scales(x).view(16, 3, 1, 1, 1) * torch.ones(16, 3, 3, 1, 1)
    y = F.conv2d(x[:, :3].reshape(1, 48, 1, 1), weights.view(48, 3, 1, 1), groups=16)
    return y.view(16, 3, 1, 1)


NOT_KNOWN = {
    "samples as groups": Function(modulated, linear(3)),
    "a batch merged with channels": Function(
        lambda x, f: f(x.view(2, 3, 16)).view(-1, 16), nn.Conv1d(3, 4, 1)
    ),
    "the same, pooled": Function(
        lambda x, f: F.max_pool1d(f(x.view(2, 3, 16)).reshape(1, 8, 16), 2), nn.Conv1d(3, 4, 1)
    ),
    "what a mask selects": Function(
        lambda x, f: f(x).masked_select(x[:, :1] > 0).view(-1, 4), linear(4)
    ),
}


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_units_that_are_not_known(name):
    _, notes = watched(NOT_KNOWN[name], torch.randn(16, 6))
    assert "assumed" in notes[0]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", OF_SEVERAL)
def test_units_of_calls_with_several_tensors(name, compiled):
    if compiled and name.startswith("rows that"):
        pytest.skip("the compiler breaks the graph, and a graph does not know its inputs' layers")
    model, dims = OF_SEVERAL[name]
    x = torch.randn(OTHER_INPUTS.get(name, (16, 6)))
    with torch.no_grad(), ReLUInputs() as inputs:
        model(x)
    called = torch.compile(model, backend="eager") if compiled else model
    with torch.no_grad(), relustat.watch(model) as watch:
        called(x)
    (stats,) = watch.stats.values()
    assert stats.calls == 1
    assert stats.unit_zeros.tolist() == zeros_by_unit(inputs.found[0], dims)
    assert watch.report().notes == []


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_several_unit_dimensions_that_are_no_neighbours(compiled):
    """Heads and their features, with the tokens in between."""
    model = Function(lambda x, f: f(x).view(4, 4, 2, 4).transpose(1, 2), linear(8))
    x = torch.randn(4, 4, 6)
    y = model.function(x, *model.layers)
    called = torch.compile(model, backend="eager", fullgraph=True) if compiled else model
    with relustat.watch(model) as watch:
        called(x)
    (stats,) = watch.stats.values()
    assert stats.calls == 1
    assert stats.unit_zeros.tolist() == zeros_by_unit(y, (1, 3))


def test_tensors_that_leave_a_graph_keep_their_units():
    part = nn.Sequential(nn.Conv1d(3, 4, 1))
    model = nn.Sequential(torch.compile(part, backend="eager"), nn.ReLU())
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3, 7))
    assert watch.stats["1"].widths == (4,)
    assert watch.report().notes == []


def test_unflatten_in_a_graph():
    model = nn.Sequential(linear(32), nn.Unflatten(1, (2, 4, 4)), nn.ReLU())
    with relustat.watch(model) as watch:
        torch.compile(model, backend="eager", fullgraph=True)(torch.randn(3, 6))
    assert watch.stats["2"].widths == (32,)


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


class Raising(torch.Tensor):
    """A tensor whose properties raise."""

    @property
    def shape(self):
        raise RuntimeError("no shape")


def test_the_tracker_raises_nothing():
    lazy = nn.Sequential(nn.LazyConv2d(4, 1), nn.ReLU())
    stats, _ = watched(lazy, torch.randn(2, 3, 5, 5))
    assert stats.widths == (4,)

    def strange(x):
        (x.as_subclass(Raising) + 1).chunk(2)
        torch.nested.nested_tensor([x[0], x[1]]) * 2
        x.to_sparse().to_dense()
        return x

    stats, _ = watched(Before(strange), torch.randn(2, 3))
    assert stats.widths == (3,)


def test_asking_calls_leaves_no_trace():
    """Neither in the random numbers of the user, nor in the modes that are active."""

    def shuffled(x):
        return F.alpha_dropout(x.unfold(1, 1, 1)[..., 0].reshape(2, -1, 1).squeeze(2), 0.5, True)

    model = nn.Sequential(nn.Linear(3, 4), Before(shuffled))
    x = torch.randn(2, 3)
    torch.manual_seed(1)
    expected = model(x), torch.rand(3)
    with relustat.watch(model), ReLUInputs() as mode:
        torch.manual_seed(1)
        found = model(x), torch.rand(3)
    assert all(map(torch.equal, found, expected))
    assert len(mode.found) == 1
