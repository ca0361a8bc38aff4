import copy
import pickle

import numpy as np
import pytest
from oracle import BINS

from relustat import EdgeBins, LinearBins, LogBins
from relustat.stats.bins import MAX_BINS, bins_from_dict

ALL = [bins for bins in BINS.values() if bins is not None]


@pytest.mark.parametrize("bins", ALL, ids=str)
def test_edges_are_increasing_float32_numbers(bins):
    edges = bins.edges
    assert edges.dtype == np.float64
    assert len(edges) == len(bins) + 1
    assert (np.diff(edges) > 0).all()
    assert (edges == edges.astype(np.float32)).all()
    with pytest.raises(ValueError, match="read-only"):
        edges[0] = 1


@pytest.mark.parametrize("bins", ALL, ids=str)
def test_copies_are_equal(bins):
    edges = EdgeBins(bins.edges)
    for same in (
        copy.deepcopy(bins),
        pickle.loads(pickle.dumps(bins)),
        bins_from_dict(bins.to_dict()),
        edges,
    ):
        assert same == bins
        assert hash(same) == hash(bins)
    assert bins != LinearBins(0, 2, 3)
    assert bins != "bins"


def test_log_edges():
    edges = LogBins(per_octave=8).edges
    assert len(edges) == 2 * (30 * 8 + 1) + 1
    assert edges[len(edges) // 2] == 0
    assert (edges == -edges[::-1]).all()
    assert edges[-1] == 65536
    positive = edges[edges > 0]
    assert positive[0] == 2.0**-14
    assert (np.diff(positive) / positive[:-1]).max() == 1 / 8


def test_linear_edges_are_linspaces():
    assert (LinearBins(-70, 40, 200).edges == np.linspace(-70, 40, 201).astype(np.float32)).all()


BAD = [
    (lambda: LinearBins(1, 1, 4), "lo must be less than hi, and both finite, got lo=1, hi=1"),
    (lambda: LinearBins(2, 1, 4), "lo must be less than hi"),
    (lambda: LinearBins(float("nan"), 1, 4), "both finite"),
    (lambda: LinearBins(0, float("inf"), 4), "both finite"),
    (lambda: LinearBins(0, 1e39, 4), "finite float32"),
    (lambda: LinearBins(0, 1, 0), "n must be at least 1, got 0"),
    (lambda: LinearBins(0, 1, 2.5), "n must be an integer, got 2.5"),
    (lambda: LinearBins(0, 1, True), "n must be an integer"),
    (lambda: LinearBins(0, 1, MAX_BINS + 1), f"at most {MAX_BINS} bins"),
    (lambda: LinearBins(1, 1 + 1e-7, 10), "increase strictly as float32"),
    (lambda: EdgeBins([1]), "at least 2 numbers, got 1"),
    (lambda: EdgeBins([]), "at least 2 numbers, got 0"),
    (lambda: EdgeBins([[1, 2]]), "got 2 in 2-D"),
    (lambda: EdgeBins([0, 2, 1]), r"increase strictly .* got .*2\.0.* followed by .*1\.0.* at 1"),
    (lambda: EdgeBins([0, 0]), "increase strictly"),
    (lambda: EdgeBins([1, 1 + 1e-9]), "increase strictly as float32"),
    (lambda: EdgeBins([0, float("nan")]), "finite"),
    (lambda: EdgeBins([-float("inf"), 0]), "finite"),
    (lambda: EdgeBins([0, 1e39]), "finite float32"),
    (lambda: EdgeBins(np.arange(MAX_BINS + 2)), f"at most {MAX_BINS} bins"),
    (lambda: LogBins(per_octave=3), "power of two from 1 to 256, got 3"),
    (lambda: LogBins(per_octave=0), "power of two"),
    (lambda: LogBins(per_octave=8.0), "must be an integer"),
    (lambda: LogBins(min_exponent=3, max_exponent=3), "min_exponent < max_exponent"),
    (lambda: LogBins(min_exponent=-127), "-126 <= min_exponent"),
    (lambda: LogBins(max_exponent=128), "max_exponent <= 127"),
    (lambda: LogBins(256, -126, 127), f"at most {MAX_BINS} bins"),
    (lambda: bins_from_dict({"kind": "log", "sides": 3}), "must have their own fields"),
    (lambda: bins_from_dict({"kind": "square"}), "kind must be one of log, linear, edges"),
]


def test_negative_zero_is_zero():
    assert EdgeBins([-0.0, 1]) == EdgeBins([0.0, 1])
    assert hash(EdgeBins([-0.0, 1])) == hash(EdgeBins([0.0, 1]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_bins(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_compiled_limit_is_the_same():
    from relustat import _C

    assert _C.MAX_BINS == MAX_BINS
