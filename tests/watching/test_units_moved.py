"""Units of calls of several tensors, of graphs, and of what cannot be followed."""

import pytest
import torch
import torch.nn.functional as F
from one_relu import Before, Function, ReLUInputs, linear, watched, weight
from torch import nn
from unit_cases import zeros_by_unit

import relustat


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


def test_lists_and_truth_values_index_otherwise_than_tuples_and_numbers():
    """Although Python's keys of these are equal."""

    class Indexing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 4)

        def forward(self, x):
            y = self.layer(x)
            return [F.relu(y[index]) for index in ((0, 0), [0, 0], 0, True, (1, [0, 2]))]

    with relustat.watch(Indexing()) as watch:
        watch._model(torch.randn(3, 3, 6))
    assert [stats.widths for stats in watch.stats.values()] == [(4,)] * 5


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
