"""Other ways to count: each takes x, returns relu(x), and counts.

Each returns an output of its own, as a layer must; what it needs besides is allocated at the first
call and kept, where PyTorch lets us.
"""

import numpy as np
import torch
import torch.nn.functional as F
from harness.instruments import Monitorch, NumPyHooks
from harness.relu_inputs import LINEAR
from torch import nn
from torch.ao.quantization import HistogramObserver

LOW, HIGH, BINS = LINEAR.lo, LINEAR.hi, LINEAR.n


class Histc:
    """relu, torch.histc and a zero count per channel, as one would write them."""

    def __init__(self):
        self.compute = _relu_histc_zeros

    def __call__(self, x):
        y, self.histogram, self.unit_zeros = self.compute(x)
        return y


def _relu_histc_zeros(x):
    y = F.relu(x)
    return y, torch.histc(x, BINS, LOW, HIGH), (y == 0).sum((0, 2, 3))


class CompiledHistc(Histc):
    """The same, compiled."""

    def __init__(self):
        self.compute = torch.compile(_relu_histc_zeros, dynamic=False)


class TunedHistc:
    """The same with all that makes it fast: zeros marked by 1.0 in memory that is kept.

    PyTorch adds up floats six times as fast as booleans; float32 is exact up to 2^24 a channel.
    """

    def __init__(self):
        self.histogram, self.mask = torch.empty(0), torch.empty(0)

    def __call__(self, x):
        y = F.relu(x)
        torch.histc(x, BINS, LOW, HIGH, out=self.histogram)
        self.unit_zeros = torch.eq(y, 0, out=self.mask).sum((0, 2, 3))
        return y


class Histogram:
    """relu and torch.histogram, without a zero count."""

    def __init__(self):
        self.histogram, self.edges = torch.empty(0), torch.empty(0)

    def __call__(self, x):
        y = F.relu(x)
        torch.histogram(x, BINS, range=(LOW, HIGH), out=(self.histogram, self.edges))
        return y


class Observer:
    """relu and PyTorch's HistogramObserver, which finds its range in the data."""

    def __init__(self):
        self.observer = HistogramObserver(BINS)

    def __call__(self, x):
        self.observer(x)
        return F.relu(x)

    def check(self, counts):
        assert int(self.observer.histogram.sum()) == counts["0"].elements


class NumPyHook:
    """nn.ReLU with np.histogram in a hook."""

    def __init__(self):
        self.model = nn.Sequential(nn.ReLU())
        self.hooks = NumPyHooks(self.model, LINEAR.edges.astype(np.float32))

    def __call__(self, x):
        return self.model(x)

    @property
    def histogram(self):
        return self.hooks.histograms["0"]


class MonitorchLens:
    """nn.ReLU under monitorch's OutputActivation: rates only, no histogram."""

    def __init__(self):
        self.model = nn.Sequential(nn.ReLU())
        self.check = Monitorch(self.model).check

    def __call__(self, x):
        return self.model(x)


class Loop:
    """A ReLU whose zeros are counted one by one in Python."""

    def __init__(self):
        self.zeros = 0

    def __call__(self, x):
        y = F.relu(x)
        for value in torch.flatten(y):
            if value.item() == 0:
                self.zeros += 1
        return y

    def check(self, counts):
        assert self.zeros == counts["0"].zeros
