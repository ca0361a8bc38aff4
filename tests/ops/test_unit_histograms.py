"""Histograms for each unit against NumPy: of units whose elements lie together, and apart."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import BINS, DTYPES, assert_counts, numpy_of, same_bits, samples

from relustat import Counters, LinearBins
from relustat.functional import counting_relu, relu_stats


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "shape",
    [(4, 3, 40, 40), (50, 8), (3, 5, 7), (2, 4, 90, 90), (1, 2, 150, 150), (5000, 8)],
    ids=str,
)
@pytest.mark.parametrize("bins", ["log", "linear", "edges"])
def test_unit_histograms(device, shape, dtype, bins):
    bins = BINS[bins]
    x = samples(dtype, device, shape, bins.edges)
    _, stats = relu_stats(x, bins, unit_dim=1, unit_histograms=True)
    assert_counts(stats, x, bins, unit_dim=1)
    for unit, counts in enumerate(stats.unit_histograms):
        values = numpy_of(x[:, unit])
        assert counts.tolist() == np.histogram(values, bins=bins.edges)[0].tolist()


# Strips of columns: fewer units than a strip, as many, one more; narrow rows that are read as one.
@pytest.mark.parametrize("units", [1, 5, 31, 32, 33, 260])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_unit_histograms_of_columns(device, dtype, units):
    bins = BINS["linear"]
    for rows in (1, 7, 403):
        x = samples(dtype, device, (rows, units), bins.edges)
        expected, values = F.relu(x), numpy_of(x).copy()
        _, stats = relu_stats(x, bins, unit_dim=1, unit_histograms=True)
        counters = Counters(bins, unit_dim=1, unit_histograms=True)
        counting_relu(x, counters, inplace=True)
        assert same_bits(x, expected)
        assert counters.stats == stats
        for unit, counts in enumerate(stats.unit_histograms):
            found = np.histogram(values[:, unit], bins=bins.edges)[0]
            assert counts.tolist() == found.tolist()


# Several runs in a span of 128, one in several spans, and the ends of both in one position.
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("inner", [1, 7, 32, 49, 127, 128, 129, 196, 256, 784])
@pytest.mark.parametrize("units", [1, 3, 40])
def test_unit_histograms_of_short_runs(device, units, inner, dtype):
    bins = BINS["log" if inner == 49 else "linear"]
    x = samples(dtype, device, (5, units, inner), bins.edges)
    keep = samples(torch.float32, device, (5, inner), bins.edges) > 0
    values, kept = numpy_of(x).copy(), keep.cpu().numpy()
    masked = Counters(bins, unit_dim=1, unit_histograms=True)
    counting_relu(x, masked, mask=keep)
    expected = F.relu(x)
    counters = Counters(bins, unit_dim=1, unit_histograms=True)
    counting_relu(x, counters, inplace=True)
    assert same_bits(x, expected)
    for unit in range(units):
        found = np.histogram(values[:, unit], bins=bins.edges)[0]
        assert counters.stats.unit_histograms[unit].tolist() == found.tolist()
        found = np.histogram(values[:, unit][kept], bins=bins.edges)[0]
        assert masked.stats.unit_histograms[unit].tolist() == found.tolist()


# Where a thread has enough elements, the guesses of all numbers of 16 bits are checked once. The
# last edge is such a number, or not; 0 is an edge, in a bin, or outside. Each layout is counted in
# its own way: pairs, lanes, runs, columns.
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("ends", [(-10, 10), (-1, 2.37), (-0.03, 4), (1, 3), (-7, -0.001)])
@pytest.mark.parametrize(
    ("bins", "shape"),
    [(100, (1, 2, -1)), (200, (1, 2, -1)), (200, (-1, 2, 128)), (200, (-1, 2, 1))],
    ids=["pairs", "lanes", "runs", "columns"],
)
def test_unit_histograms_of_all_numbers_of_16_bits(device, bins, shape, ends, dtype):
    bins = LinearBins(*ends, bins)
    patterns = torch.arange(65536).to(torch.int16).repeat(16)
    x = patterns[torch.randperm(patterns.numel())].view(dtype).to(device).view(shape)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _, stats = relu_stats(x, bins, unit_dim=1, unit_histograms=True)
    finally:
        torch.set_num_threads(threads)
    assert_counts(stats, x, bins, unit_dim=1)
    for unit, counts in enumerate(stats.unit_histograms):
        found = np.histogram(numpy_of(x[:, unit]), bins=bins.edges)[0]
        assert counts.tolist() == found.tolist()


# 128 slots are counted in pairs, 129 in lanes.
@pytest.mark.parametrize("bins", [124, 125, 126])
def test_as_many_slots_as_are_counted_in_pairs(device, bins):
    bins = LinearBins(-4, 4, bins)
    x = samples(torch.float32, device, (2, 100_001), bins.edges)
    _, stats = relu_stats(x, bins, unit_dim=0)
    assert_counts(stats, x, bins, unit_dim=0)
