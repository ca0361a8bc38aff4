"""What the state of a watch is made of, and which states are refused."""

import copy
import json

import pytest
import torch
import torch.distributed.checkpoint as dcp
from state_cases import Net, run, steps, through_a_checkpoint
from torch import nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

import relustat
from relustat import LogBins


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
        "crc32": int,
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
    "a shard of none": (
        lambda: changed(lambda _, site: site.update(shard=[3, 3])),
        "shard must be one of 3, got 3",
    ),
    "another epoch": (
        lambda: changed(lambda whole, _: whole["history"].update(limit=7)),
        "must be as it was saved, got another checksum",
    ),
    "nested without end": (
        lambda: {**state_of(), "described": "[" * 100_000},
        NO_STATE,
    ),
    "calls that were never seen": (
        lambda: with_counts(lambda each: each.clone().index_fill_(0, torch.tensor([1]), 0)),
        "without a call that was seen",
    ),
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


def test_a_default_device_does_not_leak_in():
    model = Net()
    with relustat.watch(model) as watch:
        run(watch, model, steps(4))
        with torch.device("meta"):
            state = watch.state_dict()
        watch.load_state_dict(state)
