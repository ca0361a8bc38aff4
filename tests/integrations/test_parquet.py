"""A stream as a folder of Parquet files, read as one table while it grows."""

import sys
import time

import pytest
import torch

import relustat
from relustat.report.columns import COLUMNS


@pytest.mark.integrations
def test_read_while_it_grows(tmp_path):
    import pandas

    path = tmp_path / "run.parquet"
    model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.LeakyReLU())
    with relustat.watch(model, activations="all") as watch:
        with watch.stream(path, seconds=0.1):
            model(torch.ones(4, 3))
            while not list(path.glob("*.parquet")):
                time.sleep(0.01)
            (path / ".relustat-0-1.draft").write_bytes(b"PAR1")  # one that is being written
            assert pandas.read_parquet(path)["calls"].tolist() == [1, 1]
            model(-torch.ones(4, 3))
        with watch.stream(path, seconds=0.1):
            model(-torch.ones(4, 3))
        report = watch.report()
    frame = pandas.read_parquet(path)
    assert frame["record"].tolist() == [0, 0, 1, 1, 2, 2]
    assert frame["calls"].tolist() == [1, 1, 2, 2, 3, 3]
    assert frame.dtypes["saturated"] == "float64"  # though all are unknown
    last = frame[frame["record"] == 2].set_index("call_site")
    expected = report.to_pandas()
    for name in set(COLUMNS) - {"call_site"}:
        pandas.testing.assert_series_equal(last[name], expected[name], check_dtype=False)
    assert sorted(each.name for each in path.glob("[!.]*")) == [
        *("00000000.parquet", "00000001.parquet", "00000002.parquet"),
    ]


@pytest.mark.integrations
def test_one_stream_a_folder_and_no_other_files(tmp_path, monkeypatch):
    import pandas

    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    model = torch.nn.ModuleDict({"a\ud800": torch.nn.ReLU()})
    with relustat.watch(model) as watch, watch.stream("run.parquet"):
        with relustat.watch(torch.nn.ReLU()) as other:
            rule = "run.parquet must be a file of its own, got one that another stream"
            with pytest.raises(ValueError, match=rule):
                other.stream("run.parquet")
        model["a\ud800"](torch.ones(4, 3))
        monkeypatch.chdir("elsewhere")
    frame = pandas.read_parquet(tmp_path / "run.parquet")
    assert frame["call_site"].tolist() == [r"a\ud800"]
    for name, content in (("00000007", [1]), ("²", [1]), ("mine", [1])):
        folder = tmp_path / f"{name}.parquet"
        folder.mkdir()
        pandas.DataFrame({"x": content}).to_parquet(folder / f"{name}.parquet")
        with relustat.watch(torch.nn.ReLU()) as watch:
            rule = f"must be a folder for this stream, got one with {name}.parquet"
            with pytest.raises(ValueError, match=rule):
                watch.stream(folder)
        assert [each.name for each in folder.iterdir()] == [f"{name}.parquet"]


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with relustat.watch(torch.nn.ReLU()) as watch:
        says = r"a stream as Parquet needs pyarrow.*pip install 'relustat\[parquet\]'"
        with pytest.raises(ImportError, match=says):
            watch.stream(tmp_path / "run.parquet")
    assert list(tmp_path.iterdir()) == []
