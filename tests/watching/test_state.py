"""A run that is stopped and goes on has the counts of one that was not stopped."""

import copy

import pytest
import torch
import torch.nn.functional as F
from state_cases import Net, run, steps, through_a_checkpoint
from torch import nn

import relustat
from relustat import LinearBins


class Loops(Net):
    """One position of the code, and several calls; and widths that differ."""

    def forward(self, x):
        x = x.clone()
        for _ in range(2):
            x = self.act(x)
        return F.relu(self.fc2(self.act(self.fc1(x))))


OPTIONS = {
    "defaults": {},
    "every third call": {"every": 3},
    "histograms of units": {"bins": LinearBins(-2, 2, 7), "unit_histograms": True},
    "zeros only": {"bins": None},
    "labels": {"groups": lambda *_: torch.tensor([0, 1, 1, 4])},
    "a loop as one": {"repeats": "together"},
}


def assert_same(watch, other):
    assert watch.stats == other.stats
    assert list(watch.stats) == list(other.stats)
    for name, stats in watch.stats.items():
        assert stats.calls_since_fired.tolist() == other.stats[name].calls_since_fired.tolist()
    assert watch.history.to_dict() == other.history.to_dict()
    mine, theirs = watch.report(), other.report()
    assert mine.to_dict() == theirs.to_dict()
    assert str(mine) == str(theirs)


@pytest.mark.parametrize("kind", [Net, Loops])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cut", [1, 5, 6])
def test_a_run_that_goes_on(kind, options, cut):
    options = OPTIONS[options]
    model, batches = kind(), steps(12)
    with relustat.watch(model, **options) as undisturbed:
        run(undisturbed, model, batches)
    model = copy.deepcopy(model)
    with relustat.watch(model, **options) as first:
        run(first, model, batches[:cut])
        state = through_a_checkpoint(first.state_dict())
    model = copy.deepcopy(model)
    with relustat.watch(model, **options) as second:
        second.load_state_dict(state)
        assert second.stats == first.stats
        run(second, model, batches[cut:], cut)
    assert_same(second, undisturbed)


def test_compiled_code_goes_on(device):
    model, batches = Net().to(device), [x.to(device) for x in steps(8)]
    with relustat.watch(model, every=3) as undisturbed:
        called = torch.compile(model, fullgraph=True)
        run(undisturbed, called, batches)
    with relustat.watch(model, every=3) as first:
        run(first, called, batches[:4])
        state = through_a_checkpoint(first.state_dict())
    with relustat.watch(model, every=3) as second:
        # Over counts that are there already: the graph holds their tensors.
        run(second, called, batches[:2])
        second.load_state_dict(state)
        run(second, called, batches[4:], 4)
    assert_same(second, undisturbed)


def test_a_watch_that_is_loaded_and_not_called_has_the_counts():
    model = Net()
    with relustat.watch(model) as first:
        run(first, model, steps(4))
    with relustat.watch(model) as second:
        second.load_state_dict(first.state_dict())
        assert second.stats == first.stats
        assert second.report() == first.report()
        second.reset()
        assert second.stats == {}


def test_call_sites_that_are_gone_or_new_are_named():
    class Other(Net):
        def forward(self, x):
            return self.fc2(F.relu(self.fc1(x))).relu()

    model, other = Net(), Other()
    with relustat.watch(model) as first:
        model(steps(1)[0])
    with relustat.watch(other) as second:
        second.load_state_dict(first.state_dict())
        other(steps(1)[0])
    assert {name: stats.calls for name, stats in second.stats.items()} == {
        "act": 1,
        "relu": 2,
        "relu_1": 1,
    }
    assert second.report().warnings[-2:] == [
        "relu_1: not in the state that was loaded",
        "act: not called since the state was loaded",
    ]


class Skips(nn.Module):
    """Three ReLUs, of which the second may be left out."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x, skip=False):
        x = self.a(x)
        return self.c(x if skip else self.b(x))


def test_call_sites_have_the_order_of_the_state():
    model, other, x = Skips(), Skips(), torch.randn(3, 4)
    with relustat.watch(model) as watch:
        model(x)
    with relustat.watch(other) as again:
        other(x, skip=True)
        again.load_state_dict(watch.state_dict())
        other(x)
        assert list(again.stats) == ["a", "b", "c"]


def test_the_order_of_sites_that_were_met_and_not_counted():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.ReLU(), nn.ReLU()

        def forward(self, x):
            for act in (self.a, self.b) if self.training else (self.b, self.a):
                x = act(x)
            return x

    def run(model, first):
        if first:
            model.eval()(torch.ones(2, 3))
        model.train()(torch.ones(2, 3))

    orders = []
    for resumed in (False, True):
        model = Turned()
        with relustat.watch(model, during="train") as watch:
            run(model, first=True)
            state = watch.state_dict()
        if resumed:
            model = Turned()
            with relustat.watch(model, during="train") as watch:
                watch.load_state_dict(state)
                run(model, first=False)
        orders.append(list(watch.stats))
    assert orders[0] == orders[1] == ["b", "a"]


def test_widths_and_their_warnings_have_the_order_in_which_they_came():
    def run(model, widths, value):
        for width in widths:
            model(torch.full((2, width), value))

    late = [*[6] * 120, *[4] * 120]
    reports = []
    for resumed in (False, True):
        model = nn.ReLU()
        with relustat.watch(model) as watch:
            run(model, [4, 6], 1.0)
            if not resumed:
                run(model, late, -1.0)
        if resumed:
            state = watch.state_dict()
            with relustat.watch(model) as watch:
                watch.load_state_dict(state)
                run(model, late, -1.0)
        assert watch.stats["relu"].widths == (4, 6)
        reports.append(str(watch.report()))
    assert reports[0] == reports[1]


def test_a_model_that_is_compiled_later():
    x = torch.randn(3, 6)
    model = Net()
    with relustat.watch(model) as watch:
        model(x)
    compiled = torch.compile(Net(), backend="eager")
    with relustat.watch(compiled) as again:
        again.load_state_dict(watch.state_dict())
        compiled(x)
        assert again.stats["act"].calls == 2
        state = again.state_dict()
    with relustat.watch(model) as watch:
        watch.load_state_dict(state)


def test_a_group_that_was_open_goes_on():
    x = torch.randn(2, 3)
    found = []
    for resumed in (False, True):
        model = Skips()
        with relustat.watch(model) as watch, watch.group("g"):
            model(x, skip=True)
            state = watch.state_dict()
            if not resumed:
                model(x)
        if resumed:
            with relustat.watch(model) as watch:
                watch.load_state_dict(state)
                with watch.group("g"):
                    model(x)
        found.append(watch.report().groups["g"].stats)
    assert found[0] == found[1]
    assert list(found[0]) == list(found[1]) == ["a", "b", "c"]


def test_what_is_said_of_a_loaded_state_is_forgotten_with_it():
    model, x = Skips(), torch.ones(2, 3)
    with relustat.watch(model) as watch:
        model(x)
    with relustat.watch(model) as again:
        model(x)
        again.load_state_dict(watch.state_dict())
        model(x, skip=True)
        assert again.report().warnings == ["b: not called since the state was loaded"]
        again.reset()
        model(x)
        assert again.report().warnings == []


def test_modules_that_were_called_before_the_stop_were_called():
    class Sharing(nn.Module):
        def __init__(self):
            super().__init__()
            self.p, self.q = nn.Module(), nn.Module()
            self.p.act = self.q.act = nn.ReLU()

        def forward(self, x):
            return self.q.act(x)

    model = Sharing()
    with relustat.watch(model) as watch:
        model(torch.ones(2, 3))
    state, warnings = watch.state_dict(), watch.report().warnings
    with relustat.watch(model) as again:
        again.load_state_dict(state)
        model(torch.ones(2, 3))
    assert again.report().warnings == warnings
