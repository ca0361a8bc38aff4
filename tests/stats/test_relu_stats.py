import copy
import itertools
import json
import os
import pickle

import numpy as np
import pytest
import torch

from relustat import Counters, LinearBins, LogBins, ReLUStats, Report
from relustat.functional import counting_relu, relu_stats
from relustat.stats import npz

BINS = LinearBins(-2, 2, 8)


def counted(shapes, **options):
    counters = Counters(**{"bins": BINS, **options})
    for index, shape in enumerate(shapes):
        torch.manual_seed(index)
        counting_relu(torch.randn(shape), counters)
    return counters.stats


def test_rates():
    counters = Counters(BINS)
    counting_relu(torch.tensor([[-1.0, 1.0, -1.0], [-2.0, -0.0, float("nan")]]), counters)
    counting_relu(torch.tensor([[1.0, 1.0, -1.0], [-2.0, 3.0, -1.0]]), counters)
    stats = counters.stats
    assert (stats.calls, stats.elements, stats.zeros, stats.nans) == (2, 12, 7, 1)
    assert stats.zero_fraction == 7 / 12
    assert stats.activation_rate == 4 / 12
    # One unit dead in the first call, one in the second, of three.
    assert stats.unit_dead_calls.tolist() == [1, 0, 1]
    assert stats.death_rate == pytest.approx(2 / 6)
    assert stats.unit_zeros.tolist() == [3, 1, 3]
    assert stats.dead_units.tolist() == []
    assert stats.always_on_units.tolist() == []
    assert stats.quantile(0.5) == stats.histogram.quantile(0.5)
    assert np.isnan(stats.mean)
    assert np.isnan(stats.std)


def test_a_unit_of_nans_is_neither_dead_nor_always_off():
    _, stats = relu_stats(torch.tensor([[float("nan"), -1.0, 1.0]]))
    assert stats.dead_units.tolist() == [1]
    assert stats.always_on_units.tolist() == [0, 2]


def test_nothing_counted():
    stats = Counters().stats
    assert (stats.calls, stats.elements, stats.zeros, stats.nans) == (0, 0, 0, 0)
    assert np.isnan([stats.zero_fraction, stats.activation_rate, stats.death_rate]).all()
    assert np.isnan([stats.mean, stats.quantile(0.5)]).all()
    assert stats.dead_units.tolist() == stats.unit_elements.tolist() == []
    assert repr(stats) == "ReLUStats(nothing counted)"


def test_zeros_only():
    stats = counted([(4, 3)], bins=None)
    assert stats.zeros > 0
    assert stats.unit_histograms is None
    for ask in (lambda: stats.histogram, lambda: stats.quantile(0.5), lambda: stats.mean):
        with pytest.raises(ValueError, match="needs bins, got bins=None"):
            ask()


def test_merging_is_exact_in_any_order():
    shapes = [(4, 3), (5, 7), (2, 3), (6, 7, 2, 2)]
    parts = []
    for index, shape in enumerate(shapes):
        torch.manual_seed(index)
        parts.append(relu_stats(torch.randn(shape), BINS)[1])
    whole = counted(shapes)
    for order in itertools.permutations(parts):
        merged = order[0]
        for part in order[1:]:
            merged = merged + part
        assert merged == whole


def test_merging_with_and_without_unit_histograms():
    whole, units = counted([(4, 3)]), counted([(4, 3)], unit_histograms=True)
    assert (units + units).unit_histograms.tolist() == (2 * units.unit_histograms).tolist()
    assert (units + whole).unit_histograms is None
    assert (units + whole).histogram == whole.histogram + whole.histogram


def test_unlike_bins_do_not_merge():
    with pytest.raises(ValueError, match="only statistics of equal bins add"):
        counted([(4, 3)]) + counted([(4, 3)], bins=LogBins())
    with pytest.raises(ValueError, match="only statistics of equal bins add"):
        counted([(4, 3)]) + counted([(4, 3)], bins=None)


@pytest.mark.parametrize(
    ("bins", "unit_histograms"), [(BINS, False), (LogBins(), False), (BINS, True), (None, False)]
)
def test_differences_are_what_was_counted_in_between(bins, unit_histograms):
    counters = Counters(bins, unit_histograms=unit_histograms)
    snapshots, parts = [counters.stats], []
    for index, shape in enumerate([(4, 3), (5, 7), (2, 3), (6, 7, 2, 2)]):
        torch.manual_seed(index)
        part = Counters(bins, unit_histograms=unit_histograms)
        x = torch.randn(shape)
        counting_relu(x, counters)
        counting_relu(x, part)
        snapshots.append(counters.stats)
        parts.append(part.stats)
    for first, last in itertools.combinations(range(5), 2):
        between = snapshots[last] - snapshots[first]
        assert between == sum(parts[first + 1 : last], parts[first])
        assert between + snapshots[first] == snapshots[last]
        assert set(between.widths) == {w for part in parts[first:last] for w in part.widths}
    nothing = snapshots[4] - snapshots[4]
    assert (nothing.calls, nothing.widths, nothing.bins) == (0, (), bins)
    assert (snapshots[4] - snapshots[0]).widths == snapshots[4].widths


def test_differences_with_and_without_unit_histograms():
    whole, units = counted([(4, 3)]), counted([(4, 3)], unit_histograms=True)
    assert (units + units - units) == units
    for mixed in (units + whole - units, units + units - whole):
        assert mixed == whole
        assert mixed.unit_histograms is None


def test_only_what_was_counted_earlier_can_be_subtracted():
    one, two = counted([(4, 3)]), counted([(4, 3), (4, 3)])
    # As many calls, elements and units, other zeros; then a width that the other lacks.
    other, wide = counted([(5, 3), (4, 3)]), counted([(4, 3), (4, 5)])
    for later, earlier in [(one, two), (one, wide), (one, other), (other, one + one), (two, wide)]:
        before = copy.deepcopy(later)
        with pytest.raises(ValueError, match=r"only an earlier snapshot can be subtracted.*width"):
            later - earlier
        assert later == before
    for bins in (LogBins(), None):
        with pytest.raises(ValueError, match="only statistics of equal bins subtract"):
            one - counted([(4, 3)], bins=bins)
    with pytest.raises(TypeError):
        one - 1


def test_snapshots_are_immutable():
    counters = Counters(BINS)
    x = torch.randn(4, 3)
    counting_relu(x, counters)
    stats = counters.stats
    counting_relu(x, counters)
    assert (stats.calls, counters.stats.calls) == (1, 2)
    with pytest.raises(AttributeError, match="immutable"):
        stats.bins = None
    with pytest.raises(TypeError):
        stats.by_width[3] = None
    for array in (stats.unit_zeros, stats.unit_dead_calls):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9


@pytest.mark.parametrize("bins", [BINS, LogBins(), None])
def test_copies(tmp_path, bins):
    stats = counted([(4, 3), (5, 7)], bins=bins, unit_histograms=bins is not None)
    stats.save(tmp_path / "stats.npz")
    for same in (
        ReLUStats.from_dict(json.loads(json.dumps(stats.to_dict()))),
        ReLUStats.load(tmp_path / "stats.npz"),
        pickle.loads(pickle.dumps(stats)),
        copy.deepcopy(stats),
    ):
        assert same == stats
        assert same.zeros == stats.zeros
    assert os.listdir(tmp_path) == ["stats.npz"]


BAD_FILES = {
    "text": b"hello",
    "empty": b"",
    "torn zip": b"PK\x03\x04 and nothing",
    "pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_of_something_else(tmp_path, kind):
    path = tmp_path / "stats.npz"
    path.write_bytes(BAD_FILES[kind])
    for load in (ReLUStats.load, Report.load):
        with pytest.raises(ValueError, match=r"load: .*stats\.npz must be a relustat stats file"):
            load(path)


def test_other_archives(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match="must be a relustat stats file"):
        ReLUStats.load(path)
    np.save(tmp_path / "other.npy", np.zeros(3))
    with pytest.raises(ValueError, match="must be a relustat stats file"):
        ReLUStats.load(tmp_path / "other.npy")
    with pytest.raises(FileNotFoundError):
        ReLUStats.load(tmp_path / "none.npz")


def test_damaged_files(tmp_path):
    stats = counted([(4, 3)])
    path = tmp_path / "stats.npz"
    stats.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="must be a relustat stats file"):
            ReLUStats.load(path)
    state = stats.to_dict()
    for change in (
        lambda s: s.pop("widths"),
        lambda s: s.update(widths=[1]),
        lambda s: s["widths"]["3"].pop("zeros"),
        lambda s: s["widths"]["3"].update(zeros=[1, 2]),
        lambda s: s["widths"]["3"].update(zeros=[1, 2, -3]),
        lambda s: s["widths"]["3"].update(slots=[[1, 2]]),
        lambda s: s["widths"]["3"].update(calls="many"),
        lambda s: s["bins"].update(kind="x"),
        lambda s: s["bins"].update(sides=3),
        lambda s: s.pop("version"),
    ):
        damaged = copy.deepcopy(state)
        change(damaged)
        with pytest.raises(ValueError, match=r"from_dict|ReLUStats|bins|invalid literal"):
            ReLUStats.from_dict(damaged)


def test_flipped_bytes(tmp_path):
    stats = counted([(4, 3)])
    path = tmp_path / "stats.npz"
    stats.save(path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            loaded = ReLUStats.load(path)
        except ValueError:
            continue
        # Archives have bytes that nobody reads; checksums guard the rest.
        assert loaded == stats


def test_states_that_cannot_be():
    state = counted([(4, 3)]).to_dict()
    width = state["widths"]["3"]
    for change in (
        {"calls": -1},
        {"calls": 0},
        {"calls": 1.5},
        {"calls": True},
        {"calls": 2**63},
        {"elements": -3},
        {"elements": 13},
        {"elements": 24},
        {"zeros": [5, 0, 0]},
        {"zeros": [0.7, 1.0, 2.0]},
        {"zeros": [2**70, 0, 0]},
        {"zeros": [1e30, 0, 0]},
        {"dead_calls": [2, 0, 0]},
        {"slots": [[0] * 11]},
    ):
        with pytest.raises(ValueError, match="from_dict: must be what to_dict"):
            ReLUStats.from_dict({**state, "widths": {"3": {**width, **change}}})
    for change in (
        {"version": True},
        {"version": -1},
        {"version": "1"},
        {"widths": {"3": width, "03": width}},
        {"widths": {"4": width}},
        {"widths": {"three": width}},
        {"bins": None},
    ):
        with pytest.raises(ValueError, match="from_dict: must be what"):
            ReLUStats.from_dict({**state, **change})
    for nothing in (None, [], "stats", 3):
        with pytest.raises(ValueError, match="from_dict: must be what"):
            ReLUStats.from_dict(nothing)


def test_a_save_that_fails_names_the_path_given(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/stats\.npz'$"):
        counted([(4, 3)]).save(tmp_path / "none" / "stats.npz")


def test_sum():
    stats = counted([(4, 3)])
    assert sum([stats, stats, stats]) == stats + stats + stats


def test_newer_versions(tmp_path, monkeypatch):
    stats = counted([(4, 3)])
    monkeypatch.setattr(npz, "VERSION", 2)
    stats.save(tmp_path / "stats.npz")
    state = stats.to_dict()
    monkeypatch.undo()
    with pytest.raises(
        ValueError, match="reads versions up to 1, got version 2; install a newer relustat"
    ):
        ReLUStats.load(tmp_path / "stats.npz")
    with pytest.raises(ValueError, match="reads versions up to 1, got version 2"):
        ReLUStats.from_dict(state)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    stats = counted([(4, 3)])
    path = tmp_path / "stats.npz"
    stats.save(path)
    before = path.read_bytes()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stats.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["stats.npz"]


def test_reports_and_single_stats_are_told_apart(tmp_path):
    stats = counted([(4, 3)])
    Report({"a": stats, "b": stats}).save(tmp_path / "report.npz")
    with pytest.raises(ValueError, match=r"got a report of 2 call sites; Report\.load reads it"):
        ReLUStats.load(tmp_path / "report.npz")
    stats.save(tmp_path / "single.npz")
    assert Report.load(tmp_path / "single.npz").stats == {"single": stats}
