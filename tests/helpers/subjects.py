"""A model to which something happens, what it was before, and what it counts."""

import torch
import torch.nn.functional as F
from models import snapshot
from torch import nn

import relustat

X = torch.tensor([[-1.0, 2.0, 3.0], [1.0, 1.0, -2.0]])


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.MaxPool1d(2))
        self.relu = nn.ReLU()

    def forward(self, x):
        return F.relu(self.relu(self.block(x) - 1))


class Subject:
    """A model, what it was, and what it gives."""

    def __init__(self):
        self.model = Model()
        self.before = snapshot(self.model)
        self.expected = self.model(X)
        self.zeros = self.zeros_of_a_forward()
        self.watch = None

    def zeros_of_a_forward(self):
        with relustat.watch(self.model) as watch:
            assert torch.equal(self.model(X), self.expected)
        return {name: stats.zeros for name, stats in watch.stats.items()}

    def calls(self):
        """Of each call site. All that each counted is right."""
        found = self.watch.stats
        for name, stats in found.items():
            assert stats.zeros == stats.calls * self.zeros[name]
        return [found[name].calls if name in found else 0 for name in self.zeros]

    def assert_watched(self):
        """A forward is counted, once at each call site."""
        calls = self.calls()
        assert torch.equal(self.model(X), self.expected)
        assert self.calls() == [each + 1 for each in calls]

    def assert_plain(self):
        assert torch._C._len_torch_function_stack() == 0
        assert snapshot(self.model) == self.before
        assert self.zeros_of_a_forward() == self.zeros
        assert snapshot(self.model) == self.before
