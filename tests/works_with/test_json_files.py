"""A name that ends in .json is that of a JSON file, and no other name lies."""

import json
import os
import re
import zipfile

import pytest
import torch
from reports import small_model, watched

from relustat import History, ReLUStats, Report, cli
from relustat.functional import relu_stats
from relustat.report import merge_files


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def counts():
    return relu_stats(torch.randn(4, 3))[1]


def read(path):
    """The JSON that it holds, without what JSON does not know."""
    with open(path) as file:
        return json.load(file, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["relus.json", "RELUS.JSON"])
def test_reports(name):
    report = watched(small_model())
    report.save(name)
    assert read(name) == json.loads(json.dumps(report.to_dict()))
    assert Report.load(name) == report
    assert list(Report.load(name).groups) == ["cat", "dog"]


def test_counts_of_one_relu(counts):
    counts.save("relu.json")
    assert read("relu.json") == counts.to_dict()
    assert ReLUStats.load("relu.json") == counts
    assert Report.load("relu.json") == Report({"relu": counts})
    counts.save("other.npz")
    assert list(merge_files(["relu.json", "other.npz"]).stats.values()) == [counts + counts]


def test_histories(counts):
    history = History()
    history.add(1, {"relu": counts})
    history.save("history.json")
    assert read("history.json") == history.to_dict()
    assert History.load("history.json") == history


def test_the_command_writes_and_reads_them(counts, capsys):
    Report({"fc": counts}).save("a.npz")
    assert cli.main(["show", "a.npz", "--json", "a.json"]) == 0
    assert cli.main(["merge", "a.npz", "a.json", "-o", "b.json"]) == 0
    assert capsys.readouterr().out.endswith("b.json: 2 files, 1 call site, 24 elements\n")
    assert Report.load("b.json") == Report({"fc": counts + counts})
    assert read("b.json")["call_sites"]["fc"]["widths"]["3"]["calls"] == 2


def test_an_archive_that_an_older_version_wrote(counts):
    Report({"fc": counts}).save("a.npz")
    os.rename("a.npz", "a.json")
    assert Report.load("a.json") == Report({"fc": counts})
    counts.save("b.npz")
    os.rename("b.npz", "b.json")
    assert ReLUStats.load("b.json") == counts


@pytest.mark.parametrize("name", ["a.html", "a.csv", "a.PNG", "a.htm"])
def test_a_name_that_lies(counts, name):
    history = History()
    for holder in (Report({"fc": counts}), counts, history):
        message = f"save: path must be that of a .npz or .json file, got {name}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            holder.save(name)
    assert os.listdir() == []


@pytest.mark.parametrize("name", ["a", "a.npz", "a.relus", "a.json.part", ".json"])
def test_other_names_are_archives(counts, name):
    Report({"fc": counts}).save(name)
    assert zipfile.is_zipfile(name)
    assert Report.load(name) == Report({"fc": counts})


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b'{"version": 1}', b"[" * 100_000])
def test_something_else(content):
    with open("a.json", "wb") as file:
        file.write(content)
    for kind, load in (
        ("stats", Report.load),
        ("stats", ReLUStats.load),
        ("history", History.load),
    ):
        with pytest.raises(ValueError, match=rf"^load: a\.json must be a relustat {kind} file \("):
            load("a.json")
