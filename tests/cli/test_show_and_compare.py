"""`relustat show` and `relustat compare`."""

import json
import os
import stat
import subprocess

import pytest
import torch
from null_device import is_device, null_device
from reports import silence, small_model, stats_of, watched

from relustat import History, LinearBins, Report, cli


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = small_model()
    before = watched(model)
    silence(model[0], [3, 5])
    after = watched(model)
    before.save("before.npz")
    after.save("after.npz")
    with open("after.json", "w") as file:
        json.dump(after.to_dict(), file)


def printed(capsys, *arguments):
    assert cli.main(list(arguments)) == 0
    return capsys.readouterr()


def test_show(capsys):
    for path in ("after.npz", "after.json"):
        out, err = printed(capsys, "show", path)
        report = Report.load(path) if path.endswith("npz") else Report.load("after.npz")
        assert out.splitlines()[:5] == str(report).splitlines()[:5]
        assert "! 1: 2 of 8 units gave only zeros in 2 calls" in out
        assert err == ""


def test_show_as_other_files(capsys):
    _, err = printed(capsys, "show", "after.npz", "--html", "a.html", "--csv", "b.csv")
    assert err == "Wrote a.html\nWrote b.csv\n"
    assert {"a.html", "b.csv"} < set(os.listdir())


def test_units(capsys):
    out, _ = printed(capsys, "show", "after.npz", "--units", "1")
    lines = out.splitlines()
    assert lines[1].split() == ["unit", "fraction", "calls", "since", "fired", "state"]
    assert [line.split() for line in lines[2:4]] == [
        [unit, "100.0%", "2", "2", "dead"] for unit in ("3", "5")
    ]
    assert len(lines) == 2 + 8
    units = [line.split() for line in lines[2:]]
    shares = [float(line[1].rstrip("%")) for line in units]
    assert shares == sorted(shares, reverse=True)
    assert all(line[2:] == ["0", "0"] for line in units[2:])


def test_units_and_files_at_once(capsys):
    _, err = printed(capsys, "show", "after.npz", "--units", "1", "--csv", "b.csv")
    assert err == "Wrote b.csv\n"


def test_files_that_are_read_are_not_written(capsys):
    with open("after.npz", "rb") as file:
        before = file.read()
    os.symlink("after.npz", "link.npz")
    for arguments in (
        ["show", "after.npz", "--npz", "after.npz"],
        ["show", "after.npz", "--csv", "link.npz"],
        ["compare", "before.npz", "after.npz", "--html", "./after.npz"],
    ):
        assert cli.main(arguments) == 2
    with open("after.npz", "rb") as file:
        assert file.read() == before


def test_links_stay_links_and_pipes_pipes(capsys):
    os.symlink("target.csv", "link.csv")
    os.mkfifo("pipe.csv")
    printed(capsys, "show", "after.npz", "--csv", "link.csv")
    assert os.path.islink("link.csv")
    assert os.path.getsize("target.csv") > 100
    with subprocess.Popen(["cat", "pipe.csv"], stdout=subprocess.PIPE) as reader:
        printed(capsys, "show", "after.npz", "--csv", "pipe.csv")
        with open("target.csv", "rb") as file:
            assert reader.stdout.read() == file.read()
    assert stat.S_ISFIFO(os.stat("pipe.csv").st_mode)
    assert cli.main(["show", "after.npz", "--csv", "x" * 300]) == 2
    assert "File name too long" in capsys.readouterr().err
    printed(capsys, "show", "after.npz", "--csv", "x" * 255)


def test_devices_stay_devices(tmp_path, capsys):
    device = null_device(tmp_path)
    for kind in ("html", "json", "npz"):
        printed(capsys, "show", "after.npz", f"--{kind}", "null")
    printed(capsys, "merge", "before.npz", "-o", "null")
    assert is_device(device)


def test_units_of_two_widths(capsys):
    stats = stats_of([[1.0, -1.0]]) + stats_of([[1.0, 2.0, -3.0]])
    Report({"relu": stats}).save("widths.npz")
    lines = printed(capsys, "show", "widths.npz", "--units", "relu")[0].splitlines()
    assert lines[0] == "inputs with 2 units, in 1 calls"
    assert [line.split() for line in lines[3:5]] == [
        ["1", "100.0%", "1", "1", "dead"],
        ["0", "0.0%", "0", "0", "always", "on"],
    ]
    assert lines[5] == "inputs with 3 units, in 1 calls"


def test_wrong_files_and_names(capsys):
    History().save("history.npz")
    with open("text.npz", "w") as file:
        file.write("hello")
    with open("text.json", "w") as file:
        file.write("[1]")
    for arguments, message in (
        (["none.npz"], "none.npz: No such file or directory"),
        (["none.json"], "none.json: No such file or directory"),
        (["text.npz"], "text.npz must be a relustat stats file"),
        (["text.json"], "text.json must be a relustat stats file"),
        (["history.npz"], "got a history of 0 spans; History.load reads it"),
        (
            ["after.npz", "--units", "conv"],
            "no call site is named 'conv'; there are 1, 3, 6",
        ),
        (["after.npz", "--html", "/proc/a.html"], "--html must be a file that can be written"),
    ):
        assert cli.main(["show", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "pickle" not in error


def test_compare(capsys):
    out, err = printed(capsys, "compare", "before.npz", "after.json", "--html", "change.html")
    change = Report.load("before.npz").compare(Report.load("after.npz"), ("before", "after"))
    assert out == f"{change}\n"
    assert change["1"].died_units[8].tolist() == [3, 5]
    assert err == "Wrote change.html\n"
    with open("change.html") as file:
        assert "<title>ReLUs of before and after" in file.read()


def test_names_of_two(capsys):
    os.mkdir("old")
    os.rename("before.npz", "old/after.npz")
    with open("after.npz", "rb"):
        pass
    printed(capsys, "compare", "old/after.npz", "after.npz", "--html", "a.html")
    with open("a.html") as file:
        assert "<title>ReLUs of old/after.npz and after.npz" in file.read()
    printed(
        capsys, *("compare", "old/after.npz", "after.npz", "--html", "a.html", "--names", "x", "y")
    )
    with open("a.html") as file:
        assert "<title>ReLUs of x and y" in file.read()
    assert cli.main(["compare", "after.npz", "after.npz"]) == 2
    assert "compare: names must be two, and differ" in capsys.readouterr().err


def test_unlike_bins_are_said(capsys):
    Report({"1": stats_of(torch.randn(4, 8), LinearBins(-1, 1, 4))}).save("linear.npz")
    out, _ = printed(capsys, "compare", "before.npz", "linear.npz")
    assert "! 1: the bins differ" in out
    assert cli.main(["merge", "before.npz", "linear.npz", "-o", "all.npz"]) == 2
    assert capsys.readouterr().err.startswith("relustat: merge: all files")
