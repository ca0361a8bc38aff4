"""What is read from a history: spans, trends, deaths and revivals."""

import copy
import itertools
import json

import numpy as np
import pytest
import torch
from history_cases import BINS, Training, as_lists, history_of, two_widths, units_of

from relustat import CountingReLU, LogBins, ReLUStats
from relustat.functional import relu_stats
from relustat.history import History


@pytest.mark.parametrize("limit", [2, 3, 4, 7, 10, 39, 40, 100])
def test_everything_against_numpy_whatever_the_limit(limit):
    training = Training(40)
    history = training.history(limit)
    assert len(history) == min(limit, 40)
    assert history.call_sites == ("conv", "linear")
    for site in history.call_sites:
        training.assert_counted(history, site)


def test_a_unit_dies_at_3_and_is_revived_at_5():
    epochs = np.ones((8, 4), dtype=bool)
    epochs[3:5, 1] = False
    epochs[6:, 2] = False
    epochs[:, 3] = False
    history = history_of(epochs)
    assert as_lists(history.deaths("relu")) == {3: [1], 6: [2]}
    assert as_lists(history.revivals("relu")) == {5: [1]}
    assert history.dead_units("relu").tolist() == [2, 3]
    at, dead = history.trend("relu", "dead")
    assert (at.dtype, dead.dtype) == (np.int64, np.float64)
    assert at.tolist() == list(range(8))
    assert dead.tolist() == [1, 1, 1, 2, 2, 1, 2, 2]
    assert history.deaths("relu")[3].dtype == history.dead_units("relu").dtype == np.int64


def test_deaths_within_a_window_are_counted_though_its_units_were_not_dead_in_all_of_it():
    blinking = [[epoch % 2 == 0, True] for epoch in range(41)]
    history = history_of(blinking, limit=4)
    assert history.trend("relu", "deaths")[1].sum() == 20
    assert history.trend("relu", "revivals")[1].sum() == 20
    assert history.total("relu").dead_units.tolist() == []
    assert {unit for units in history.deaths("relu").values() for unit in units} == {0}
    dead, spans = history.trend("relu", "dead")[1], history.spans
    lengths = np.array([span.last - span.first + 1 for span in spans])
    assert dead @ lengths == pytest.approx(20)


def test_an_epoch_without_calls_says_nothing():
    # Dead at 1, not called at 2 and 3, still dead at 4; alive at 5, not called, dead at 7.
    on, off = [True, True], [True, False]
    history = history_of([on, off, None, None, off, on, None, off])
    assert as_lists(history.deaths("relu")) == {1: [1], 7: [1]}
    assert as_lists(history.revivals("relu")) == {5: [1]}
    for name in ("zero_fraction", "dead", "deaths", "death_rate", "mean", "p99"):
        epochs, values = history.trend("relu", name)
        assert epochs.tolist() == list(range(8))
        assert np.isnan(values).tolist() == [x in (2, 3, 6) for x in range(8)]
    history.add(8, {"other": units_of(on), "relu": ReLUStats(BINS, {})})
    assert history.call_sites == ("relu", "other")
    assert history.dead_units("relu").tolist() == [1]
    assert list(history.spans[-1].stats) == ["other"]
    assert np.isnan(history.trend("other", "mean")[1]).tolist() == [True] * 8 + [False]


@pytest.mark.parametrize("limit", [2, 5, 100])
def test_ten_thousand_epochs(limit):
    history = History(limit)
    patterns = {alive: {"a": units_of([alive, True])} for alive in (False, True)}
    total = None
    for epoch in range(10_000):
        stats = patterns[epoch % 3 != 0]
        total = stats["a"] if total is None else total + stats["a"]
        history.add(epoch, stats)
        assert len(history) == min(epoch + 1, limit)
        if epoch % 997 == 0:
            assert history.total("a") == total
    assert history.total("a") == total
    assert history.total("a").calls == 10_000
    assert history.trend("a", "deaths")[1].sum() == 3333
    assert history.trend("a", "revivals")[1].sum() == 3333
    spans = history.spans
    assert (spans[0].first, spans[-1].last) == (0, 9_999)
    for before, after in itertools.pairwise(spans):
        assert after.first == before.last + 1
    # The newest stay as they are, and no window is long.
    assert all(span.first == span.last for span in spans[limit - limit // 2 :])
    assert max(span.last - span.first for span in spans) <= 4 / limit * 9_999


def test_the_older_pair_that_spans_the_fewest_epochs_is_added_up():
    history, seen = History(limit=4), []
    for epoch in (0, 1, 2, 3, 4, 10, 11, 12):
        history.add(epoch, {"a": units_of([True])})
        seen.append([(span.first, span.last) for span in history.spans])
    assert seen[3:] == [
        [(0, 0), (1, 1), (2, 2), (3, 3)],
        [(0, 1), (2, 2), (3, 3), (4, 4)],
        [(0, 1), (2, 3), (4, 4), (10, 10)],
        [(0, 1), (2, 4), (10, 10), (11, 11)],
        [(0, 4), (10, 10), (11, 11), (12, 12)],
    ]


def test_no_window_ever_spans_more_than_its_share():
    random = np.random.default_rng(0)
    one = {"a": units_of([True])}
    for limit in (2, 3, 10, 11):
        history, epoch = History(limit), -50
        for _ in range(400):
            history.add(epoch, one)
            longest = max(span.last - span.first for span in history.spans)
            assert longest <= 4 / limit * (epoch + 50)
            epoch += int(random.integers(1, 5))


def test_epochs_may_be_any_increasing_integers():
    history = History()
    ends = [-(2**63), -1, np.int64(0), np.uint8(200), 2**63 - 1]
    for epoch in ends:
        history.add(epoch, {"a": units_of([True])})
    assert history.trend("a", "zero_fraction")[0].tolist() == [int(epoch) for epoch in ends]
    assert str(history)
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history


def test_a_real_training_is_counted_by_differences():
    torch.manual_seed(0)
    relu = CountingReLU(bins=LogBins(), unit_histograms=True)
    history, earlier, by_hand = History(), relu.stats, []
    for epoch in range(4):
        batches = [torch.randn(8, 3, 4, 4) - epoch for _ in range(3)]
        for x in batches:
            relu(x)
        by_hand.append(sum(relu_stats(x, LogBins())[1] for x in batches))
        history.add(epoch, {"relu": relu.stats - earlier})
        earlier = relu.stats
    assert history.total("relu") == relu.stats
    for span, stats in zip(history.spans, by_hand, strict=True):
        counted = span.stats["relu"]
        assert counted.unit_histograms.sum(axis=0).tolist() == stats.histogram.counts().tolist()
        assert counted.unit_zeros.tolist() == stats.unit_zeros.tolist()
        assert counted.histogram == stats.histogram
    for name, value in [("mean", "mean"), ("std", "std")]:
        expected = [getattr(stats, value) for stats in by_hand]
        assert history.trend("relu", name)[1].tolist() == expected
    for name, q in [("median", 0.5), ("p99", 0.99)]:
        expected = [stats.quantile(q) for stats in by_hand]
        assert history.trend("relu", name)[1].tolist() == expected


def test_widths_are_told_apart():
    history = two_widths()
    assert as_lists(history.deaths("relu", 3)) == {1: [1]}
    assert as_lists(history.deaths("relu", width=2)) == {1: [1]}
    assert as_lists(history.revivals("relu", 3)) == {2: [1]}
    assert history.revivals("relu", 2) == {}
    assert history.dead_units("relu", 3).tolist() == []
    assert history.dead_units("relu", 2).tolist() == [1]
    assert history.trend("relu", "dead")[1].tolist() == [0, 2, 1]
    assert history.trend("relu", "deaths")[1].tolist() == [0, 2, 0]
    for name in ("deaths", "revivals", "dead_units"):
        with pytest.raises(
            ValueError,
            match=rf"History\.{name}: .*within one width, got inputs of widths 3, 2; "
            rf"ask {name}\('relu', 3\)",
        ):
            getattr(history, name)("relu")
        with pytest.raises(KeyError, match=rf"History\.{name}: width must be .*\(3, 2\), got 4"):
            getattr(history, name)("relu", 4)
    assert " 1/5 " in str(history)
    assert history.plot().axes[0].get_title() == "relu: 1/5 dead"


def test_bad_questions():
    history = history_of([[True]])
    for ask in (
        lambda: history.total("x"),
        lambda: history.trend("x", "mean"),
        lambda: history.deaths("x"),
        lambda: history.revivals("x"),
        lambda: history.dead_units("x"),
    ):
        with pytest.raises(KeyError, match=r"site must be one of \('relu',\), got 'x'"):
            ask()
    with pytest.raises(ValueError, match=r"History\.trend: name must be one of zero.*, got 'p50'"):
        history.trend("relu", "p50")
    zeros_only = History()
    zeros_only.add(0, {"relu": units_of([True], bins=None)})
    assert zeros_only.trend("relu", "zero_fraction")[1].tolist() == [0.5]
    with pytest.raises(ValueError, match="needs bins, got bins=None"):
        zeros_only.trend("relu", "median")


@pytest.mark.parametrize("limit", [1, 0, -5, 2.0, True, None, "9", 2**63])
def test_bad_limits(limit):
    with pytest.raises(ValueError, match=r"History: limit must be .*, got"):
        History(limit)


def test_what_is_wrong_is_refused_and_changes_nothing():
    history = history_of([[True, False]] * 8, limit=4)
    before, spans = copy.deepcopy(history), history.spans
    one = units_of([True, False])
    for epoch, stats, message in (
        (7, {"relu": one}, r"History\.add: epochs must increase, got 7 after 7"),
        (-1, {"relu": one}, r"History\.add: epochs must increase, got -1 after 7"),
        (8.0, {"relu": one}, r"History\.add: epoch must be an integer, got 8\.0"),
        (True, {"relu": one}, r"History\.add: epoch must be an integer, got True"),
        (None, {"relu": one}, r"History\.add: epoch must be an integer, got None"),
        (2**63, {"relu": one}, r"History\.add: epoch must be an int64, got 9223372036854775808"),
        (8, {"a": one, "relu": 3}, "must be ReLUStats by call-site name, got int by 'relu'"),
        (8, {7: one}, "must be ReLUStats by call-site name, got ReLUStats by 7"),
        (8, [one], "History.add: stats must be a mapping, got list"),
        (
            8,
            {"a": one, "relu": units_of([True, False], LogBins())},
            r"the bins and activation of a call site must stay the same, got .*LogBins.* at relu",
        ),
        (8, {"relu": units_of([True], None)}, "got None after LinearBins"),
    ):
        with pytest.raises(ValueError, match=message):
            history.add(epoch, stats)
        assert history.spans is spans
        assert history == before


def test_windows_are_immutable():
    span = history_of([[True]]).spans[0]
    with pytest.raises(AttributeError):
        span.first = 3
    with pytest.raises(TypeError):
        span.stats["x"] = None
    with pytest.raises(TypeError):
        span.lifetimes["relu", 1] = None
    with pytest.raises(ValueError, match="read-only"):
        span.lifetimes["relu", 1].deaths[0] = 3
    given = {"relu": units_of([True])}
    history = History()
    history.add(0, given)
    given.clear()
    assert history.call_sites == ("relu",)
