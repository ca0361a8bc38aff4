"""``relustat show`` of a stream: its last record that is whole."""

import json

import pytest
import torch

import relustat
from relustat.cli import main
from relustat.report import read_records


@pytest.fixture
def stream(tmp_path):
    path = tmp_path / "run.jsonl"
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.LeakyReLU())
    with relustat.watch(model, activations="all") as watch, watch.stream(path):
        model(torch.randn(16, 4))
    return path, watch.report()


def test_the_table_is_that_of_the_report(stream, capsys):
    path, report = stream
    main(["show", str(path)])
    *table, when = capsys.readouterr().out.splitlines()
    assert table == str(report).splitlines()[: len(table)]
    assert len(table) == 4
    ((first, _),) = read_records(path)
    assert when == f"  record 0 of {first['time']}"


def test_a_cut_record_is_left_out(stream, capsys):
    path, report = stream
    with path.open("a") as file:
        file.write(json.dumps({"record": 1, "call_sites": 2, "call_site": "1"}) + '\n{"rec')
    main(["show", str(path)])
    assert capsys.readouterr().out.startswith(str(report).split("\n", maxsplit=1)[0])


def test_parquet_is_read_by_others(tmp_path, capsys):
    (tmp_path / "run.parquet").mkdir()
    assert main(["show", str(tmp_path / "run.parquet")]) == 2
    assert "show: pandas.read_parquet reads a stream as Parquet, got" in capsys.readouterr().err


def test_nothing_yet(tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    path.touch()
    main(["show", str(path)])
    assert capsys.readouterr().out == f"{path}: no record yet\n"


@pytest.mark.parametrize(
    ("option", "value"), [("--units", "1"), ("--html", "a.html"), ("--npz", "a.npz")]
)
def test_what_a_stream_does_not_have(stream, option, value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["show", str(stream[0]), option, value]) == 2
    said = f"relustat: {option}: a stream has no counts of units, got {stream[0]}"
    assert said in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("dead", "many", "dead must be of type int, got 'many'"),
        ("dead", True, "dead must be of type int, got True"),
        pytest.param("median", 10**400, "median must be of type float, got 1000", id="large"),
        ("median", "x", "median must be of type float, got 'x'"),
        ("after", None, "after must be of type str, got None"),
    ],
)
def test_other_numbers(stream, name, value, rule, capsys):
    path, _ = stream
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1][name] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["show", str(path)]) == 2
    assert f"must be a stream ({rule}" in capsys.readouterr().err
