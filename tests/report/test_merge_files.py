"""`relustat merge`: files added up by call site."""

import os
import subprocess
import sys

import pytest
import torch

from relustat import Counters, LinearBins, LogBins, ReLUStats, Report, cli
from relustat.functional import counting_relu
from relustat.report.merge_files import merge_files
from relustat.stats import npz

BINS = LinearBins(-2, 2, 8)


def counted(*shapes, bins=BINS, **options):
    counters = Counters(bins, **options)
    for shape in shapes:
        counting_relu(torch.randn(shape), counters)
    return counters.stats


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, *files):
    """The message; nothing is written, and what was there stays."""
    with open("all.npz", "wb") as file:
        file.write(b"earlier")
    before = set(os.listdir())
    assert cli.main(["merge", *files, "-o", "all.npz"]) == 2
    assert set(os.listdir()) == before
    with open("all.npz", "rb") as file:
        assert file.read() == b"earlier"
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_reports_add_up_by_call_site(capsys):
    parts = [{"fc2": counted((4, 3)), "fc1.relu": counted((5, 7), (5, 6))} for _ in range(3)]
    names = [f"rank{index}.npz" for index in range(3)]
    for name, part in zip(names, parts, strict=True):
        # Other orders add, too; that of the first file counts.
        Report(dict(reversed(part.items())) if name == "rank1.npz" else part).save(name)
    assert cli.main(["merge", *names, "-o", "all.npz"]) == 0
    merged = Report.load("all.npz").stats
    assert merged == {site: sum(part[site] for part in parts) for site in parts[0]}
    assert list(merged) == ["fc2", "fc1.relu"]
    # 3 times 4x3, 5x7 and 5x6 elements.
    assert capsys.readouterr().out == "all.npz: 3 files, 2 call sites, 231 elements\n"
    assert sorted(os.listdir()) == ["all.npz", *names]


def test_as_it_is_typed():
    stats = counted((4, 3))
    Report({"fc": stats}).save("a.npz")
    result = subprocess.run(
        [sys.executable, "-m", "relustat", "merge", "a.npz", "--output", "all.npz"],
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "all.npz: 1 file, 1 call site, 12 elements\n"
    assert Report.load("all.npz").stats == {"fc": stats}


def test_files_of_one_relu():
    parts = [counted((4, 3)), counted((2, 3), (2, 5))]
    for index, part in enumerate(parts):
        part.save(f"{index}.npz")
    assert cli.main(["merge", "0.npz", "1.npz", "-o", "all.npz"]) == 0
    assert ReLUStats.load("all.npz") == parts[0] + parts[1]


def test_onto_one_of_the_files():
    one, two = counted((4, 3)), counted((4, 3))
    one.save("one.npz")
    two.save("two.npz")
    assert cli.main(["merge", "one.npz", "two.npz", "-o", "one.npz"]) == 0
    assert ReLUStats.load("one.npz") == one + two


def test_files_without_counts_add_nothing():
    stats = counted((4, 3))
    Report({}).save("none.npz")
    Report({"fc": stats}).save("fc.npz")
    assert merge_files(["none.npz", "fc.npz"]).stats == {"fc": stats}
    assert merge_files(["none.npz"]).stats == {}


def test_with_and_without_unit_histograms():
    units, whole = counted((4, 3), unit_histograms=True), counted((4, 3))
    units.save("units.npz")
    whole.save("whole.npz")
    (merged,) = merge_files(["units.npz", "whole.npz"]).stats.values()
    assert merged == units + whole
    assert merged.unit_histograms is None


def test_unlike_call_sites(capsys):
    stats = counted((4, 3))
    Report({"conv": stats, "fc1": stats, "fc2": stats}).save("a.npz")
    Report({"conv": stats, "head": stats}).save("b.npz")
    assert refused(capsys, "a.npz", "b.npz") == (
        "relustat: merge: all files that hold counts must have the same call sites, "
        "got fc1, fc2 (in a.npz, missing in b.npz); head (in b.npz, missing in a.npz)\n"
    )
    stats.save("one.npz")
    assert "got the only ReLU (in one.npz, missing in b.npz); conv, head (in b.npz" in refused(
        capsys, "one.npz", "b.npz"
    )


def test_unlike_bins(capsys):
    same = counted((4, 3))
    for name, bins in [("a", BINS), ("b", LogBins()), ("c", None)]:
        Report({"conv": same, "fc": counted((4, 3), bins=bins)}).save(f"{name}.npz")
    assert refused(capsys, "a.npz", "b.npz", "c.npz") == (
        "relustat: merge: a call site must have equal bins in all files, "
        f"got for fc: {BINS} (in a.npz); {LogBins()} (in b.npz); None (in c.npz)\n"
    )


def test_a_file_given_twice(capsys):
    counted((4, 3)).save("a.npz")
    os.symlink("a.npz", "b.npz")
    for again in ("a.npz", os.path.abspath("a.npz"), "b.npz"):
        assert refused(capsys, "a.npz", again) == (
            f"relustat: merge: each file must be given once, got {again} twice\n"
        )


def test_files_of_something_else(capsys):
    counted((4, 3)).save("good.npz")
    with open("text.npz", "wb") as file:
        file.write(b"hello")
    assert "text.npz must be a relustat stats file" in refused(capsys, "good.npz", "text.npz")
    assert "missing.npz: No such file or directory" in refused(capsys, "good.npz", "missing.npz")
    state = counted((4, 3)).to_dict()
    state["widths"]["3"]["zeros"] = [99, 0, 0]
    npz.save("wrong.npz", {"fc": state})
    error = refused(capsys, "good.npz", "wrong.npz")
    assert "load: wrong.npz must be a relustat stats file (" in error
    assert "counts must agree" in error


def test_outputs(capsys):
    counted((4, 3)).save("a.npz")
    assert cli.main(["merge", "a.npz", "-o", "new/folder/all.npz"]) == 0
    assert ReLUStats.load("new/folder/all.npz") == ReLUStats.load("a.npz")
    assert cli.main(["merge", "a.npz", "-o", "a.npz/all.npz"]) == 2
    assert "--output must be a file that can be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["a.npz"], ["-o", "all.npz"], ["", "-o", "all.npz"], ["a.npz", "-o", ""]]
)
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit):
        cli.main(["merge", *arguments])
    assert "relustat merge: error: " in capsys.readouterr().err
