"""Calls of one position that is reached repeatedly: apart, together, and folded."""

import sys

import pytest
import torch
import torch.nn.functional as F
from skipping_models import names_of
from torch import nn

import relustat

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 does not say where in a line a call is"
)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x, steps):
        for _ in range(steps):
            x = self.cell(x)
        return x


def test_repeated_calls_apart_and_together():
    x = torch.randn(2, 4)
    model = Recurrent()
    with relustat.watch(model) as watch:
        for steps in (3, 12):
            model(x, steps)
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "cell.1": 2,
        **{f"cell.1_{n}": 2 if n < 3 else 1 for n in range(1, 12)},
    }
    apart = watch.report()
    assert len(apart.rows) == 12
    _, _, row, *_ = str(apart).splitlines()
    assert row.split()[:5] == ["cell.1", "(12", "calls)", "0", "120"]
    assert list(apart.by_module().stats) == ["cell.1"]
    with relustat.watch(model, repeats="together") as watch:
        for steps in (3, 12):
            model(x, steps)
    (stats,) = watch.stats.values()
    assert list(watch.stats) == ["cell.1"]
    assert stats == apart.by_module().stats["cell.1"]


def test_ten_calls_are_ten_rows(tmp_path):
    model = Recurrent()
    with relustat.watch(model, bins=relustat.LinearBins(-1, 1, 4)) as watch:
        model(torch.randn(2, 4), 10)
    report = watch.report()
    assert len([line for line in str(report).splitlines() if line.startswith("cell")]) == 10
    report.save(tmp_path / "report.npz")
    loaded = relustat.Report.load(tmp_path / "report.npz")
    assert loaded.call_sites == report.call_sites
    assert str(loaded) == str(report)


def test_what_is_said_of_units_and_layers_is_kept(tmp_path):
    class Skipping(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x, skipped):
            return F.relu(F.relu(x if skipped else self.linear(x)) - 1)

    model = Skipping()
    files = [tmp_path / "0.npz", tmp_path / "1.npz"]
    for file, skipped in zip(files, (False, True), strict=True):
        report = names_of(model, skipped).report()
        report.save(file)
    assert report.notes == ["relu, relu_1: units: last dimension (assumed)"]
    assert report.by_module().notes == ["(model): units: last dimension (assumed)"]
    assert list(report.by_module().stats) == ["(model)"]
    for order in (files, files[::-1]):
        merged = relustat.report.merge_files(order)
        assert merged.notes == report.notes
        assert merged.call_sites["relu"].after == ("linear",)
