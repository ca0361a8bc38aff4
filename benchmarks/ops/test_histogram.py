"""CountingReLU, which also rectifies, against libraries that fill histograms and do no more."""

import numpy as np
import pytest
import torch
from harness.relu_inputs import LINEAR, check_counts, exact_counts, relu_input

from relustat import CountingReLU

pytestmark = pytest.mark.relu

THREADS = sorted({1, torch.get_num_threads()})


def fast_histogram(x, threads):
    package = pytest.importorskip(
        "fast_histogram", reason="fast-histogram is not installed: make bench does that"
    )
    return lambda: package.histogram1d(x, LINEAR.n, (LINEAR.lo, LINEAR.hi))


def boost_histogram(x, threads):
    package = pytest.importorskip(
        "boost_histogram", reason="boost-histogram is not installed: make bench does that"
    )
    axis = package.axis.Regular(LINEAR.n, LINEAR.lo, LINEAR.hi)
    histogram = package.Histogram(axis, storage=package.storage.Int64())

    def fill():
        histogram.reset()
        return histogram.fill(x, threads=threads).values()

    return fill


@pytest.mark.parametrize("threads", THREADS, ids=lambda count: f"{count}t", indirect=True)
@pytest.mark.parametrize("library", [fast_histogram, boost_histogram])
def test_histogram(paired, library, threads):
    x = relu_input("6M")
    relu, fill = CountingReLU(bins=LINEAR), library(x.numpy().reshape(-1), threads)
    check_counts(relu, x)
    off = int(np.abs(fill() - exact_counts(x, LINEAR)).sum())
    assert off < 1e-4 * x.numel()
    paired(
        lambda: relu(x),
        fill,
        rounds=15,
        what="linear200",
        rival=library.__name__,
        size="6M",
        elements=x.numel(),
        note=f"the rival's counts are off by {off}" if off else "",
    )
