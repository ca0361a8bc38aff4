"""Which graphs there are: what has a model compiled again, and what shares a graph."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from compiled_models import Frames, Loop, Own
from oracle import assert_counts
from torch import nn

import relustat


@pytest.mark.parametrize("inplace", [False, True])
def test_a_counting_relu_is_compiled_once(device, inplace):
    relu = relustat.CountingReLU(inplace, bins=relustat.LinearBins(-2, 2, 20), every=2)
    frames = Frames()
    compiled = frames.compile(relu)
    x = torch.randn(4, 3, 5, 5, device=device)
    for _ in range(3):
        compiled(x.clone())
    assert frames.count == 1
    assert_counts(relu.stats, x, relu.counters.bins, 1, calls=2)
    relu.enabled = False
    assert torch.equal(compiled(x.clone()), F.relu(x))
    relu.enabled = True
    relu.reset()
    compiled(x.clone())
    assert frames.count == 1
    assert_counts(relu.stats, x, relu.counters.bins, 1)


def test_watching_switches_without_compiling(device):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), Loop()).to(device)
    x = torch.randn(3, 4, device=device)
    frames = Frames()
    compiled = frames.compile(model)
    with relustat.watch(compiled, every=2) as watch:
        compiled(x)
        counted = watch.stats
        assert {s.calls for s in counted.values()} == {1}
        with watch.pause():
            compiled(x)
        watch.stop()
        compiled(x)
        watch.start()
        compiled(x)  # the second of two
        assert watch.stats == counted
        compiled(x)
        assert {s.calls for s in watch.stats.values()} == {2}
        watch.reset()
        compiled(x)
        assert watch.stats == counted
    assert frames.count == 1


def test_successive_watches_and_models_that_are_alike_share_graphs(device):
    class Model(Own):
        pass

    models = [Model().to(device) for _ in range(12)]
    frames = Frames()
    x = torch.randn(3, 6, device=device)
    for model in models:
        compiled = frames.compile(model)
        with relustat.watch(model) as watch:
            compiled(x)
        with relustat.watch(model) as again:
            compiled(x)
        assert list(watch.stats) == list(again.stats) == ["relu", "in_place"]
        assert watch.stats == again.stats
        assert model.relu.stats.calls == 2
    assert frames.count == 1


def test_blocks_that_are_compiled_one_by_one_share_a_graph(device):
    model = relustat.swap(nn.Sequential(*[Loop() for _ in range(10)]).to(device))
    frames = Frames()
    for block in model:
        block.compile(backend=frames._counter, fullgraph=True)
    x = torch.randn(3, 6, device=device)
    with torch.no_grad():
        for _ in range(2):
            model(x)
    assert frames.count == 1
    assert [block.block[1].counters.stats.calls for block in model] == [6] * 10


def test_copies_of_a_watched_model_are_not_counted(device):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU()).to(device)
    x = torch.randn(3, 4, device=device)
    with relustat.watch(model) as watch:
        torch.compile(model, backend="aot_eager", fullgraph=True)(x)
        torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)(x)
    assert watch.stats["1"].calls == 1


def test_two_watched_models_of_one_class(device):
    first, second = Loop().to(device), Loop().to(device)
    x = torch.randn(3, 6, device=device)
    with relustat.watch(first) as one, relustat.watch(second) as two:
        compiled = [torch.compile(m, backend="aot_eager", fullgraph=True) for m in (first, second)]
        for index in (0, 1, 1, 0, 1):
            compiled[index](x)
    assert {s.calls for s in one.stats.values()} == {2}
    assert {s.calls for s in two.stats.values()} == {3}


@pytest.mark.parametrize("watched_first", [False, True])
def test_a_plain_twin_of_the_same_class(device, watched_first):
    plain = nn.Sequential(nn.Linear(4, 6), nn.ReLU()).to(device)
    model = copy.deepcopy(plain)
    x = torch.randn(3, 4, device=device)
    compiled = [torch.compile(m, backend="aot_eager", fullgraph=True) for m in (model, plain)]
    watch = relustat.watch(model)
    assert isinstance(model, nn.Sequential)
    for _ in range(3):
        for each in compiled if watched_first else reversed(compiled):
            each(x)
    assert watch.stats["1"].calls == 3
    assert type(copy.deepcopy(model)) is type(pickle.loads(pickle.dumps(model))) is nn.Sequential
    watch.close()
    assert type(model) is nn.Sequential
    with relustat.watch(model) as again:
        compiled[0](x)
        compiled[1](x)
    compiled[0](x)
    assert again.stats["1"].calls == 1


def test_a_function_that_was_compiled_before(device):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU()).to(device)
    x = torch.randn(3, 4, device=device)
    frames = Frames()
    compiled = torch.compile(lambda x: model(x) + 1, backend=frames._counter, fullgraph=True)
    compiled(x)
    for _ in range(3):
        with relustat.watch(model) as watch:
            compiled(x)
        compiled(x)
        assert watch.stats["1"].calls == 1
    assert frames.count == 2


def test_counters_are_at_addresses_that_cuda_graphs_know_to_stay(device):
    found = {}

    def look(graph, _):
        for node in graph.graph.find_nodes(op="placeholder"):
            kind = node.meta.get("tensor_dict", {}).get("_dynamo_static_input_type")
            found[node.name] = (node.meta["example_value"].dtype, kind)
        return graph

    relu = relustat.CountingReLU().to(device)
    torch.compile(relu, backend=look, fullgraph=True)(torch.randn(2, 3, device=device))
    counters = [kind for dtype, kind in found.values() if dtype is torch.int64]
    assert counters == ["unguarded"]
