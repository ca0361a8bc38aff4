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


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with relustat.watch(torch.nn.ReLU()) as watch:
        says = r"a stream as Parquet needs pyarrow.*pip install 'relustat\[parquet\]'"
        with pytest.raises(ImportError, match=says):
            watch.stream(tmp_path / "run.parquet")
    assert list(tmp_path.iterdir()) == []
