import copy
import itertools
import json
import os
import pickle
import sys

import numpy as np
import pytest
import torch

from relustat import CountingReLU, LinearBins, LogBins, ReLUStats, Report, storage
from relustat.functional import relu_stats
from relustat.history import History

BINS = LinearBins(-2, 2, 8)


def stats_of(x, bins=BINS):
    return relu_stats(torch.as_tensor(x, dtype=torch.float32), bins)[1]


def units_of(alive, bins=BINS):
    """One call with a zero and, for each unit that is alive, a one."""
    return stats_of(np.stack([np.full(len(alive), -1.0), np.where(alive, 1.0, -1.0)]), bins)


def history_of(epochs, limit=100, site="relu"):
    history = History(limit)
    for epoch, alive in enumerate(epochs):
        if alive is not None:
            history.add(epoch, {site: units_of(alive)})
        else:
            history.add(epoch, {})
    return history


def as_lists(changes):
    return {epoch: units.tolist() for epoch, units in changes.items()}


class Training:
    """Inputs of two call sites in each epoch, of which units die and are revived now and then."""

    def __init__(self, epochs, seed=0):
        random = np.random.default_rng(seed)
        self.inputs = {"conv": [], "linear": []}
        for site, units in (("conv", 5), ("linear", 9)):
            alive = np.ones(units, dtype=bool)
            for _ in range(epochs):
                alive = np.where(random.random(units) < 0.15, ~alive, alive)
                x = random.normal(size=(6, units)).astype(np.float32)
                x[0] = 1  # lest a unit be dead by chance
                x[:, ~alive] = -1
                self.inputs[site].append(x)

    def history(self, limit=100, first=0):
        history = History(limit)
        for epoch in range(len(self.inputs["conv"])):
            history.add(
                first + epoch, {site: stats_of(x[epoch]) for site, x in self.inputs.items()}
            )
        return history

    def dead(self, site):
        """Bool [epochs, units]."""
        return np.array([(x <= 0).all(axis=0) for x in self.inputs[site]])

    def assert_counted(self, history, site):
        """All numbers of all windows, by NumPy alone."""
        dead = self.dead(site)
        died, revived = dead[1:] & ~dead[:-1], ~dead[1:] & dead[:-1]
        nothing = np.zeros((1, dead.shape[1]), dtype=bool)
        died, revived = np.concatenate([nothing, died]), np.concatenate([nothing, revived])
        deaths, revivals = {}, {}
        for index, window in enumerate(history.windows):
            epochs = slice(window.first, window.last + 1)
            x = np.concatenate(self.inputs[site][epochs])
            stats = window.stats[site]
            assert stats.calls == window.last - window.first + 1
            assert stats.unit_zeros.tolist() == (x <= 0).sum(axis=0).tolist()
            assert stats.histogram.counts().tolist() == np.histogram(x, BINS.edges)[0].tolist()
            expected = {
                "zero_fraction": (x <= 0).mean(),
                "activation_rate": (x > 0).mean(),
                "death_rate": dead[epochs].mean(),
                "dead_units": dead[epochs].sum(axis=1).mean(),
                "deaths": died[epochs].sum(),
                "revivals": revived[epochs].sum(),
            }
            for name, value in expected.items():
                assert history.trend(site, name)[1][index] == pytest.approx(value), name
            for changes, changed in ((deaths, died), (revivals, revived)):
                units = np.flatnonzero(changed[epochs].any(axis=0)).tolist()
                if units:
                    changes[window.first] = units
        assert as_lists(history.deaths(site)) == deaths
        assert as_lists(history.revivals(site)) == revivals
        assert history.dead_units(site).tolist() == np.flatnonzero(dead[-1]).tolist()
        assert history.trend(site, "deaths")[1].sum() == died.sum()
        assert history.trend(site, "revivals")[1].sum() == revived.sum()
        total = history.total(site)
        assert total == sum(map(stats_of, self.inputs[site]))


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
    at, dead = history.trend("relu", "dead_units")
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
    dead, windows = history.trend("relu", "dead_units")[1], history.windows
    lengths = np.array([window.last - window.first + 1 for window in windows])
    assert dead @ lengths == pytest.approx(20)


def test_an_epoch_without_calls_says_nothing():
    # Dead at 1, not called at 2 and 3, still dead at 4; alive at 5, not called, dead at 7.
    on, off = [True, True], [True, False]
    history = history_of([on, off, None, None, off, on, None, off])
    assert as_lists(history.deaths("relu")) == {1: [1], 7: [1]}
    assert as_lists(history.revivals("relu")) == {5: [1]}
    for name in ("zero_fraction", "dead_units", "deaths", "death_rate", "mean", "p99"):
        epochs, values = history.trend("relu", name)
        assert epochs.tolist() == list(range(8))
        assert np.isnan(values).tolist() == [x in (2, 3, 6) for x in range(8)]
    history.add(8, {"other": units_of(on), "relu": ReLUStats(BINS, {})})
    assert history.call_sites == ("relu", "other")
    assert history.dead_units("relu").tolist() == [1]
    assert list(history.windows[-1].stats) == ["other"]
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
    windows = history.windows
    assert (windows[0].first, windows[-1].last) == (0, 9_999)
    for before, after in itertools.pairwise(windows):
        assert after.first == before.last + 1
    # The newest stay as they are, and no window is long.
    assert all(window.first == window.last for window in windows[limit - limit // 2 :])
    assert max(window.last - window.first for window in windows) <= 4 / limit * 9_999


def test_the_older_pair_that_spans_the_fewest_epochs_is_added_up():
    history, seen = History(limit=4), []
    for epoch in (0, 1, 2, 3, 4, 10, 11, 12):
        history.add(epoch, {"a": units_of([True])})
        seen.append([(window.first, window.last) for window in history.windows])
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
            longest = max(window.last - window.first for window in history.windows)
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
    for window, stats in zip(history.windows, by_hand, strict=True):
        counted = window.stats["relu"]
        assert counted.unit_histograms.sum(axis=0).tolist() == stats.histogram.counts().tolist()
        assert counted.unit_zeros.tolist() == stats.unit_zeros.tolist()
        assert counted.histogram == stats.histogram
    for name, value in [("mean", "mean"), ("std", "std")]:
        expected = [getattr(stats, value) for stats in by_hand]
        assert history.trend("relu", name)[1].tolist() == expected
    for name, q in [("median", 0.5), ("p99", 0.99)]:
        expected = [stats.quantile(q) for stats in by_hand]
        assert history.trend("relu", name)[1].tolist() == expected


@pytest.fixture
def two_widths():
    history = History()
    for epoch, alive in enumerate([[1, 1, 1], [1, 0, 1], [1, 1, 1]]):
        both = units_of(np.array(alive) > 0) + units_of(np.array([True, epoch == 0]))
        history.add(epoch, {"relu": both})
    return history


def test_widths_are_told_apart(two_widths):
    history = two_widths
    assert as_lists(history.deaths("relu", 3)) == {1: [1]}
    assert as_lists(history.deaths("relu", width=2)) == {1: [1]}
    assert as_lists(history.revivals("relu", 3)) == {2: [1]}
    assert history.revivals("relu", 2) == {}
    assert history.dead_units("relu", 3).tolist() == []
    assert history.dead_units("relu", 2).tolist() == [1]
    assert history.trend("relu", "dead_units")[1].tolist() == [0, 2, 1]
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
    before, windows = copy.deepcopy(history), history.windows
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
            r"History\.add: the bins of a call site must stay the same, got LogBins.* at relu",
        ),
        (8, {"relu": units_of([True], None)}, "got None after LinearBins"),
    ):
        with pytest.raises(ValueError, match=message):
            history.add(epoch, stats)
        assert history.windows is windows
        assert history == before


def test_windows_are_immutable():
    window = history_of([[True]]).windows[0]
    with pytest.raises(AttributeError):
        window.first = 3
    with pytest.raises(TypeError):
        window.stats["x"] = None
    with pytest.raises(TypeError):
        window.lives["relu", 1] = None
    with pytest.raises(ValueError, match="read-only"):
        window.lives["relu", 1].deaths[0] = 3
    given = {"relu": units_of([True])}
    history = History()
    history.add(0, given)
    given.clear()
    assert history.call_sites == ("relu",)


@pytest.mark.parametrize("make", [lambda: Training(12).history(5), History, "two_widths"])
def test_copies(make, tmp_path, request):
    history = request.getfixturevalue(make) if isinstance(make, str) else make()
    history.save(tmp_path / "history.npz")
    for same in (
        History.from_dict(json.loads(json.dumps(history.to_dict()))),
        History.load(tmp_path / "history.npz"),
        pickle.loads(pickle.dumps(history)),
        copy.deepcopy(history),
    ):
        assert same == history
        assert (same.limit, same.call_sites, str(same)) == (
            history.limit,
            history.call_sites,
            str(history),
        )
        # It goes on as the other would have.
        for more in (same, original := copy.deepcopy(history)):
            for epoch in range(50, 60):
                more.add(epoch, {"conv": units_of([True] * 4 + [epoch % 2 == 0])})
        assert same == original
        assert same != history
    assert os.listdir(tmp_path) == ["history.npz"]
    assert history != History(7)
    assert history != 3


def test_counts_of_zeros_only_are_saved_too(tmp_path):
    history = History()
    history.add(0, {"relu": units_of([True, False], bins=None)})
    history.save(tmp_path / "history.npz")
    assert History.load(tmp_path / "history.npz") == history


def test_files_that_are_cut_or_changed(tmp_path):
    history = Training(6).history(4)
    path = tmp_path / "history.npz"
    history.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 61):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"history\.npz must be a relustat history file"):
            History.load(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        loaded, problem = None, ""
        try:
            loaded = History.load(path)
        except ValueError as error:
            problem = str(error)
        # Archives have bytes that nobody reads; checksums guard the rest.
        assert loaded == history or "history.npz must be a relustat history file" in problem


def test_files_of_another_kind(tmp_path):
    history, stats = Training(3).history(), units_of([True])
    history.save(tmp_path / "history.npz")
    for read in (Report.load, ReLUStats.load):
        with pytest.raises(
            ValueError, match=r"history\.npz must .*got a history of 3 windows; History\.load reads"
        ):
            read(tmp_path / "history.npz")
    Report({"a": stats, "b": stats}).save(tmp_path / "report.npz")
    with pytest.raises(
        ValueError, match=r"report\.npz must .*got statistics of 2 call sites; Report\.load reads"
    ):
        History.load(tmp_path / "report.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    for name in ("other.npz", "text.npz"):
        with pytest.raises(ValueError, match=f"{name} must be a relustat history file"):
            History.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        History.load(tmp_path / "none.npz")


def test_newer_versions(tmp_path, monkeypatch):
    history = Training(3).history()
    monkeypatch.setattr(storage, "VERSION", 2)
    history.save(tmp_path / "history.npz")
    state = history.to_dict()
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"history\.npz .*got version 2; update relustat"):
        History.load(tmp_path / "history.npz")
    with pytest.raises(ValueError, match="reads versions up to 1, got version 2"):
        History.from_dict(state)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    history = Training(3).history()
    path = tmp_path / "history.npz"
    history.save(path)
    before = path.read_bytes()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        history.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["history.npz"]


def test_states_that_cannot_be():
    state = history_of([[True, False], [False, False], [True, True]], limit=3).to_dict()

    def width(s):
        return s["windows"][1]["call_sites"]["relu"]["widths"]["2"]

    for change in (
        lambda s: s.pop("limit"),
        lambda s: s.update(limit=1),
        lambda s: s.update(limit=2),
        lambda s: s.update(limit="3"),
        lambda s: s.pop("windows"),
        lambda s: s.update(windows=3),
        lambda s: s.update(windows=[3]),
        lambda s: s["windows"].reverse(),
        lambda s: s["windows"][0].update(last=1),
        lambda s: s["windows"][0].update(first=1),
        lambda s: s["windows"][0].update(first=0.0),
        lambda s: s["windows"][0].pop("call_sites"),
        lambda s: s["windows"][0]["call_sites"].update(relu=None),
        lambda s: s["windows"][0]["call_sites"]["relu"].update(version=2),
        lambda s: s["windows"][0]["call_sites"]["relu"].update(bins=LogBins().to_dict()),
        lambda s: width(s).pop("deaths"),
        lambda s: width(s).update(zeros=[1, 2]),
        lambda s: width(s).update(epochs=2),
        lambda s: width(s).update(epochs="1"),
        lambda s: width(s).update(epochs=True),
        lambda s: width(s).update(epochs=0),
        lambda s: width(s).update(dead_epochs=[1, 0]),
        lambda s: width(s).update(dead_epochs=[1]),
        lambda s: width(s).update(dead_epochs=[[1, 1]]),
        lambda s: width(s).update(dead_epochs=[1.0, 1.0]),
        lambda s: width(s).update(deaths=[2, 0]),
        lambda s: width(s).update(deaths=[-1, 0]),
        lambda s: width(s).update(revivals=[1, 0]),
        lambda s: width(s).update(dead=[0, 1]),
        lambda s: width(s).update(dead=[2, 1]),
        lambda s: width(s).update(dead="dead"),
    ):
        damaged = copy.deepcopy(state)
        change(damaged)
        with pytest.raises(ValueError, match="from_dict: must be what to_dict"):
            History.from_dict(damaged)
    for nothing in (None, [], "history", 3, {}, {**state, "version": True}):
        with pytest.raises(ValueError, match="from_dict: must be what"):
            History.from_dict(nothing)
    assert History.from_dict(state).to_dict() == state


def test_printed_text():
    epochs = [[True] * 8, [False] * 2 + [True] * 6, [True, False] + [True] * 6]
    history = history_of(epochs)
    history.add(3, {"later": stats_of([[1.0, -1.0]])})
    lines = str(history).splitlines()
    assert lines[0].split("  ")[0] == "call site"
    assert lines[0].endswith("zero in epochs 0 to 3: ▁ 50%, █ 62%")
    assert lines[1].split() == ["relu", "50.0%", "56.2%", "1/8", "2", "1", "▁█▄"]
    assert lines[2].split() == ["later", "50.0%", "50.0%", "1/2", "0", "0", "▁"]
    assert lines[2].endswith("   ▁")
    assert len(lines) == 3
    assert repr(history) == "<History of 4 windows of 2 call sites; print() shows it>"
    assert str(History()) == "! no ReLU was called"
    assert repr(history.windows[0]) == "<Window of epochs 0 to 0, 1 call sites>"


def test_the_line_has_twelve_points_from_first_to_last():
    history = History()
    for epoch in range(100):
        history.add(epoch, {"a": stats_of(np.where(np.arange(100) < epoch, -1, 1)[:, None])})
    (line,) = str(history).splitlines()[1:]
    assert line.split()[-1] == "▁▁▂▃▃▄▅▆▆▇██"
    assert len(line.split()[-1]) == 12


def test_pandas():
    training = Training(12)
    history = training.history(6)
    frame = history.to_pandas()
    assert list(frame.index.names) == ["call_site", "first"]
    assert len(frame) == 2 * len(history)
    linear = frame.loc["linear"]
    assert linear.index.tolist() == [window.first for window in history.windows]
    assert linear["last"].tolist() == [window.last for window in history.windows]
    for name in ("zero_fraction", "death_rate", "dead_units", "deaths", "revivals", "p99"):
        assert linear[name].tolist() == history.trend("linear", name)[1].tolist()
    assert linear["elements"].sum() == history.total("linear").elements
    gaps = history_of([[True], None, [True]]).to_pandas()
    assert gaps.index.tolist() == [("relu", 0), ("relu", 2)]
    assert len(History().to_pandas()) == 0


@pytest.mark.parametrize("sites", [1, 2, 13, 50])
def test_plot_has_a_panel_for_each_site(sites, tmp_path):
    history = History()
    for epoch in range(6):
        alive = np.arange(4) < (4 if epoch < 3 else 3 + epoch % 2)
        history.add(epoch, {f"layer.{site}": units_of(alive) for site in range(sites)})
    figure = history.plot()
    assert [axes.get_title() for axes in figure.axes] == [
        f"layer.{site}: 0/4 dead" for site in range(sites)
    ]
    zeros, dead, deaths, revivals = figure.axes[0].get_lines()
    expected = 100 * history.trend("layer.0", "zero_fraction")[1]
    assert zeros.get_ydata().tolist() == expected.tolist()
    assert dead.get_ydata().tolist() == [0, 0, 0, 0, 25, 0]
    assert deaths.get_xdata().tolist() == list(history.deaths("layer.0"))
    assert revivals.get_xdata().tolist() == list(history.revivals("layer.0"))
    figure.savefig(tmp_path / "figure.png", dpi=30)


def test_anything_prints_and_plots(tmp_path):
    odd = History()
    odd.add(5, {"nan": stats_of([[float("nan")]]), "no bins": stats_of([[1.0]], None)})
    odd.add(9, {"nan": stats_of([[float("inf")]])})
    for history in (History(), odd, history_of([None]), history_of([[False]])):
        assert str(history)
        history.to_pandas()
        history.plot().savefig(tmp_path / "figure.png", dpi=30)


def test_a_missing_extra_says_what_to_install(monkeypatch):
    history = history_of([[True]])
    for module, extra, action in [
        ("pandas", "pandas", history.to_pandas),
        ("matplotlib.figure", "plot", history.plot),
    ]:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=rf"pip install 'relustat\[{extra}\]'"):
            action()
