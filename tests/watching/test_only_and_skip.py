import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import relustat


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 6), nn.ReLU()
        )
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return F.relu(self.head(self.body(x)))


ALL = ["body.1", "body.3", "relu"]


@pytest.mark.parametrize(
    ("options", "counted"),
    [
        ({"only": "body.*"}, ["body.1", "body.3"]),
        ({"skip": "body.*"}, ["relu"]),
        ({"only": re.compile("[13]$"), "skip": "*.3"}, ["body.1"]),
        ({"only": ["relu", "body.3"]}, ["body.3", "relu"]),
    ],
)
@pytest.mark.parametrize("is_compiled", [False, True])
def test_only_what_is_chosen_is_counted(options, counted, is_compiled):
    model = Net()
    x = torch.randn(5, 4)
    expected = model(x)
    with relustat.watch(model) as watch:
        model(x)
    whole = watch.stats
    run = torch.compile(model, fullgraph=True) if is_compiled else model
    with relustat.watch(model, **options) as watch:
        y = run(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-6 if is_compiled else 0)
    assert {name: stats.zeros for name, stats in watch.stats.items()} == {
        name: whole[name].zeros for name in counted
    }
    left = [name for name in ALL if name not in counted]
    calls = "1 call site" if len(left) == 1 else "2 call sites"
    assert (
        f"{calls}, not counted: left out by only or skip ({', '.join(left)})"
        in watch.report().warnings
    )


def test_a_pattern_that_fits_nothing_is_said():
    model = Net()
    with relustat.watch(model, only=["bdoy.*", "relu"]) as watch:
        model(torch.randn(5, 4))
    assert list(watch.stats) == ["relu"]
    assert "only: 'bdoy.*' fits no ReLU that was called" in watch.report().warnings


def test_what_is_not_chosen_is_not_missed():
    model = Net()
    model.spare = nn.ReLU()
    with relustat.watch(model, skip=["spare", "body.3"]) as watch:
        model(torch.randn(5, 4))
    assert watch.report().warnings == [
        "1 call site, not counted: left out by only or skip (body.3)"
    ]


def test_wrong_patterns_leave_the_model_as_it_was():
    model = Net()
    with pytest.raises(TypeError, match=r"watch: only must be a glob, .*got 1"):
        relustat.watch(model, only=1)
    relustat.watch(model).close()


def test_a_state_is_loaded_with_the_same_choice_only():
    model = Net()
    states = {}
    for only in (None, "body.*"):
        with relustat.watch(model, only=only) as watch:
            model(torch.randn(5, 4))
            states[only] = watch.state_dict()
    with relustat.watch(model, only="body.*") as watch:
        watch.load_state_dict(states["body.*"])
        model(torch.randn(5, 4))
        assert [each for each in watch.report().warnings if "loaded" in each] == []
        assert list(watch.stats) == ["body.1", "body.3"]
        with pytest.raises(
            ValueError, match="only must be that of the watch, got None in the state"
        ):
            watch.load_state_dict(states[None])


def test_gradients_flow_where_nothing_is_counted():
    model = Net()
    x = torch.randn(5, 4, requires_grad=True)
    (expected,) = torch.autograd.grad(model(x).sum(), x)
    with relustat.watch(model, skip="*"):
        (found,) = torch.autograd.grad(model(x).sum(), x)
    assert torch.equal(found, expected)
