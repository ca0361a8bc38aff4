"""A model that changes while it is watched: what it becomes is counted, and nothing is left."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import relustat

X = torch.randn(4, 6)


def net():
    return nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 6), nn.ReLU()))


def edit(model):
    model._modules["1"] = nn.Sequential(nn.Linear(6, 6), nn.ReLU())


def exchange(model):
    model[1], model[2] = model[2], model[1]


def quantise(model):
    torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, inplace=True)


# What is done to the model, and the ReLUs that it has then. One that was there keeps its name if
# others move it.
CHANGES = {
    "appended": (lambda model: model.append(nn.ReLU()), {"1", "2.1", "3"}),
    "inserted": (lambda model: model.insert(0, nn.ReLU()), {"0", "2", "3.1"}),
    "removed": (lambda model: model.pop(1), {"2.1"}),
    "replaced": (lambda model: setattr(model, "1", nn.ReLU6()), {"2.1"}),
    "replaced by a part": (lambda model: setattr(model, "1", net()), {"1.1", "1.2.1", "2.1"}),
    "in its dict": (edit, {"1.1", "2.1"}),
    "removed from its dict": (lambda model: model._modules.pop("1"), {"2.1"}),
    "exchanged": (exchange, {"2.1", "2"}),
    "double": (lambda model: model.double(), {"1", "2.1"}),
    "moved": (lambda model: model.to("cpu", torch.bfloat16), {"1", "2.1"}),
    "quantised": (quantise, {"1", "2.1"}),
    "parametrised": (lambda model: parametrizations.weight_norm(model[0]), {"1", "2.1"}),
    "pruned": (lambda model: prune.l1_unstructured(model[0], "weight", 3), {"1", "2.1"}),
    "evaluated": (lambda model: model.eval().requires_grad_(requires_grad=False), {"1", "2.1"}),
    "swapped": (relustat.swap, {"1", "2.1"}),
}


def traces(module):
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    ours = [hook for hook in hooks if type(hook).__module__.startswith("relustat")]
    return [
        *ours,
        *module._forward_hooks_always_called,
        *vars(module).keys() & {"_relustat_watched"},
    ]


@pytest.mark.parametrize("name", CHANGES)
def test_what_it_becomes_is_counted_and_nothing_is_left(name):
    change, relus = CHANGES[name]
    model = net()
    modules = set(model.modules())
    with relustat.watch(model) as watch:
        model(X)
        watch.reset()
        change(model)
        modules |= set(model.modules())
        x = X.to(next(model.parameters(), X).dtype)
        model(x)
        assert {stats.calls for stats in watch.stats.values()} == {1}
        assert len(watch.stats) == len(relus)
        assert {watch.report().call_sites[site].module for site in watch.stats} == relus
    assert [traces(module) for module in modules] == [[]] * len(modules)
    assert type(model) is nn.Sequential
    if name == "parametrised":
        parametrize.remove_parametrizations(model[0], "weight")


def test_models_that_are_dropped_are_freed_with_their_watches():
    kept = []
    for change, _ in CHANGES.values():
        model = net()
        watch = relustat.watch(model)
        model(X)
        change(model)
        with watch.counting():
            model[0]
        kept += [weakref.ref(model), weakref.ref(watch)]
    del model, watch, change
    gc.collect()
    assert [each() for each in kept] == [None] * len(kept)
