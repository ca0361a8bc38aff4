"""What holds of every chain of layers, whatever its layers and its dead units."""

import copy
from itertools import compress

import torch
from dead_models import counted, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from random_chains import chains

from relustat.surgery import prune_dead, reinitialise_dead

ALL = {"activations": "relu-like"}


def found_in(watch, chain):
    """The hidden layers, each with its dead units."""
    dead = [stats.dead_units.tolist() for stats in watch.stats.values()]
    return list(zip(chain.hidden, dead, strict=True))


@settings(max_examples=60, deadline=None)
@given(chains())
def test_pruned(chain):
    model, x = chain.model, chain.x
    expected, before = model(x), tensors(model)
    watch = counted(model, x, **ALL)
    found = found_in(watch, chain)
    done = prune_dead(model, watch, x)
    torch.testing.assert_close(model(x), expected)
    pruned = {change.layer: list(change.units) for change in done.done}
    for hidden, units in found:
        assert set(hidden.killed) <= set(units)
        taken = units[len(units) == hidden.units :]  # one unit is kept
        assert pruned.get(hidden.layer, []) == taken
        kept = [unit for unit in range(hidden.units) if unit not in taken]
        for path in filter(None, (hidden.layer, hidden.norm)):
            for name, each in model.get_submodule(path).named_parameters(path):
                assert len(each) == len(kept)
                if each.dim() == 1:
                    assert torch.equal(each, before[name][kept])
    lone = [len(units) == hidden.units == 1 for hidden, units in found]
    assert [each.call_site for each in done.skipped] == list(compress(watch.stats, lone))
    left = [stats.dead_units.tolist() for stats in counted(model, x, **ALL).stats.values()]
    assert left == [[0] if len(units) == hidden.units else [] for hidden, units in found]
    model.train()(x).sum().backward()
    assert all(each.grad is not None for each in model.parameters())


@settings(max_examples=60, deadline=None)
@given(chains(), st.sampled_from([torch.optim.Adam, torch.optim.SGD]))
def test_reinitialised(chain, kind):
    model, x = chain.model, chain.x
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(model.parameters(), 0.0, **options)
    model(x).square().sum().backward()
    optimizer.step()
    for parameter in model.parameters():
        for value in optimizer.state[parameter].values():
            value.fill_(2)
    expected, before = model(x), tensors(model)
    state = [copy.deepcopy(optimizer.state[each]) for each in model.parameters()]
    watch = counted(model, x, **ALL)
    found = found_in(watch, chain)
    done = reinitialise_dead(model, watch, optimizer, calls=1)
    torch.testing.assert_close(model(x), expected)
    assert done.skipped == []
    norms = {hidden.layer: hidden.norm for hidden in chain.hidden}
    assert {change.layer: list(change.units) for change in done.done} == {
        hidden.layer: units for hidden, units in found if units
    }
    changed = {name: torch.zeros_like(each, dtype=torch.bool) for name, each in before.items()}
    for change in done.done:
        units = list(change.units)
        for path in filter(None, (change.layer, norms[change.layer])):
            for name, each in model.get_submodule(path).state_dict(prefix=f"{path}.").items():
                if each.dim():
                    changed[name][units] = True
        (reader,) = change.readers
        weight = model.get_submodule(reader).weight
        positions = weight.shape[1] // len(model.get_submodule(change.layer).weight)
        columns = [unit * positions + each for unit in units for each in range(positions)]
        changed[f"{reader}.weight"][:, columns] = True
        assert not weight[:, columns].any()
    for name, each in model.state_dict().items():
        assert torch.equal(each[~changed[name]], before[name][~changed[name]]), name
    for (name, parameter), was in zip(model.named_parameters(), state, strict=True):
        for key, value in optimizer.state[parameter].items():
            if value.shape == parameter.shape:
                assert (value == torch.where(changed[name], 0, 2)).all()
            else:
                assert value == was[key]


@settings(max_examples=30, deadline=None)
@given(chains())
def test_revived_units_fire(chain):
    """Each time that a unit is drawn, it may fire: after some times all do."""
    for _ in range(60):
        watch = counted(chain.model, chain.x, **ALL)
        if not reinitialise_dead(chain.model, watch, calls=1):
            break
    assert [units for _, units in found_in(watch, chain)] == [[]] * len(chain.hidden)
