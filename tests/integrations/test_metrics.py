"""Numbers and histograms by the names that all tools share."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from logged_models import SITES, steps

import relustat
from relustat.integrations.metrics import filled_bins, histograms, scalars
from relustat.report.columns import COLUMNS


def test_names_are_call_sites_and_columns():
    *_, report = steps()
    numbers = scalars(report)
    texts = {"call_site", "activation", "after", "histogram"}
    unknown = {"inactive", "saturated", "zero_block_fraction"}  # of a ReLU, or not counted
    of_sites = {
        f"relustat/{site}/{name}": getattr(report[site], name)
        for site in SITES
        for name in COLUMNS.keys() - texts - unknown
    }
    of_model = {
        f"relustat/{name}": sum(getattr(row, name) for row in report.rows)
        for name in ("elements", "units", "dead", "dead_now", "always_on", "nans")
    }
    zeros = sum(stats.zeros for stats in report.stats.values())
    assert numbers == {
        **of_sites,
        **of_model,
        "relustat/zero_fraction": zeros / sum(stats.elements for stats in report.stats.values()),
    }
    assert list(histograms(report)) == [f"relustat/{site}/inputs" for site in SITES]


def test_numbers_that_are_not_known_are_left_out():
    model = torch.nn.Sequential(torch.nn.LeakyReLU(0.1), torch.nn.ReLU6())
    with relustat.watch(model, bins=None, activations="relu-like", zero_blocks=2) as watch:
        model(torch.tensor([[-1.0, 7.0]]))
    numbers = scalars(watch)
    assert all(map(math.isfinite, numbers.values()))
    assert numbers["relustat/0/inactive"] == 0.5
    assert numbers["relustat/1/saturated"] == 0.5
    assert numbers["relustat/1/zero_block_fraction"] == 0.0
    absent = ["0/zero_fraction", "0/saturated", "1/inactive", "1/median"]
    assert not numbers.keys() & {f"relustat/{name}" for name in absent}
    assert numbers["relustat/zero_fraction"] == 0.5  # of what gives zeros
    assert histograms(watch) == {}


def test_numbers_beyond_the_bins_are_their_edges():
    with relustat.watch(torch.nn.ReLU(), bins=relustat.LinearBins(-2, 4, 6)) as watch:
        watch.model(torch.tensor([[1.0, 1e6, 2.0, -1e9]]))
    numbers = scalars(watch)
    assert [numbers[f"relustat/relu/{name}"] for name in ("min", "p99", "max")] == [-2, 4, 4]


def test_nothing_counted():
    assert scalars(relustat.Report({}))["relustat/elements"] == 0
    with relustat.watch(torch.nn.Linear(2, 2)) as watch:
        assert histograms(watch) == {}


@pytest.mark.parametrize("function", [scalars, histograms])
def test_something_else(function):
    rule = f"{function.__name__}: counts must be a Watch or a Report, got 3"
    with pytest.raises(TypeError, match=rule):
        function(3)


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40),
    st.integers(0, 3),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 45)),
)
def test_filled_bins_lose_no_value(counts, below, above, most):
    bins = relustat.LinearBins(0, len(counts), len(counts))
    histogram = relustat.Histogram(bins, np.array(counts, dtype=np.int64), below, above)
    found, edges = filled_bins(histogram, most)
    if not histogram.sum():
        assert (len(found), len(edges)) == (0, 0)
        return
    assert len(edges) == len(found) + 1
    assert most is None or len(found) <= most
    assert found.sum() == histogram.sum()
    values = np.repeat(np.arange(len(counts)) + 0.5, counts)
    values = [*[0.5] * below, *values, *[len(counts) - 0.5] * above]
    assert found.tolist() == np.histogram(values, edges)[0].tolist()
    assert set(edges) <= set(histogram.edges)
    if most is None:
        assert np.diff(edges).tolist() == [1] * len(found)
        assert found[0] > 0
        assert found[-1] > 0
