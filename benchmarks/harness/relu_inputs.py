"""What ReLUs are measured on, and the check that what they count of it is exact."""

import functools

import numpy as np
import torch
import torch.nn.functional as F

from relustat import LinearBins

SHAPES = {
    "51M": (16, 64, 224, 224),
    "6M": (16, 64, 79, 79),
    "0.8M": (16, 64, 28, 28),
    "48K": (64, 750),
    "1K": (10, 100),
}
# Rounds, and calls in each: short calls are timed together.
ROUNDS = {"51M": (9, 1), "6M": (15, 1), "0.8M": (31, 5), "48K": (41, 40), "1K": (41, 200)}
LINEAR = LinearBins(-15, 15, 200)


@functools.lru_cache(maxsize=1)
def relu_input(size, dtype="float32", layout="nchw"):
    """Five times standard normal; sizes stand together in the rows, since only the last is kept."""
    torch.manual_seed(0)
    x = torch.randn(SHAPES[size]).mul_(5).to(getattr(torch, dtype))
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    return x.flatten(2).flatten(0, 1) if layout == "features" and x.dim() == 4 else x


def check_counts(relu, x):
    """Output, zeros of each unit and histograms are exact for x."""
    relu.reset()
    y, stats = relu(x), relu.stats
    assert torch.equal(y, F.relu(x))
    assert stats.unit_zeros.tolist() == unit_zeros(y).tolist()
    bins = relu.counters.bins
    if bins is not None:
        assert stats.histogram.counts().tolist() == exact_counts(x, bins).tolist()
    if relu.counters.unit_histograms:
        assert stats.unit_histograms[0].tolist() == exact_counts(x[:, 0], bins).tolist()


def unit_zeros(y):
    return torch.count_nonzero(y == 0, [dim for dim in range(y.dim()) if dim != 1])


def exact_counts(x, bins):
    return np.histogram(x.float().numpy(), bins=bins.edges)[0]
