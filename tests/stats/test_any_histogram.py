"""Whatever was counted, in whatever bins: reports print and draw it, and quantiles are right."""

import json
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from optional import needs

from relustat import EdgeBins, LinearBins, LogBins, Report
from relustat.functional import relu_stats
from relustat.report.sparkline import sparkline

LARGEST = float(np.finfo(np.float32).max)


def float32s(**bounds):
    return st.floats(width=32, allow_nan=False, allow_infinity=False, **bounds)


@st.composite
def narrow_linear_bins(draw):
    """As narrow as float32 can tell apart, or a few times as wide."""
    middle = draw(float32s(min_value=-(2.0**100), max_value=2.0**100))
    bins = draw(st.integers(1, 5000))
    step = np.spacing(np.float32(abs(middle))) * draw(st.integers(2, 100))
    return LinearBins(float(middle - step * bins), float(middle + step * bins), bins)


ANY_BINS = st.one_of(
    st.builds(
        lambda per_octave, least, octaves: LogBins(2**per_octave, least, least + octaves),
        st.integers(0, 4),
        st.integers(-126, 100),
        st.integers(1, 27),
    ),
    st.sets(float32s(), min_size=2, max_size=40).map(lambda edges: EdgeBins(sorted(edges))),
    narrow_linear_bins(),
    st.builds(LinearBins, st.just(-LARGEST), st.just(LARGEST), st.integers(1, 200)),
)


@st.composite
def any_counts(draw):
    """Statistics, and the values that were counted: near the edges, and anywhere else."""
    bins = draw(ANY_BINS)
    near = st.sampled_from(bins.edges.tolist()).flatmap(
        lambda edge: st.sampled_from(
            [edge, *(float(np.nextafter(np.float32(edge), np.float32(to))) for to in (-1e38, 1e38))]
        )
    )
    value = st.one_of(near, st.floats(width=32))
    values = torch.tensor(draw(st.lists(value, min_size=1, max_size=60)), dtype=torch.float32)
    copies = draw(st.integers(1, 3))
    _, stats = relu_stats(values.repeat(copies, 1), bins)
    numbers = values.repeat(copies).double().numpy()
    return stats, np.sort(numbers[~np.isnan(numbers)])


ONE_VALUE_IN_NARROW_BINS = relu_stats(torch.tensor([1000.0]), LinearBins(999.5, 1000.5, 5000))[1]
ALL_BELOW = relu_stats(torch.tensor([-1.0, -2.0]), LinearBins(0, 1, 4))[1]


@settings(max_examples=300, deadline=None)
@given(any_counts(), st.floats(0, 1))
@example((ALL_BELOW, np.array([-2.0, -1.0])), 1.0)
@example((ONE_VALUE_IN_NARROW_BINS, np.array([1000.0])), 0.5)
def test_quantiles_lie_where_numpys_do(counted, q):
    stats, values = counted
    if not len(values):
        assert math.isnan(stats.quantile(q))
        return
    edges = np.array([-np.inf, *stats.bins.edges, np.inf])

    def bin_of(value):
        if value == stats.bins.edges[-1]:
            return edges[-3:-1]
        first = np.searchsorted(edges[:-1], value, side="right") - 1
        return edges[first : first + 2] if first >= 0 else edges[:2]

    for share in (0.0, q, 1.0):
        found = stats.quantile(share)
        # NumPy's methods take the one value or the other, or one between them.
        position = Fraction(share) * (len(values) - 1)
        lower, _ = bin_of(values[math.floor(position)])
        _, upper = bin_of(values[math.ceil(position)])
        assert lower <= found <= upper
    lowest, _ = bin_of(values[0])
    _, highest = bin_of(values[-1])
    assert stats.histogram.range == (lowest, highest)
    quantiles = [stats.quantile(share) for share in np.linspace(0, 1, 21)]
    assert quantiles == sorted(quantiles)


@settings(max_examples=200, deadline=None)
@given(any_counts())
@example((ALL_BELOW, np.array([-2.0, -1.0])))
@example((ONE_VALUE_IN_NARROW_BINS, np.array([1000.0])))
def test_reports_print(counted):
    stats, values = counted
    picture = sparkline(stats.histogram)
    inside = stats.histogram.sum(flow=False)
    assert bool(picture.strip()) == (inside > 0)
    assert len(picture) in (0, 1, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = Report({"relu": stats})
        assert len(str(report).splitlines()) == 3 + len(report.warnings)
        assert f"{stats.elements:,}" in str(report)
        json.dumps(report.to_dict(), allow_nan=False)
    assert len(values) == stats.elements - stats.nans


@settings(max_examples=15, deadline=None)
@given(st.lists(any_counts(), min_size=1, max_size=3))
@example([(ALL_BELOW, np.array([-2.0, -1.0])), (ONE_VALUE_IN_NARROW_BINS, np.array([1000.0]))])
def test_reports_are_drawn(counted):
    needs("matplotlib")
    report = Report({f"relu{number}": stats for number, (stats, _) in enumerate(counted)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = report.plot()
        figure.savefig("/dev/null", format="png")


def test_a_picture_of_one_bin_shows_that_bin():
    needs("matplotlib")
    axes, *_ = Report({"relu": ONE_VALUE_IN_NARROW_BINS}).plot().axes
    low, high = axes.get_xlim()
    assert low <= 1000 <= high
    assert high - low == pytest.approx(0.0002, rel=0.2)
