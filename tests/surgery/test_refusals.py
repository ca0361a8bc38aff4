"""What cannot be changed is left, and said; wrong arguments are errors."""

import pytest
import torch
import torch.nn.functional as F
from dead_models import counted, tensors
from torch import nn

import relustat
from relustat.surgery import ReviveDead, Skipped, prune_dead, reinitialise_dead


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
