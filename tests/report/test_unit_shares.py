import numpy as np
import pytest
import torch

from relustat import Counters, LinearBins, LogBins
from relustat.functional import counting_relu
from relustat.report.unit_shares import coarse_histograms, frequencies, slices, zero_shares


def counted(x, **options):
    counters = Counters(**options)
    counting_relu(x, counters)
    return counters.stats


def test_shares_are_exact():
    x = torch.tensor([[1.0, -1.0, 1.0], [1.0, -1.0, -1.0]])
    assert zero_shares(counted(x)).tolist() == [0, 1, 0.5]


def test_frequencies_are_counted_by_decades_in_quarters():
    # Of 1000 outputs of each unit so many are not 0.
    fired = [0, 0, 1, 9, 10, 100, 999, 1000]
    x = torch.full((1000, len(fired)), -1.0)
    for unit, count in enumerate(fired):
        x[:count, unit] = 1
    found = frequencies(counted(x))
    assert found.never == 2
    assert found.counts.sum() == 6
    by_edge = {float(edge): int(n) for edge, n in zip(found.edges, found.counts, strict=False) if n}
    #                    1 of 1000, 9 of 1000, 10, 100, the last two
    assert by_edge == {-3.0: 1, -2.25: 1, -2.0: 1, -1.0: 1, -0.25: 2}


def test_units_that_never_fire_have_no_frequency():
    found = frequencies(counted(torch.full((3, 4), -1.0)))
    assert (found.never, found.counts.sum()) == (4, 0)


@pytest.mark.parametrize("bins", [LogBins(), LinearBins(-8, 8, 333)])
def test_coarse_histograms_hold_the_central_inputs(bins):
    torch.manual_seed(0)
    x = torch.randn(5000, 6) * torch.arange(1, 7) / 6
    found = coarse_histograms(counted(x, bins=bins, unit_histograms=True))
    assert 0 in found.edges
    assert len(found.edges) in {25, 26, 27}
    expected = np.stack([np.histogram(unit, bins=found.edges)[0] for unit in x.T.numpy()]) / 5000
    # Between edges of the bins counts are estimated.
    assert np.abs(found.shares - expected).max() < 0.03
    np.testing.assert_allclose(found.shares.sum(axis=1), expected.sum(axis=1), atol=0.003)


def test_without_histograms_of_units_there_is_nothing_to_draw():
    assert coarse_histograms(counted(torch.randn(9, 3))) is None


def test_zero_is_an_edge_of_slices():
    edges = slices(-1.0, 3.0, 10)
    assert 0 in edges
    assert edges[0] <= -1
    assert edges[-1] >= 3
    assert np.allclose(np.diff(edges), 0.4)
