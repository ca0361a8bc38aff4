"""Names of call sites, and their order."""

import torch
import torch.nn.functional as F
from torch import nn

import relustat


class Names(nn.Module):
    """Names that meet: relu called twice beside relu_1, a function beside a module."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()
        self.relu_1 = nn.ReLU()

    def forward(self, x):
        return F.relu(self.relu_1(self.relu(F.relu(self.relu(x)))))


def test_names_that_meet():
    model = nn.Sequential(Names(), Names())
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
    per_block = ["relu", "functional_relu", "relu__1", "relu_1", "functional_relu_1"]
    assert list(watch.stats) == [f"{block}.{name}" for block in (0, 1) for name in per_block]


def test_a_module_in_two_positions_has_the_name_of_each():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 5), relu)
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
    assert {name: stats.widths for name, stats in watch.stats.items()} == {"1": (3,), "3": (5,)}


def test_root_modules():
    with relustat.watch(nn.ReLU()) as watch:
        watch._model(torch.randn(2, 3))
    assert list(watch.stats) == ["relu"]


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.left, self.right, self.last = (nn.ReLU() for _ in range(4))

    def forward(self, x, left):
        x = self.first(x)
        x = self.left(x) if left else self.right(x)
        return self.last(x)


def test_branches_take_their_place_in_execution_order():
    model = Branching()
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3), left=False)
        model(torch.randn(2, 3), left=True)
        model(torch.randn(2, 3), left=True)
    calls = {name: stats.calls for name, stats in watch.stats.items()}
    assert calls == {"first": 3, "left": 2, "right": 1, "last": 3}
    assert list(calls) == ["first", "left", "right", "last"]
