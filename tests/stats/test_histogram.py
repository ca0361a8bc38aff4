import numpy as np
import pytest
import torch
from optional import needs
from oracle import BINS

from relustat import EdgeBins, Histogram, LinearBins
from relustat.functional import relu_stats

boost_histogram = needs("boost_histogram", whole_file=True)
needs("uhi", whole_file=True)

from uhi.numpy_plottable import ensure_plottable_histogram
from uhi.typing.plottable import PlottableHistogram


def histogram_of(values, bins):
    x = torch.as_tensor(values, dtype=torch.float32)
    return relu_stats(x, bins)[1].histogram


def normal(bins, n=5000):
    return histogram_of(torch.randn(n, generator=torch.Generator().manual_seed(0)), bins)


def test_uhi():
    histogram = histogram_of([-9, 0.1, 0.6, 1, 9, 9, float("nan")], LinearBins(0, 1, 2))
    assert isinstance(histogram, PlottableHistogram)
    assert histogram.kind == "COUNT"
    assert histogram.counts().tolist() == histogram.values().tolist() == [1, 2]
    assert histogram.counts(flow=True).tolist() == [1, 1, 2, 2]
    assert histogram.variances(flow=True).tolist() == [1, 1, 2, 2]
    assert histogram.values().dtype == np.float64
    assert histogram.nan == 1
    (axis,) = histogram.axes
    assert (len(axis), axis[0], list(axis)) == (2, (0, 0.5), [(0, 0.5), (0.5, 1)])
    assert not axis.traits.circular
    assert not axis.traits.discrete
    assert axis == histogram.axes[0]
    with pytest.raises(IndexError, match=r"must be in \[0, 1\], got 2"):
        axis[2]
    assert (ensure_plottable_histogram(histogram).values() == histogram.values()).all()


@pytest.mark.parametrize("bins", ["log", "linear", "edges"])
def test_boost_histogram_takes_it(bins):
    histogram = normal(BINS[bins])
    boost = boost_histogram.Histogram(histogram)
    assert boost.view(flow=True).tolist() == histogram.counts(flow=True).tolist()
    assert boost.axes[0].edges.tolist() == histogram.edges.tolist()


@pytest.mark.parametrize("bins", ["log", "linear"])
def test_quantiles_are_within_a_bin(bins):
    values = torch.randn(5000, generator=torch.Generator().manual_seed(0)).clamp(-2.9, 2.9)
    histogram = histogram_of(values, BINS[bins])
    for q in (0, 0.01, 0.25, 0.5, 0.9, 0.999, 1):
        exact = np.quantile(values.numpy(), q, method="inverted_cdf")
        bin_ = np.searchsorted(histogram.edges, exact, side="right") - 1
        width = histogram.edges[bin_ + 1] - histogram.edges[bin_]
        assert abs(histogram.quantile(q) - exact) <= width
    with pytest.raises(ValueError, match=r"q must be in \[0, 1\], got 1.5"):
        histogram.quantile(1.5)


def test_quantiles_outside_the_bins_are_infinite():
    histogram = histogram_of([-5, 0.2, 0.7, 5], LinearBins(0, 1, 2))
    assert histogram.quantile(0.1) == -np.inf
    assert histogram.quantile(0.9) == np.inf
    assert 0 <= histogram.quantile(0.5) <= 0.5
    assert np.isnan(histogram_of([float("nan")], LinearBins(0, 1, 2)).quantile(0.5))


def test_range_mean_and_std():
    histogram = histogram_of([0.1, 0.2, 2.6], LinearBins(0, 3, 3))
    assert histogram.range == (0, 3)
    assert histogram.mean == pytest.approx((0.5 + 0.5 + 2.5) / 3)
    assert histogram.std == pytest.approx(np.std([0.5, 0.5, 2.5]))
    outside = histogram_of([-1, 0.5], LinearBins(0, 3, 3))
    assert outside.range == (-np.inf, 1)
    assert np.isnan(outside.mean)
    assert np.isnan(outside.std)
    only_outside = histogram_of([7, 8], LinearBins(0, 3, 3))
    assert only_outside.range == (3, np.inf)
    empty = histogram_of([float("nan")], LinearBins(0, 3, 3))
    assert np.isnan(empty.range).all()
    assert np.isnan(empty.mean)


def test_density_is_normalised_over_all_values():
    histogram = histogram_of([-1, 0.5, 1.5, 1.6], LinearBins(0, 2, 2))
    assert (histogram.density() * np.diff(histogram.edges)).tolist() == [0.25, 0.5]


def test_rebin_is_exact():
    fine = normal(LinearBins(-2, 2, 40))
    edges = fine.edges[[0, 10, 20, 21, 30]]
    coarse = fine.rebin(edges)
    expected = histogram_of(
        torch.randn(5000, generator=torch.Generator().manual_seed(0)), EdgeBins(edges)
    )
    assert coarse == expected
    assert coarse.sum() == fine.sum()
    assert fine.rebin(fine.bins) == fine
    with pytest.raises(ValueError, match=r"one of the histogram's edges, got .*0\.03"):
        fine.rebin([-2, 0.03, 1])
    with pytest.raises(ValueError, match="one of the histogram's edges"):
        fine.rebin([-2, 3])


def test_interpolation_spreads_bins_evenly():
    histogram = histogram_of([-9, 0.5, 0.5, 0.5, 0.5, 1.5, 1.5, 9], LinearBins(0, 2, 2))
    estimated = histogram.interpolate_to(LinearBins(0.5, 2, 3))
    assert estimated.counts(flow=True).tolist() == [3, 2, 1, 1, 1]
    for bins in (LinearBins(-1, 1, 37), EdgeBins([-3, 0.1, 7])):
        assert normal(BINS["log"]).interpolate_to(bins).sum() == 5000


def test_the_callers_array_stays_writeable():
    counts = np.zeros(4, dtype=np.int64)
    Histogram(LinearBins(-1, 1, 4), counts)
    counts[0] = 1


def test_adding():
    one, two = normal(LinearBins(-1, 1, 4)), normal(LinearBins(-1, 1, 4), 77)
    both = one + two
    assert both.counts(flow=True).tolist() == (one.counts(True) + two.counts(True)).tolist()
    assert both == two + one
    with pytest.raises(ValueError, match="only histograms of equal bins add"):
        one + normal(LinearBins(-1, 1, 5))


def test_is_immutable():
    histogram = normal(LinearBins(-1, 1, 4))
    with pytest.raises(ValueError, match="read-only"):
        histogram.counts()[0] = 1
    with pytest.raises(AttributeError):
        histogram.underflow = 1
    with pytest.raises(ValueError, match=r"counts must be \[4\], got \[3\]"):
        Histogram(LinearBins(-1, 1, 4), np.zeros(3, dtype=np.int64))
    assert "in range, underflow=" in repr(histogram)
