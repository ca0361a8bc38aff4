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
@pytest.mark.parametrize("inner", [32, 49, 127, 128, 129, 196, 256, 784])
@pytest.mark.parametrize("units", [1, 3, 40])
def test_unit_histograms_of_short_runs(device, units, inner):
    bins = BINS["linear"]
    x = samples(torch.float32, device, (5, units, inner), bins.edges)
    keep = samples(torch.float32, device, (5, inner), bins.edges) > 0
    _, stats = relu_stats(x, bins, unit_dim=1, unit_histograms=True)
    _, masked = relu_stats(x, bins, unit_dim=1, unit_histograms=True, mask=keep)
    for unit in range(units):
        values = numpy_of(x[:, unit])
        found = np.histogram(values, bins=bins.edges)[0]
        kept = np.histogram(values[keep.cpu().numpy()], bins=bins.edges)[0]
        assert stats.unit_histograms[unit].tolist() == found.tolist()
        assert masked.unit_histograms[unit].tolist() == kept.tolist()


# Where there are enough elements, the guesses of all numbers of 16 bits are checked once. The last
# edge is such a number, or not; 0 is an edge, in a bin, or outside.
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("ends", [(-10, 10), (-1, 2.37), (-0.03, 4), (1, 3), (-7, -0.001)])
@pytest.mark.parametrize("layout", ["runs", "columns"])
def test_unit_histograms_of_all_numbers_of_16_bits(device, layout, ends, dtype):
    bins = LinearBins(*ends, 200)
    patterns = torch.arange(65536).to(torch.int16).repeat(16)
    x = patterns[torch.randperm(patterns.numel())].view(dtype).to(device)
    shape, dim = ((2, -1), 0) if layout == "runs" else ((-1, 2), 1)
    x = x.view(shape)
    _, stats = relu_stats(x, bins, unit_dim=dim, unit_histograms=True)
    assert_counts(stats, x, bins, unit_dim=dim)
    for unit, counts in enumerate(stats.unit_histograms):
        values = numpy_of(x.select(dim, unit))
        assert counts.tolist() == np.histogram(values, bins=bins.edges)[0].tolist()
