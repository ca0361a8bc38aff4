import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import relustat
from relustat import Counters, EdgeBins, LinearBins, LogBins, Report
from relustat._optional import import_optional
from relustat.functional import counting_relu, relu_stats
from relustat.report.sparkline import sparkline


def stats_of(x, bins=LogBins()):
    return relu_stats(torch.as_tensor(x), bins)[1]


@pytest.fixture
def report():
    torch.manual_seed(0)
    x = torch.randn(50, 6)
    x[:, 2] = -1
    x[:, 4] = 0.5
    return Report({"conv1": stats_of(x), "block.relu_1": stats_of(torch.randn(9, 3, 4, 4))})


def test_rows_are_in_order_and_exact(report):
    first, second = report.rows
    assert (first.call_site, second.call_site) == ("conv1", "block.relu_1")
    stats = report.stats["conv1"]
    assert first.elements == 300
    assert first.calls == 1
    assert first.zero_fraction == stats.zeros / 300
    assert (first.units, first.dead, first.always_on) == (6, 1, 1)
    assert first.death_rate == 1 / 6
    assert first.median == stats.quantile(0.5)
    assert (first.min, first.max) == stats.histogram.range


def test_printed_table(report):
    lines = str(report).splitlines()
    assert lines[0].split() == ["call", "zero", "dead", "always", "death"]
    assert lines[1].split() == [
        *("site", "elements", "fraction", "dead", "now", "on", "rate"),
        *("min", "median", "p99", "max", "histogram"),
    ]
    assert lines[2].startswith("conv1")
    assert f"{report.rows[0].zero_fraction:.1%}" in lines[2]
    assert " 1/6 " in lines[2]
    assert lines[4] == "! conv1: 1 of 6 units gave only zeros in 1 call"
    assert len(lines) == 5
    # Columns stand below one another.
    assert (
        len({line.index(row.histogram) for line, row in zip(lines[2:4], report.rows, strict=True)})
        == 1
    )
    assert repr(report) == "<Report of 2 call sites; print() shows it>"


def test_numbers_are_short_and_plain():
    x = torch.tensor([[-7200.0, -0.0046, 12.4, 3e8]])
    texts = Report({"a": stats_of(x, EdgeBins([-7200, -0.0046, 12.4, 3e8]))})["a"].texts()
    bounds = [texts[name] for name in ("min", "median", "p99", "max")]
    assert bounds == ["-7200", "12", "2.9e+08", "3e+08"]


def after(*calls):
    """The statistics of calls of two samples; each is a list of the units that fire."""
    counters = Counters(bins=None)
    for fires in calls:
        counting_relu(torch.tensor([fires, fires]) - 0.5, counters)
    return counters.stats


def test_units_that_died_are_not_hidden_by_their_first_call():
    report = Report({"a": after([1, 1, 0], *[[0, 0, 0]] * 999)})
    assert (report.rows[0].dead, report.rows[0].dead_now) == (1, 3)
    assert report.warnings == [
        "a: 1 of 3 units gave only zeros in 1000 calls",
        "a: 2 of 3 units gave only zeros in the last 999 calls, since call 1",
        "a: on average, a unit gave only zeros in 99.9% of the calls (death rate)",
    ]
    _, headings, row, *_ = str(report).splitlines()
    assert row[: headings.index("now") + len("now")].split()[-1] == "3"


def test_units_that_died_one_after_the_other():
    stats = after([1, 1, 1], [0, 1, 1], [0, 0, 1], *[[0, 0, 1]] * 100)
    assert Report({"a": stats}).warnings == [
        "a: 2 of 3 units gave only zeros in the last 101 to 102 calls, since call 1 to 2",
        "a: on average, a unit gave only zeros in 65.7% of the calls (death rate)",
    ]
    both = stats + after(*[[1, 1, 1]] * 200, *[[0, 1, 1]] * 150)
    assert Report({"a": both}).warnings == [
        "a: 1 of 3 units gave only zeros in the last 102 calls of each of 2 parts"
    ]


def test_units_that_pause_are_not_dead():
    stats = after(*[[1, 1, 1], *[[0, 1, 1]] * 99] * 2)
    assert Report({"a": stats}).warnings == []
    assert Report({"a": stats}).rows[0].dead_now == 0


def test_a_single_element_of_a_unit_in_a_call_does_not_die():
    counters = Counters(bins=None)
    for sign in (1.0, -1.0, -1.0):
        counting_relu(torch.full((1, 3), sign), counters)
    assert counters.stats.death_rate > 0.5
    assert Report({"a": counters.stats}).warnings == []


def test_units_of_several_widths_die_apart():
    counters = Counters(bins=None)
    for units, calls in [(2, [1.0, *[-1.0] * 120]), (3, [1.0, 1.0, -1.0])]:
        for value in calls:
            counting_relu(torch.full((2, units), value), counters)
    assert Report({"a": counters.stats}).warnings[0] == (
        "a: 2 of 2 units gave only zeros in the last 120 calls of that width, since call 1"
    )


def test_warnings():
    x = torch.tensor([[1.0, float("nan"), -9.0, 9.0]])
    report = Report({"a": stats_of(x, LinearBins(-1, 1, 2))}, ["b: never called"])
    assert report.warnings == [
        "a: 1 of 4 units gave only zeros in 1 call",
        "a: 1 of 4 inputs were NaN",
        "a: 50.0% of the inputs lay outside the bins, which reach from -1 to 1",
        "b: never called",
    ]
    assert str(Report({})) == "! no ReLU was seen"


def test_zeros_only_has_no_range():
    report = Report({"a": stats_of(torch.randn(4, 3), None)})
    row = report.rows[0]
    assert np.isnan([row.min, row.median, row.p99, row.max]).all()
    assert row.histogram == ""
    assert str(report).splitlines()[2].split()[-4:] == ["-"] * 4


def test_dict_is_json_and_complete(report):
    document = json.loads(json.dumps(report.to_dict()))
    assert list(document["call_sites"]) == ["conv1", "block.relu_1"]
    assert relustat.ReLUStats.from_dict(document["call_sites"]["conv1"]) == report.stats["conv1"]
    assert document["warnings"] == report.warnings


def test_pandas(report):
    frame = report.to_pandas()
    assert list(frame.index) == ["conv1", "block.relu_1"]
    assert frame.loc["conv1", "dead"] == 1
    assert frame["elements"].tolist() == [300, 432]


def test_save_and_load(report, tmp_path):
    report.save(tmp_path / "report.npz")
    loaded = Report.load(tmp_path / "report.npz")
    assert loaded.stats == report.stats
    assert list(loaded.stats) == list(report.stats)
    assert str(loaded) == str(report)


def test_rich(report):
    from rich.console import Console

    file = io.StringIO()
    Console(width=100, file=file).print(report)
    text = file.getvalue()
    for line in str(report).splitlines():
        for word in line.split():
            assert word in text


def test_plot_has_a_panel_for_each_site(report):
    figure = report.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        f"{row.call_site}: {100 * row.zero_fraction:.1f} % zero" for row in report.rows
    ]
    for axes, stats in zip(figure.axes, report.stats.values(), strict=True):
        low, high = axes.get_xlim()
        assert stats.quantile(0.01) > low
        assert stats.quantile(0.99) < high


@pytest.mark.parametrize("bins", [LinearBins(-3, 3, 200), LogBins(), EdgeBins([-9, 0, 1, 9]), None])
@pytest.mark.parametrize(
    "x",
    [
        torch.randn(100, 3),
        torch.zeros(4, 3),
        torch.full((4, 3), 0.7),
        torch.full((4, 3), 1e30),
        torch.full((4, 3), float("nan")),
        torch.tensor([[1e-30, -1e-30, 0.0]]),
    ],
    ids=["normal", "zeros", "equal", "outside", "nan", "tiny"],
)
def test_anything_prints_and_plots(bins, x, tmp_path):
    report = Report({"a": stats_of(x, bins)})
    assert "a" in str(report)
    report.plot().savefig(tmp_path / "figure.png")
    Report({}).plot().savefig(tmp_path / "empty.png")


def test_sparkline():
    histogram = stats_of(torch.linspace(0, 1, 10001), LinearBins(0, 1, 100)).histogram
    assert sparkline(histogram, 4) == "████"
    x = torch.cat([torch.full((1000,), 0.05), torch.full((2000,), 0.95)])
    two = stats_of(x, LinearBins(0, 1, 10)).histogram
    assert sparkline(two, 10)[0] == "▄"
    assert sparkline(two, 10)[-1] == "█"
    assert set(sparkline(two, 10)[1:-1]) == {" "}


def test_a_missing_extra_says_what_to_install(report, monkeypatch):
    for module, extra in [("pandas", "pandas"), ("matplotlib.figure", "plot")]:
        monkeypatch.setitem(sys.modules, module, None)
        package = module.split(".")[0]
        action = report.to_pandas if package == "pandas" else report.plot
        with pytest.raises(
            ImportError, match=rf"needs {package}.*pip install 'relustat\[{extra}\]'"
        ):
            action()
    with pytest.raises(ImportError, match=r"a thing needs nosuch"):
        import_optional("nosuch", "x", "a thing")


def test_import_needs_torch_and_numpy_only():
    code = (
        "import sys; [sys.modules.__setitem__(name, None) for name in"
        " ('rich', 'matplotlib', 'pandas', 'sklearn', 'PIL', 'boost_histogram', 'uhi')];"
        "import torch, relustat;"
        "model = torch.nn.Sequential(torch.nn.ReLU());"
        "watch = relustat.watch(model); model(torch.ones(2, 3)); print(watch.report())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[2].split()[:3] == ["0", "6", "0.0%"]


def test_notebooks_show_the_table(report):
    shown = report._repr_html_()
    assert shown.count("<tbody") == 2
    assert f">{report['conv1'].zero_fraction:.1%}</td>" in shown
    assert "<script" not in shown
    assert "&lt;b&gt;" in Report({"<b>": report.stats["conv1"]})._repr_html_()


def test_units_of_all_widths_are_counted():
    relu = nn.Sequential(nn.ReLU())
    with relustat.watch(relu) as watch:
        relu(torch.ones(2, 3))
        relu(-torch.ones(2, 5))
    (row,) = watch.report().rows
    assert (row.units, row.dead, row.always_on) == (8, 5, 3)
