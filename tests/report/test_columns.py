"""Columns have one name in the table, the data frame, CSV, JSON and the page."""

import csv
import io
import json
import re

import pytest
from reports import small_model, stats_of, watched
from torch import nn

from relustat import Report
from relustat.report.columns import COLUMNS, PRINTED, heading


@pytest.fixture(scope="module")
def report():
    # One of each kind, so that no column is empty.
    model = small_model()
    model.append(nn.ReLU6())
    model.append(nn.GELU())
    return watched(model, zero_blocks=4, activations="all")


def test_data_frames_and_files_have_all_columns(report):
    frame = report.to_pandas()
    assert [frame.index.name, *frame.columns] == list(COLUMNS)
    heads, *lines = csv.reader(io.StringIO(frame.to_csv()))
    assert heads == list(COLUMNS)
    assert [line[0] for line in lines] == list(report)
    rows = json.loads(json.dumps(report.to_dict()))["rows"]
    assert [list(row) for row in rows] == [list(COLUMNS)] * len(report)
    assert rows[0]["dead_now"] == report["1"].dead_now


def test_the_table_has_the_same_names(report):
    upper, lower, *_ = str(report).splitlines()
    words = " ".join((upper, lower)).split()
    expected = [word for name in PRINTED for word in heading(name).split()]
    assert sorted(words) == sorted(expected)


def test_the_page_has_the_same_names(report):
    shown = report._repr_html_()
    names = re.findall(r'<th scope="col" data-column="(\w+)"', shown)
    assert sorted(names) == sorted(PRINTED)
    assert re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', shown) == [
        heading(name) for name in names
    ]


def test_columns_in_which_nothing_is_known_are_left_out():
    report = Report({"a": stats_of([[1.0, -1.0]])})
    for shown in (str(report), report._repr_html_()):
        assert "after" not in shown
        assert "block" not in shown
