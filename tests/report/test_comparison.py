import numpy as np
import pytest
import torch
from reports import silence, small_model, stats_of, watched
from torch import nn

import relustat
from relustat import EdgeBins, Report
from relustat.report.compared_row import COMPARED_COLUMNS


@pytest.fixture(scope="module")
def pair():
    """Two reports: units 0 to 4 of the last layer die, and unit 7 is revived."""
    model = small_model()
    silence(model[5], [7])
    before = watched(model)
    model = small_model()
    silence(model[5], [0, 1, 2, 3, 4])
    return before, watched(model)


def test_units_that_died_and_were_revived(pair):
    change = pair[0].compare(pair[1])
    row = change["6"]
    assert row.died_units[20].tolist() == [0, 1, 2, 3, 4]
    assert row.revived_units[20].tolist() == [7]
    assert (row.died, row.revived, row.dead_now, row.other_dead_now) == (5, 1, 1, 5)
    assert row.zero_fraction == pair[0]["6"].zero_fraction
    assert row.other_zero_fraction == pair[1]["6"].zero_fraction
    assert row.zero_fraction_change == row.other_zero_fraction - row.zero_fraction
    back = pair[1].compare(pair[0])["6"]
    assert (back.died_units[20].tolist(), back.revived) == ([7], 5)


def test_the_worst_comes_first(pair):
    change = pair[0].compare(pair[1])
    assert [row.call_site for row in change.rows] == list(change)
    assert change.rows[0].call_site == "6"
    others = [row.zero_fraction_change for row in change.rows[1:]]
    assert others == sorted(others, reverse=True)
    assert len(change) == 3


def test_the_distance_is_the_share_that_moved():
    bins = EdgeBins([-1, 0, 1, 2])
    one = Report({"a": stats_of([-0.5, 0.5, 1.5, 1.5], bins)})
    two = Report({"a": stats_of([-0.5, 0.5, 0.5, 9.0], bins)})
    assert one.compare(two)["a"].histogram_distance == 0.5
    assert one.compare(one)["a"].histogram_distance == 0


def test_what_is_in_one_only_and_what_is_unlike_is_said():
    one = Report({"a": stats_of([[1.0, 2.0]]), "b": stats_of([1.0]), "c": stats_of([1.0])})
    two = Report(
        {"a": stats_of([[1.0, 2.0, 3.0]]), "b": stats_of([1.0], None), "d": stats_of([2.0])}
    )
    change = one.compare(two, names=("old", "new"))
    assert (change.only_first, change.only_second) == (["c"], ["d"])
    assert change.warnings == [
        "only in old: c",
        "only in new: d",
        "a: the numbers of units differ (2 and 3)",
        "b: the bins differ (LogBins(per_octave=8, min_exponent=-14, max_exponent=16) and None)",
    ]
    assert np.isnan(change["b"].histogram_distance)
    assert change["a"].died_units == {}
    with pytest.raises(KeyError, match="no call site of both reports is named 'c'"):
        change["c"]


def test_nothing_in_common_is_said():
    change = Report({"a": stats_of([1.0])}).compare(Report({"b": stats_of([1.0])}))
    assert str(change).splitlines() == [
        "! no call site is in both reports",
        "! only in this: a",
        "! only in other: b",
    ]
    assert Report({}).compare(Report({})).warnings == ["no call site is in both reports"]


def test_loops_of_unlike_lengths_are_compared():
    class Loop(nn.Module):
        def forward(self, x, steps):
            for _ in range(steps):
                x = torch.relu(x - 0.1)
            return x

    reports = []
    for steps in (9, 12, 15):
        model = Loop()
        with relustat.watch(model) as watch:
            model(torch.randn(4, 3), steps)
        reports.append(watch.report())
    for one, two in ((0, 1), (1, 2), (1, 0)):
        change = reports[one].compare(reports[two])
        assert list(change) == ["relu (all calls)"]
        assert change.only_first == change.only_second == []
        row = change["relu (all calls)"]
        zeros = sum(stats.zeros for stats in reports[two].stats.values())
        elements = sum(stats.elements for stats in reports[two].stats.values())
        assert row.other_zero_fraction == zeros / elements


def test_other_shards_have_other_units():
    stats = stats_of([[1.0, -1.0]])
    one, two = (
        Report({"a": relustat.ReLUStats(stats.bins, stats.by_width, shard=(index, 2))})
        for index in (0, 1)
    )
    row = one.compare(two)["a"]
    assert row.died_units == row.revived_units == {}
    assert row.unlike == (
        "the units are not the same (shard 0 of 2 of the units and shard 1 of 2 of the units)"
    )


def test_units_that_turn_nan_are_not_revived():
    one = Report({"a": stats_of([[-1.0, -1.0]])})
    two = Report({"a": stats_of([[float("nan"), -1.0]])})
    row = one.compare(two)["a"]
    assert (row.died, row.revived) == (0, 0)
    assert row.unlike == "the other has NaN inputs, so units that were revived are not known"


def test_comparisons_are_equal_if_the_reports_are():
    one, two = Report({"a": stats_of([[1.0, 2.0]])}), Report({"a": stats_of([[-1.0, -2.0]])})
    assert one.compare(two) == one.compare(two)
    assert one.compare(two) != two.compare(one)
    assert one.compare(two) != one.compare(two, ("a", "b"))


def test_wrong_arguments():
    report = Report({"a": stats_of([1.0])})
    with pytest.raises(TypeError, match="compare: other must be a Report, got dict"):
        report.compare({"a": 1})
    for names in (("x", "x"), ("x",), "xy", (1, "1"), ()):
        with pytest.raises(ValueError, match="compare: names must be two, and differ"):
            report.compare(report, names=names)
        with pytest.raises(ValueError, match="plot: names must be two, and differ"):
            report.plot(other=report, names=names)


def test_printed_and_pandas_have_the_same_columns(pair):
    change = pair[0].compare(pair[1])
    frame = change.to_pandas()
    assert [frame.index.name, *frame.columns] == list(COMPARED_COLUMNS)
    assert frame.loc["6", "died"] == 5
    upper, lower, first, *_ = str(change).splitlines()
    words = [word for name in COMPARED_COLUMNS for word in name.split("_")]
    assert sorted(f"{upper} {lower}".split()) == sorted(words)
    assert first.split()[:2] == ["6", f"{change['6'].zero_fraction:.1%}"]
    assert "<Comparison of 3 call sites" in repr(change)
    assert change._repr_html_().count("<tbody") == 3


def test_a_change_of_nothing_has_no_minus():
    report = Report({"a": stats_of([1.0])})
    assert report.compare(report)["a"].texts()["zero_fraction_change"] == "+0.0 pp"
