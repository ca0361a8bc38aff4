import pytest
import torch
from reports import silence, small_model, stats_of, watched

from relustat import Report


def test_a_report_is_a_mapping_of_rows():
    report = Report({"a": stats_of([[1.0, -1.0]]), "b.relu": stats_of([[2.0, 3.0, 0.0]])})
    assert list(report) == ["a", "b.relu"]
    assert len(report) == 2
    assert "a" in report
    assert report["b.relu"].stats is report.stats["b.relu"]
    assert (report["b.relu"].units, report["b.relu"].dead, report["b.relu"].always_on) == (3, 1, 2)
    assert report.rows == list(report.values())
    with pytest.raises(KeyError, match=r"no call site is named 'b\.rleu'; there are b\.relu"):
        report["b.rleu"]


def test_equal_reports_have_equal_counts_and_warnings():
    stats = stats_of([[1.0, -1.0]])
    assert Report({"a": stats}) == Report({"a": stats_of([[1.0, -1.0]])})
    assert Report({"a": stats}) != Report({"a": stats + stats})
    assert Report({"a": stats}) != Report({"a": stats}, ["b: never called"])
    assert Report({"a": stats}) != {"a": stats}


def test_a_report_survives_json_whole(tmp_path):
    import json

    model = small_model()
    silence(model[0], [2])
    report = watched(model, unit_dims={"6": 0})
    read = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert read == report
    assert str(read) == str(report)
    assert read.to_dict() == report.to_dict()
    assert list(read.groups) == ["cat", "dog"]
    # What version 0.1.0 wrote says less.
    old = {name: report.to_dict()[name] for name in ("version", "call_sites", "warnings", "notes")}
    assert Report.from_dict(old).stats == report.stats


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "must be what relustat wrote, got no version"),
        (None, "got no version"),
        ({"version": 99}, "got version 99; install a newer relustat"),
        ({"version": 1}, "must be what to_dict"),
        ({"version": 1, "call_sites": []}, "must be what to_dict"),
        ({"version": 1, "call_sites": {"a": {"version": 1}}}, "must be what to_dict"),
        ({"version": 1, "call_sites": {}, "where": 3, "groups": []}, "must be what to_dict"),
    ],
)
def test_what_is_no_report_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        Report.from_dict(state)


def test_rows_are_strict_json():
    import json

    report = Report({"a": stats_of([[1.0, 1e30]]), "b": stats_of([1.0], None)})
    text = json.dumps(report.to_dict(), allow_nan=False)
    one, two = json.loads(text)["rows"]
    assert (one["max"], one["zero_block_fraction"]) == (None, None)
    assert (two["min"], two["zero_fraction"]) == (None, 0)


def test_only_all_is_100_percent():
    x = torch.full((10_000, 1), -1.0)
    x[0] = 1
    assert Report({"a": stats_of(x)})["a"].texts()["zero_fraction"] == ">99.9%"
    assert Report({"a": stats_of(x[1:])})["a"].texts()["zero_fraction"] == "100.0%"


def test_a_row_knows_its_layer():
    report = watched(small_model())
    assert [row.after for row in report.rows] == ["0", "2", "5"]
    assert report["6"].after == "5"
    assert torch.tensor(report["6"].stats.unit_zeros).shape == (20,)
