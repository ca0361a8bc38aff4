"""Dead units are drawn again and can learn; all else stays as it was."""

import copy

import pytest
import torch
from dead_models import Chain, X, counted, dead_model, deaths, kill, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import relustat
from relustat.surgery import ReviveDead, reinitialise_dead


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
