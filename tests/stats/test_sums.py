"""Sums of counts are int64 or an OverflowError, and nothing has changed when that is raised."""

import json
import math

import numpy as np
import pytest
import torch

from relustat import Counters, LinearBins, ReLUStats, Report, cli
from relustat.functional import counting_relu
from relustat.history import History
from relustat.report.call_site import CallSite
from relustat.report.merge_files import merge_files
from relustat.stats.counter_layout import CALLS, ELEMENTS
from relustat.stats.exact import MOST, checked, row_sums, total
from relustat.stats.histogram import Histogram
from relustat.stats.unit_counts import UnitCounts

BINS = LinearBins(-1, 1, 2)
HALF = 2**62
SUM = f"must stay below 2\\*\\*63, got {2**63}"


def silent(*elements, calls=1):
    """One call of these elements of each unit, all of them below -1."""
    calls_of_units = np.full(len(elements), calls)
    slots = np.zeros((1, 5), dtype=np.int64)
    slots[0, 0] = sum(elements)
    zeros = np.array(elements)
    counts = UnitCounts(calls, sum(elements), zeros, calls_of_units, calls_of_units, slots)
    return ReLUStats(BINS, {len(elements): counts})


def test_row_sums():
    random = np.random.default_rng(0)
    for most in (7, 2**31, 2**33, 2**60, MOST):
        counts = random.integers(0, most, size=(5, 300), endpoint=True)
        expected = [sum(row) for row in counts.tolist()]
        assert row_sums(counts).tolist() == expected
        assert total(counts) == sum(expected)
    assert total(np.zeros(0, dtype=np.int64)) == 0
    assert row_sums(np.zeros((0, 3), dtype=np.int64)).tolist() == []
    assert checked("a sum", MOST) == MOST
    with pytest.raises(OverflowError, match=f"a sum {SUM}"):
        checked("a sum", 2**63)


def test_sums_over_units():
    stats = silent(2**61 - 1, 2**61 - 1)
    assert (stats + stats).zeros == 2**63 - 4
    assert (stats + stats - stats).zeros == 2**62 - 2
    stats = silent(2**61, 2**61)
    with pytest.raises(OverflowError, match=SUM):
        stats + stats


@pytest.mark.parametrize(
    "add", [lambda a: a + a, lambda a: a.then(a), lambda a: sum([a, a])], ids=["+", "then", "sum"]
)
def test_statistics(add):
    stats = silent(HALF)
    assert add(silent(HALF - 1)).zeros == 2**63 - 2
    with pytest.raises(OverflowError, match=f"ReLUStats: the sum of elements {SUM}"):
        add(stats)
    assert stats.zeros == HALF


def test_sums_over_widths():
    one, two = silent(2**61, 2**61), silent(HALF)
    with pytest.raises(OverflowError, match=f"the sum of elements {SUM}"):
        one + two
    both = {"version": 1, "bins": BINS.to_dict()}
    both["widths"] = {**one.to_dict()["widths"], **two.to_dict()["widths"]}
    with pytest.raises(ValueError, match=f"from_dict.*the sum of elements {SUM}"):
        ReLUStats.from_dict(both)
    fits = one + silent(HALF - 1)
    assert (fits.elements, fits.zeros, fits.histogram.underflow) == (2**63 - 1,) * 3
    assert fits.zero_fraction == 1


def test_parts():
    state = silent(1).to_dict()
    many = ReLUStats.from_dict({**state, "parts": 2**62})
    with pytest.raises(OverflowError, match=f"the sum of parts {SUM}"):
        many + many


def test_histograms():
    counts = np.array([HALF, HALF - 1])
    full = Histogram(BINS, counts)
    assert (full.sum(), full.density().sum()) == (2**63 - 1, 1)
    for more in ({"underflow": 1}, {"overflow": 1}, {"nan": 1}):
        with pytest.raises(OverflowError, match=f"Histogram: the sum of counts {SUM}"):
            Histogram(BINS, counts, **more)
    small = Histogram(BINS, np.array([1, 0]))
    for one, other in ((full, small), (small, full), (full, full)):
        with pytest.raises(OverflowError, match="Histogram: the sum of counts must stay below"):
            one + other
    assert (small + small).counts().tolist() == [2, 0]
    for wrong in (np.array([1, -1]), np.array([1.0, 1.0]), np.array([True, True])):
        with pytest.raises(ValueError, match="counts must be int64 and not negative"):
            Histogram(BINS, wrong)
    with pytest.raises(ValueError, match=r"not negative, got .*overflow=-1"):
        Histogram(BINS, counts, overflow=-1)


def test_what_is_derived_of_full_histograms():
    full = Histogram(BINS, np.array([HALF, HALF - 1]))
    # Floats round the rank up to 2**63, which is no value's.
    assert full.quantile(1) == 1
    assert full.quantile(0.5) == pytest.approx(0)
    assert abs(full.mean) < 1e-9
    for edges in ([-1, 1], [-1, 0.3, 1], [-2, 5], [-0.5, 0.5]):
        same = full.interpolate_to(edges)
        assert same.sum() == full.sum()
        assert same.counts(flow=True).min() >= 0
    assert full.rebin([-1, 1]).counts().tolist() == [2**63 - 1]


def test_reports(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sites = {"cell.relu": silent(HALF), "cell.relu#2": silent(HALF)}
    report = Report(sites)
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    call_sites = {name: CallSite("cell", name) for name in sites}
    with pytest.raises(OverflowError, match=SUM):
        Report(sites, call_sites=call_sites).by_module()
    for name in ("a.npz", "b.npz"):
        report.save(name)
    with pytest.raises(OverflowError, match=SUM):
        merge_files(["a.npz", "b.npz"])
    assert cli.main(["merge", "a.npz", "b.npz", "-o", "all.npz"]) == 2
    assert not (tmp_path / "all.npz").exists()
    assert capsys.readouterr().err == (
        f"relustat: ReLUStats: the sum of elements must stay below 2**63, got {2**63}\n"
    )


def test_histories():
    history = History(limit=2)
    for epoch in range(2):
        history.add(epoch, {"fc": silent(HALF)})
    assert History.from_dict(history.to_dict()) == history
    with pytest.raises(OverflowError, match=SUM):
        history.total("fc")
    before = history.to_dict()
    with pytest.raises(OverflowError, match=SUM):
        history.add(2, {"fc": silent(1)})  # the first two would be one span
    assert history.to_dict() == before


def test_counters_of_two_devices():
    """Those that were loaded, and those of a device."""
    counters = Counters(BINS)
    counting_relu(torch.tensor([[-3.0]]), counters)
    ((units, words),) = counters.saved().items()
    words[[ELEMENTS, 6, 9]] = HALF
    counters.load({units: words})
    counters._loaded = {units: words}
    with pytest.raises(OverflowError, match=f"Counters: the sum of elements {SUM}"):
        counters.stats  # noqa: B018
    counters._loaded = {}
    assert counters.stats.zeros == HALF
    state = counters.__getstate__()
    pair = [(units, words), (units, words.clone())]
    with pytest.raises(OverflowError, match=f"Counters: the sum of elements {SUM}"):
        Counters.__new__(Counters).__setstate__({**state, "_words": pair})
    assert int(words[CALLS]) == 1
    assert math.isclose(counters.stats.zero_fraction, 1)
