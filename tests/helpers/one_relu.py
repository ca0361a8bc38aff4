"""Models with one ReLU behind some function, and what is counted at it."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import relustat


class ReLUInputs(TorchDispatchMode):
    """The inputs of aten's relu, as they are computed."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.relu.default:
            self.found.append(args[0].clone())
        return func(*args, **(kwargs or {}))


class Before(nn.Module):
    """A ReLU after some function of the input and of parameters."""

    def __init__(self, function, *parameters):
        super().__init__()
        self.function = function
        self.held = nn.ParameterList(parameters)

    def forward(self, x):
        return F.relu(self.function(x, *self.held))


def linear(outputs, inputs=6):
    return nn.Linear(inputs, outputs)


class Function(nn.Module):
    """A ReLU after a function of the layers and the input."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return F.relu(self.function(x, *self.layers))


def weight(*shape):
    return nn.Parameter(torch.randn(shape))


def watched(model, *inputs, **options):
    """The statistics of the only ReLU, and the report's notes."""
    with torch.no_grad(), relustat.watch(model, **options) as watch:
        for x in inputs:
            model(x)
    (stats,) = watch.stats.values()
    return stats, watch.report().notes
