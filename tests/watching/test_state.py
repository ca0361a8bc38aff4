"""A run that is stopped and goes on has the counts of one that was not stopped."""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import relustat
from relustat import LinearBins, LogBins


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.fc1 = nn.Linear(6, width)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(width, 5)

    def forward(self, x):
        return F.relu(self.fc2(self.act(self.fc1(x))))


class Loops(Net):
    """One position of the code, and several calls; and widths that differ."""

    def forward(self, x):
        x = x.clone()
        for _ in range(2):
            x = self.act(x)
        return F.relu(self.fc2(self.act(self.fc1(x))))


def steps(number):
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(4, 6, generator=generator) - index % 3 for index in range(number)]


def run(watch, model, batches, first=0):
    for index, x in enumerate(batches, first):
        with watch.group("even" if index % 2 == 0 else "odd"):
            model(x)
        if index % 3 == 2:
            watch.snapshot(index // 3)


def through_a_checkpoint(state):
    file = io.BytesIO()
    torch.save({"watch": state}, file)
    file.seek(0)
    return torch.load(file, weights_only=True)["watch"]


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


def test_a_state_is_a_copy():
    model = Net()
    with relustat.watch(model) as watch:
        model(steps(1)[0])
        state = watch.state_dict()
        before = copy.deepcopy(state)
        model(steps(1)[0])
        watch.load_state_dict(state)
        model(steps(1)[0])
    assert torch.equal(
        state["call_sites"]["act"]["counters"]["8"], before["call_sites"]["act"]["counters"]["8"]
    )
    assert watch.stats["act"].calls == 2


def test_plain_tensors_numbers_and_texts():
    model = Net()
    with relustat.watch(model) as watch:
        run(watch, model, steps(4))

    def kinds(state):
        if isinstance(state, dict):
            return (
                {str}.union(*map(kinds, state.values()))
                if all(type(k) is str for k in state)
                else {dict}
            )
        if isinstance(state, list):
            return set().union(*map(kinds, state))
        return {type(state)}

    assert kinds(watch.state_dict()) <= {torch.Tensor, int, float, str, bool, type(None)}


def test_a_watch_that_is_loaded_and_not_called_has_the_counts():
    model = Net()
    with relustat.watch(model) as first:
        run(first, model, steps(4))
    with relustat.watch(model) as second:
        second.load_state_dict(first.state_dict())
        assert second.stats == first.stats
        assert "! act: not called since the state was loaded" in str(second.report())
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
        "act: not called since the state was loaded",
        "relu_1: not in the state that was loaded",
    ]


def state_of(model=None, **options):
    model = model or Net()
    with relustat.watch(model, **options) as watch:
        model(torch.randn(4, 6))
    return watch.state_dict()


def without(state, *path):
    inner = state
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return state


def disagreeing(state):
    state["call_sites"]["relu"]["counters"]["5"].fill_(3)
    return state


WRONG = {
    "another width": (
        lambda: state_of(Net(9)),
        r"other sizes of fc1.weight, .*\[9, 6\] in the state",
    ),
    "other parameters": (
        lambda: state_of(nn.Sequential(nn.Linear(6, 8), nn.ReLU())),
        r"parameters with other names: 0.weight, 0.bias in the state",
    ),
    "other modules": (
        lambda: {**state_of(nn.Sequential(nn.Flatten(), nn.ReLU())), "parameters": {}},
        "got call sites of modules that it has not: 1",
    ),
    "other bins": (lambda: state_of(bins=None), "the bins must be those of the watch, LogBins"),
    "histograms of units": (
        lambda: state_of(unit_histograms=True),
        "counters of 8 units must be int64",
    ),
    "a model's": (lambda: Net().state_dict(), "must be what state_dict.. returned, got no version"),
    "nothing": (lambda: None, "must be what state_dict.. returned, got no version"),
    "a newer one": (lambda: {**state_of(), "version": 2}, "reads versions up to 1, got version 2"),
    "a part": (lambda: without(state_of(), "history"), "got KeyError"),
    "a part of a site": (lambda: without(state_of(), "call_sites", "act", "counters"), "KeyError"),
    "counts that disagree": (lambda: disagreeing(state_of()), "counts must agree"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_state_is_an_error_and_changes_nothing(kind):
    make, message = WRONG[kind]
    state = make()
    model = Net()
    with relustat.watch(model) as watch:
        run(watch, model, steps(4))
        before, history = watch.stats, watch.history.to_dict()
        with pytest.raises(ValueError, match=message):
            watch.load_state_dict(state)
        assert watch.stats == before
        assert watch.history.to_dict() == history
        assert watch.report().warnings == [] or "state" not in str(watch.report())


def test_bins_of_given_edges_are_kept():
    edges = relustat.EdgeBins([-1, 0, 0.5])
    model = Net()
    with relustat.watch(model, edges) as watch:
        watch.load_state_dict(through_a_checkpoint(state_of(model_like(model), bins=edges)))
        assert watch.stats["act"].bins == edges
    with (
        relustat.watch(model, LogBins()) as watch,
        pytest.raises(ValueError, match="the bins must"),
    ):
        watch.load_state_dict(state_of(model_like(model), bins=edges))


def model_like(model):
    return copy.deepcopy(model)
