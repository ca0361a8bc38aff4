"""Models to compile, and how to see how often they were."""

import pytest
import torch
import torch._dynamo.testing
import torch.nn.functional as F
from torch import nn

import relustat

needs_inductor = pytest.mark.skipif(
    " " in torch.__file__, reason="Inductor cannot compile with PyTorch in a path with spaces"
)


def with_integers(model):
    """Small weights, so that all sums are exact in any order."""
    for parameter in model.parameters():
        parameter.data = torch.randint(-1, 2, parameter.shape).float()
    return model


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.relu = relustat.CountingReLU()
        self.in_place = relustat.CountingReLU(inplace=True)

    def forward(self, x):
        return self.in_place(self.linear(self.relu(self.linear(x))))


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True))

    def forward(self, x):
        for _ in range(3):
            x = self.block(x)
        return F.relu(x - 1)


class Frames:
    """Compiles, and counts how often."""

    def __init__(self, backend="aot_eager"):
        self._counter = torch._dynamo.testing.CompileCounterWithBackend(backend)

    def compile(self, model, **options):
        return torch.compile(model, backend=self._counter, fullgraph=True, **options)

    @property
    def count(self):
        return self._counter.frame_count
