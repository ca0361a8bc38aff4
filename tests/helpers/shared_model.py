"""A model that several threads or processes call."""

import numpy as np
from torch import nn

from relustat import LinearBins

BINS = LinearBins(-3, 3, 50)


def assert_counted(stats, x, calls, times=1):
    """Counts of ``calls`` calls that had every element of ``x`` so many times between them."""
    assert stats.calls == calls
    assert stats.elements == times * x.numel()
    assert stats.unit_zeros.tolist() == (times * (x <= 0).sum((0, 2, 3))).tolist()
    expected, _ = np.histogram(x.detach().cpu().numpy(), bins=stats.bins.edges)
    assert stats.histogram.counts().tolist() == (times * expected).tolist()


def net():
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)),
    )
