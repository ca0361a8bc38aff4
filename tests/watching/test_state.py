"""A run that is stopped and goes on has the counts of one that was not stopped."""

import copy
import io
import json

import pytest
import torch
import torch.distributed.checkpoint as dcp
import torch.nn.functional as F
from torch import nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

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
        run(watch, model, steps(4))
        state = watch.state_dict()
        before = copy.deepcopy(state)
        stats, deaths = watch.stats, watch.history.to_dict()
        run(watch, model, steps(4), 4)
        assert all(torch.equal(state["counts"][n], before["counts"][n]) for n in before["counts"])
        watch.load_state_dict(state)
        for counts in state["counts"].values():
            counts.zero_()
        assert watch.stats == stats
        assert watch.history.to_dict() == deaths


def test_tensors_and_a_text():
    model = Net()
    with relustat.watch(model) as watch:
        run(watch, model, steps(4))
    state = watch.state_dict()
    assert {name: type(each) for name, each in state.items()} == {
        "version": int,
        "described": str,
        "counts": dict,
    }
    assert {type(name) for name in state["counts"]} == {str}
    assert {each.dtype for each in state["counts"].values()} == {torch.int64}
    with relustat.watch(model) as again:
        again.load_state_dict(state)
        assert again.state_dict()["described"] == state["described"]
        assert all(
            torch.equal(each, state["counts"][number])
            for number, each in again.state_dict()["counts"].items()
        )


def test_a_distributed_checkpoint(tmp_path):
    model = Net()
    with relustat.watch(model) as watch:
        model(steps(1)[0])
        dcp.save({"watch": watch.state_dict()}, checkpoint_id=tmp_path / "many", no_dist=True)
    dcp_to_torch_save(tmp_path / "many", tmp_path / "one.pt")
    with relustat.watch(model) as again:
        again.load_state_dict(torch.load(tmp_path / "one.pt", weights_only=True)["watch"])
        assert again.stats == watch.stats


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
        "relu_1: not in the state that was loaded",
        "act: not called since the state was loaded",
    ]


def state_of(model=None, **options):
    model = model or Net()
    with relustat.watch(model, **options) as watch:
        model(torch.randn(4, 6))
    return watch.state_dict()


def changed(change):
    """A state whose description has been changed."""
    state = state_of()
    described = json.loads(state["described"])
    change(described, described["call_sites"]["sites"]["act"])
    return {**state, "described": json.dumps(described)}


def with_counts(change):
    state = state_of()
    return {**state, "counts": {number: change(each) for number, each in state["counts"].items()}}


NO_STATE = "state must be what state_dict"
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
        lambda: state_of(nn.Sequential(nn.Flatten(), nn.ReLU())),
        "got call sites of modules that it has not: 1",
    ),
    "other bins": (lambda: state_of(bins=None), "bins must be that of the watch, got 'None' in"),
    "histograms of units": (
        lambda: state_of(unit_histograms=True),
        "unit_histograms must be that of the watch, got True in the state, False here",
    ),
    "every": (lambda: state_of(every=3), "every must be that of the watch, got 3 in"),
    "units": (lambda: state_of(unit_dim=0), "unit_dim must be that of the watch, got '0' in"),
    "units by name": (lambda: state_of(unit_dims={"act": 0}), "unit_dims must be that of"),
    "repeats": (lambda: state_of(repeats="together"), "repeats must be that of the watch"),
    "during": (lambda: state_of(during="train"), "during must be that of the watch"),
    "a model's": (lambda: Net().state_dict(), "load_state_dict: must be what relustat wrote, got"),
    "nothing": (lambda: None, "must be what relustat wrote, got no version"),
    "no version": (lambda: {**state_of(), "version": True}, "got no version"),
    "a newer one": (lambda: {**state_of(), "version": 2}, "reads versions up to 1, got version 2"),
    "no text": (lambda: {**state_of(), "described": "{"}, NO_STATE),
    "no counts": (lambda: {**state_of(), "counts": {}}, NO_STATE),
    "floats": (
        lambda: with_counts(torch.Tensor.float),
        "counts must be int64 tensors, got torch.fl",
    ),
    "meta": (lambda: with_counts(lambda each: each.to("meta")), "got torch.int64 on meta"),
    "counts that disagree": (
        lambda: with_counts(lambda each: each.clone().fill_(3)),
        "counts must agree",
    ),
    "other shapes": (lambda: with_counts(lambda each: each[:-1]), "must be int64"),
    "no history": (lambda: changed(lambda whole, _: whole.pop("history")), NO_STATE),
    "a group": (lambda: changed(lambda whole, _: whole.update(groups={"a": {"b": 1}})), NO_STATE),
    **{
        f"a site without {name}": (
            lambda name=name: changed(lambda _, site: site.pop(name)),
            NO_STATE,
        )
        for name in (
            "after",
            "shard",
            "counters",
            "labels",
            "units",
            "place",
            "module",
            "is_module",
        )
    },
    "a site after nothing": (lambda: changed(lambda _, site: site.update(after=None)), NO_STATE),
    "a shard of one": (lambda: changed(lambda _, site: site.update(shard=[1])), NO_STATE),
    "a label in words": (
        lambda: changed(lambda _, site: site.update(labels={"abc": site["counters"]})),
        NO_STATE,
    ),
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
        pytest.raises(ValueError, match="bins must be"),
    ):
        watch.load_state_dict(state_of(model_like(model), bins=edges))


def model_like(model):
    return copy.deepcopy(model)


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


def test_a_default_device_does_not_leak_in():
    model = Net()
    with relustat.watch(model) as watch:
        run(watch, model, steps(4))
        with torch.device("meta"):
            state = watch.state_dict()
        watch.load_state_dict(state)
