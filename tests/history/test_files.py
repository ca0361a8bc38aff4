"""Histories copied, pickled, saved and loaded; files that are none."""

import copy
import json
import os
import pickle

import numpy as np
import pytest
from history_cases import Training, history_of, two_widths, units_of

from relustat import LogBins, ReLUStats, Report
from relustat.history import History
from relustat.stats import npz


@pytest.mark.parametrize("make", [lambda: Training(12).history(5), History, two_widths])
def test_copies(make, tmp_path):
    history = make()
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
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
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
            ValueError, match=r"history\.npz must .*got a history of 3 spans; History\.load reads"
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
    monkeypatch.setattr(npz, "VERSION", 2)
    history.save(tmp_path / "history.npz")
    state = history.to_dict()
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"history\.npz .*got version 2; install a newer relustat"):
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
