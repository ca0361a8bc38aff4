"""Dead units are drawn again, or taken out; all else stays as it was."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import relustat
from relustat.surgery import ReviveDead, Skipped, prune_dead, reinitialise_dead


class Chain(nn.Module):
    """Convolutions with and without norms, pools and linear layers."""

    def __init__(self, widths=(6, 5, 8, 7), norm=True, bias=True):
        super().__init__()
        a, b, c, d = widths
        self.conv1 = nn.Conv2d(3, a, 3, padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(a) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(a, b, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(b * 4 * 4, c)
        self.fc2 = nn.Linear(c, d)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(d, 4)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.head(self.relu(self.fc2(x)))


X = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def kill(model, dead):
    """Makes units dead: their weights are 0 and their bias is negative."""
    with torch.no_grad():
        for path, units in dead.items():
            layer = model.get_submodule(path)
            norm = model.bn1 if path == "conv1" else None
            last = norm if isinstance(norm, nn.BatchNorm2d) else layer
            last.weight[units] = 0
            last.bias[units] = -0.5
    return model


def counted(model, x=X):
    with relustat.watch(model) as watch:
        model(x)
    return watch


def tensors(model):
    return {name: each.clone() for name, each in model.state_dict().items()}


deaths = st.fixed_dictionaries(
    {
        "conv1": st.sets(st.integers(0, 5)),
        "conv2": st.sets(st.integers(0, 4)),
        "fc1": st.sets(st.integers(0, 7)),
        "fc2": st.sets(st.integers(0, 6)),
    }
).map(lambda dead: {path: sorted(units) for path, units in dead.items()})


@settings(max_examples=10, deadline=None)
@given(deaths, st.booleans(), st.integers(0, 100))
def test_pruned_models_give_the_same(dead, norm, seed):
    torch.manual_seed(seed)
    model = kill(Chain(norm=norm), dead).eval()
    expected, before = model(X), tensors(model)
    watch = counted(model)
    dead = {
        change.layer: list(change.units)
        for change in reinitialise_dead(copy.deepcopy(model), watch.report(), calls=1).done
    }
    done = prune_dead(model, watch, X)
    torch.testing.assert_close(model(X), expected)
    pruned = {change.layer: list(change.units) for change in done.done}
    for path, width in (("conv1", 6), ("conv2", 5), ("fc1", 8), ("fc2", 7)):
        wanted = dead.get(path, [])
        wanted = wanted[len(wanted) == width :]  # one unit is kept
        assert pruned.get(path, []) == wanted
        layer = model.get_submodule(path)
        kept = [unit for unit in range(width) if unit not in wanted]
        assert len(layer.weight) == len(layer.bias) == len(kept)
        assert torch.equal(layer.bias, before[f"{path}.bias"][kept])
        assert re.search(rf"out_\w+={len(kept)}\b", str(layer)) or path[:4] == "conv"
    assert done.skipped == []
    assert bool(done) is any(pruned.values())
    # It can be trained and counted.
    model.train()(X).sum().backward()
    assert all(each.grad is not None for each in model.parameters())
    layers = (model.conv1, model.conv2, model.fc1, model.fc2)
    widths = [stats.widths for stats in counted(model.eval()).stats.values()]
    assert widths == [(len(layer.weight),) for layer in layers]


@settings(max_examples=10, deadline=None)
@given(deaths, st.booleans(), st.sampled_from(["AdamW", "SGD"]))
def test_reinitialised_units_can_learn_and_nothing_else_changes(dead, norm, optimizer):
    torch.manual_seed(0)
    model = Chain(norm=norm)
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    optimizer = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-3, **options)
    model(X).square().sum().backward()
    optimizer.step()
    kill(model, dead).eval()
    expected, before = model(X), tensors(model)
    state = [copy.deepcopy(optimizer.state[each]) for each in model.parameters()]
    done = reinitialise_dead(model, counted(model), optimizer, calls=1)
    torch.testing.assert_close(model(X), expected)
    changed = {name: torch.zeros_like(each, dtype=torch.bool) for name, each in before.items()}
    for change in done.done:
        paths = [change.layer, *(["bn1"] if norm and change.layer == "conv1" else [])]
        units = list(change.units)
        assert set(dead[change.layer]) <= set(units)
        for path in paths:
            for name in changed:
                if name.startswith(f"{path}.") and changed[name].dim():
                    changed[name][units] = True
        layer = model.get_submodule(change.layer)
        bound = layer.weight[0].numel() ** -0.5
        assert layer.weight[units].abs().max() <= bound
        assert (layer.bias[units] != before[f"{change.layer}.bias"][units]).all()
        (reader,) = change.readers
        positions = 16 if reader == "fc1" else 1
        columns = [unit * positions + each for unit in units for each in range(positions)]
        changed[f"{reader}.weight"][:, columns] = True
        assert not model.get_submodule(reader).weight[:, columns].any()
    for name, each in model.state_dict().items():
        assert torch.equal(each[~changed[name]], before[name][~changed[name]]), name
    for (name, parameter), was in zip(model.named_parameters(), state, strict=True):
        for key, value in optimizer.state[parameter].items():
            if value.shape == parameter.shape:
                assert not value[changed[name]].any()
                assert torch.equal(value[~changed[name]], was[key][~changed[name]])
            else:
                assert value == was[key]


def test_the_state_of_an_optimiser_is_cleared_nowhere_else():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(2):
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
    for parameter in model.parameters():
        for value in optimizer.state[parameter].values():
            value.fill_(2)
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([100, -100, 100, -100]))
    done = reinitialise_dead(model, counted(model, torch.randn(8, 3)), optimizer, calls=1)
    assert [change.units for change in done.done] == [(1, 3)]
    twos = [[2, 0, 2, 0]]
    state = [optimizer.state[parameter] for parameter in model.parameters()]
    for key in ("exp_avg", "exp_avg_sq"):
        weight, bias, reader, reader_bias = (each[key] for each in state)
        assert bias.tolist() == twos[0]
        assert weight.tolist() == [[number] * 3 for number in twos[0]]
        assert reader.tolist() == twos * 2
        assert reader_bias.tolist() == [2, 2]
    assert {each["step"].item() for each in state} == {2}


def test_a_revived_unit_fires():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    with torch.no_grad():
        model[0].bias[:6] = -100
    revived = []
    with relustat.watch(model) as watch:
        revive = ReviveDead(model, watch, optimizer, every=5, calls=5)
        for step in range(1, 41):
            x = torch.randn(32, 3)
            optimizer.zero_grad()
            (model(x) - x[:, :1].abs()).square().mean().backward()
            optimizer.step()
            done = revive.step()
            assert (done is None) == bool(step % 5)
            revived += [done] if done else []
        assert revived[0].done[0].units == (0, 1, 2, 3, 4, 5)
        assert watch.stats["1"].dead_for(20).tolist() == []
    assert revive.steps == 40
    assert model[2].weight[0, :6].abs().min() > 0


def test_compiled_models_are_operated_on_without_another_compilation():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        model[0].bias[:2] = -100
    compiles = []

    def backend(graph, _):
        compiles.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend)
    x = torch.randn(8, 3)
    with relustat.watch(compiled) as watch:
        expected = compiled(x)
        before = len(compiles)
        done = reinitialise_dead(compiled, watch, calls=1)
        torch.testing.assert_close(compiled(x), expected)
    assert set(done.done[0].units) >= {0, 1}
    assert len(compiles) == before


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))
        self.c.weight = self.a.weight

    def forward(self, x):
        return self.c(self.b(F.relu(self.a(x))))


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.b(F.relu(self.a(x)) + x)


class Frozen(Skip):
    def __init__(self):
        super().__init__()
        self.b.weight.requires_grad_(False)

    def forward(self, x):
        return self.b(F.relu(self.a(x)))


class Normed(Frozen):
    def __init__(self):
        super().__init__()
        self.b.weight.requires_grad_(True)
        self.a = nn.utils.parametrizations.weight_norm(self.a)


class Leaky(Frozen):
    def forward(self, x):
        return self.b(F.leaky_relu(self.a(x)))


class Again(nn.Module):
    """Its reader is called by other code, too."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        self.a = self.block[0]

    def forward(self, x):
        return self.block[2](self.block(x))


SKIPPED = {
    Again: "block.2 is called 2 times",
    Shared: "a.weight is shared with c.weight",
    Skip: "add reads them",
    Frozen: "b.weight is frozen: it needs no gradient",
    Normed: "the parameters of a are computed of others",
    Leaky: "a LeakyReLU does not give 0",
}


@pytest.mark.parametrize("kind", SKIPPED)
def test_what_cannot_be_changed_is_left_and_said(kind):
    model = kind()
    with torch.no_grad():
        model.a.bias[1] = -100
    x = torch.rand(8, 4)
    with relustat.watch(model, activations="relu-like") as watch:
        model(x)
    (name,) = watch.stats
    dead = len(watch.stats[name].dead_units)
    before = tensors(model)
    for done in (reinitialise_dead(model, watch, calls=1), prune_dead(model, watch, x)):
        assert done.skipped == [Skipped(name, dead, SKIPPED[kind])]
        assert not done
        assert f"left as before: {SKIPPED[kind]}" in str(done)
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_a_unit_that_is_dead_at_one_of_two_call_sites_is_left():
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        for parameter, value in zip(block.parameters(), (1, 0, -1, 0), strict=True):
            parameter.fill_(value)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = block

        def forward(self, x):
            return self.block(-self.block(x))

    model, x = Twice(), torch.tensor([[1.0]])
    with relustat.watch(model) as watch:
        model(-x)
        model(x)
    assert [len(stats.dead_for(1)) for stats in watch.stats.values()] == [0, 0]
    with relustat.watch(model) as watch:
        model(-x)
    names = list(watch.stats)
    done = reinitialise_dead(model, watch, calls=1)
    assert done.skipped == [
        Skipped(names[0], 2, f"{names[1]} gets them, too"),
        Skipped(names[1], 2, f"{names[0]} gets them, too"),
    ]


@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_feed_forward_layers_of_transformers(kind):
    torch.manual_seed(0)
    model = kind(16, 2, 32, batch_first=True).eval()
    with torch.no_grad():
        model.linear1.bias[[3, 30]] = -100
    x = torch.randn(2, 5, 16)
    inputs = (x,) if kind is nn.TransformerEncoderLayer else (x, x)
    with relustat.watch(model) as watch:
        expected = model(*inputs)
    assert str(prune_dead(model, watch, inputs)) == (
        "relu  2 units of linear1 pruned: 3, 30; read by linear2"
    )
    torch.testing.assert_close(model(*inputs), expected)
    assert model.linear1.weight.shape == (30, 16)
    assert model.linear2.weight.shape == (16, 30)


def test_nothing_dead_is_said():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].bias.fill_(100)
    x = torch.rand(4, 2)
    watch = counted(model, x)
    assert str(reinitialise_dead(model, watch, calls=1)) == (
        "no unit was reinitialised: none is dead"
    )
    assert str(prune_dead(model, watch, x)) == "no unit was pruned: none is dead"


@pytest.mark.parametrize("fault", ["fires", "raises"])
def test_a_model_that_would_give_something_else_is_as_it_was(fault):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))
    x = torch.rand(64, 2)
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.copy_(torch.tensor([-0.5, -100, 1, 1, -100, 1]))
    model.eval()
    watch = counted(model, torch.zeros(4, 2))
    assert 0 in watch.stats["2"].dead_units
    before, parameters = tensors(model), list(model.parameters())
    model.train()
    if fault == "raises":

        def picky(_, args):
            assert args[0].shape[1] == 6, "too small"

        picky.__module__ = "relustat.test"  # else it would be seen before
        model[3].register_forward_pre_hook(picky)
    got = "units that fire for them" if fault == "fires" else "an error of the smaller model: too"
    rule = "prune_dead: the outputs for `inputs` must stay the same, got "
    with pytest.raises(ValueError, match=rule + got):
        prune_dead(model, watch, x)
    assert [id(each) for each in model.parameters()] == [id(each) for each in parameters]
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert str(model[0]) == "Linear(in_features=2, out_features=6, bias=True)"
    assert model[1].num_features == 6


def test_an_open_watch_does_not_count_what_prune_dead_asks():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].bias[0] = -100
    x = torch.rand(4, 2)
    with relustat.watch(model) as watch:
        model(x)
        prune_dead(model, watch, {"input": x})
        assert watch.stats["1"].calls == 1
        prune_dead(model, watch.report(), (x,))
        assert watch.stats["1"].calls == 1
        model(x)
        assert len(watch.stats["1"].widths) == 2


def dead_model():
    """A model, an input, and a watch that has counted: two of three units are dead."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-100.0, 100.0, -100.0]))
    return model, torch.rand(4, 2)


def test_revive_dead_does_nothing_without_new_counts():
    model, x = dead_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with relustat.watch(model) as watch:
        revive = ReviveDead(model, watch, optimizer, every=1, calls=1)
        model(x)
        assert [change.units for change in revive.step().done] == [(0, 2)]
        before = tensors(model)
        watch.stop()
        model(x)
        assert str(revive.step()) == "no unit was reinitialised: none is dead"
        assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    with pytest.raises(ValueError, match="ReviveDead: the watch must be open, got a closed one"):
        revive.step()
    assert revive.steps == 2


def test_the_last_unit_stays():
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    x = torch.rand(4, 2)
    done = prune_dead(model, counted(model, x), x)
    assert done.skipped == [Skipped("1", 1, "it is the last of 0")]
    assert not done


def test_outputs_that_cannot_be_compared_are_an_error():
    class Wrapped(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return {1: "no tensor", 2: self.model(x) is None}

    model, x = dead_model()
    wrapped = Wrapped(model)
    before = tensors(wrapped)
    with pytest.raises(ValueError, match="prune_dead: the model must give tensors, alone or in"):
        prune_dead(wrapped, counted(wrapped, x), x)
    assert all(torch.equal(each, before[name]) for name, each in wrapped.state_dict().items())


def test_a_data_parallel_model_is_pruned_uncounted():
    model, x = dead_model()
    parallel = nn.DataParallel(model)
    with relustat.watch(parallel) as watch:
        parallel(x)
        assert prune_dead(parallel, watch, x).units == 2
        assert [stats.calls for stats in watch.stats.values()] == [1]


def test_wrong_arguments_are_errors():
    model, other = (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)) for _ in range(2))
    watch, x = counted(model, torch.rand(4, 2)), torch.rand(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for ask in (
        lambda *args: reinitialise_dead(*args, calls=1),
        lambda *args: prune_dead(*args, x),
    ):
        with pytest.raises(ValueError, match="the watch must be of this model, got one of another"):
            ask(other, watch)
        with pytest.raises(TypeError, match="watch must be a Watch or a Report, got dict"):
            ask(model, watch.stats)
        with pytest.raises(TypeError, match=r"model must be an nn\.Module, got int"):
            ask(3, watch)
    for calls in (0, -1, 1.5, True, None):
        with pytest.raises(ValueError, match="calls must be an integer of at least 1, got"):
            reinitialise_dead(model, watch, calls=calls)
        with pytest.raises(ValueError, match="every must be an integer of at least 1, got"):
            ReviveDead(model, watch, optimizer, every=calls, calls=1)
    with pytest.raises(TypeError, match="optimizer must be an Optimizer, got str"):
        reinitialise_dead(model, watch, "Adam", calls=1)
    with pytest.raises(TypeError, match="ReviveDead: optimizer must be an Optimizer, got NoneType"):
        ReviveDead(model, watch, None, every=1, calls=1)
    with pytest.raises(ValueError, match="ReviveDead: the watch must be of this model"):
        ReviveDead(other, watch, optimizer, every=1, calls=1)
    with pytest.raises(TypeError, match="ReviveDead: watch must be a Watch, got Report"):
        ReviveDead(model, watch.report(), optimizer, every=1, calls=1)
    stranger = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    with torch.no_grad():
        stranger[0][0].bias.fill_(-100)
    report = counted(stranger, x).report()
    done = reinitialise_dead(model, report, calls=1)
    assert done.skipped == [Skipped("0.1", 3, "0.0 is not in the model")]
