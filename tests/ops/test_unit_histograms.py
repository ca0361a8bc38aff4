"""Histograms for each unit against NumPy: of units whose elements lie together, and apart."""

import numpy as np
import pytest
import torch.nn.functional as F
from oracle import BINS, DTYPES, assert_counts, numpy_of, same_bits, samples

from relustat import Counters
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
