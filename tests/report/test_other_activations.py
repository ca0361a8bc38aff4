"""Reports of activations that are no ReLUs: tables, files, pages, sums, comparisons, history."""

import json
import math

import pytest
import torch
from torch import nn

import relustat
from relustat import Activation, History, ReLUStats, Report
from relustat.report import merge_files


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU6(), nn.Linear(8, 8), nn.LeakyReLU(), nn.Linear(8, 8), nn.SiLU()
    )  # fmt: skip


def watched(network=None, scale=1.0, **options):
    network = network or model()
    with relustat.watch(network, activations="all", **options) as watch:
        for epoch in range(2):
            network(scale * torch.randn(50, 6))
            watch.snapshot(epoch)
    return watch.report()


@pytest.fixture(scope="module")
def report():
    return watched()


def test_the_table_says_what_is_computed(report):
    upper, lower, relu6, leaky, silu, *_ = str(report).splitlines()
    headings = lower.split()
    assert headings[:3] == ["site", "activation", "after"]
    assert {"inactive", "saturated"} <= set(headings)
    assert "zero" in upper
    assert relu6.split()[:3] == ["1", "ReLU6", "0"]
    assert relu6.count("%") == 4
    assert leaky.split()[:5] == ["3", "LeakyReLU", "2", "800", "-"]
    row = report["3"]
    assert math.isnan(row.zero_fraction)
    assert row.inactive == row.stats.inactive / 800
    assert math.isnan(row.saturated)
    assert silu.split()[1] == "SiLU"


def test_columns_that_say_nothing_new_are_left_out():
    relus = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
    shown = str(watched(relus))
    assert "activation" not in shown
    assert "inactive" not in shown
    leaky = str(watched(nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU())))
    assert "zero" not in leaky
    assert "inactive" in leaky
    assert "saturated" not in leaky


def test_files_keep_all(report, tmp_path):
    report.save(tmp_path / "report.npz")
    (tmp_path / "report.json").write_text(json.dumps(report.to_dict()))
    for loaded in (
        Report.load(tmp_path / "report.npz"),
        Report.from_dict(json.loads((tmp_path / "report.json").read_text())),
    ):
        assert loaded.stats == report.stats
        assert str(loaded) == str(report)
    stats = report["1"].stats
    stats.save(tmp_path / "stats.npz")
    assert ReLUStats.load(tmp_path / "stats.npz") == stats
    assert stats.unit_saturated.sum() == stats.saturated
    report.history.save(tmp_path / "history.npz")
    history = History.load(tmp_path / "history.npz")
    assert [span.stats for span in history.spans] == [span.stats for span in report.history.spans]


def test_infinite_knees_are_kept():
    activation = Activation("Hardtanh", -math.inf, math.inf)
    state = json.loads(json.dumps(activation.to_dict(), allow_nan=False))
    assert Activation.from_dict(state) == activation
    assert Activation.decoded(activation.encoded()) == activation


@pytest.mark.parametrize(
    "state",
    [
        {"name": "ReLU6"},
        {"name": 3, "lower": 0, "upper": None, "near_zero": None, "gives_zero": True},
        {"name": "X", "lower": None, "upper": None, "near_zero": None, "gives_zero": True},
        {"name": "X", "lower": 2, "upper": 1, "near_zero": None, "gives_zero": True},
        {"name": "X", "lower": 0, "upper": None, "near_zero": -1, "gives_zero": True},
        {"name": "X", "lower": "zero", "upper": None, "near_zero": None, "gives_zero": True},
        {"name": "X", "lower": 0, "upper": None, "near_zero": None, "gives_zero": 1},
    ],
)
def test_files_with_wrong_activations(report, state):
    stats = report["1"].stats.to_dict()
    with pytest.raises(ValueError, match="must be what to_dict"):
        ReLUStats.from_dict({**stats, "activation": state})


def test_files_whose_saturated_inputs_do_not_agree(report):
    stats = report["1"].stats.to_dict()
    (width,) = stats["widths"].values()
    with pytest.raises(ValueError, match="just if ReLU has an upper knee"):
        ReLUStats.from_dict({name: each for name, each in stats.items() if name != "activation"})
    for wrong in ([1], [-1] * 8, [width["elements"]] * 8):
        widths = {"8": {**width, "saturated": wrong}}
        with pytest.raises(ValueError, match="must be what to_dict"):
            ReLUStats.from_dict({**stats, "widths": widths})


def test_sums_and_differences(report, tmp_path):
    one, two = report["1"].stats, watched(scale=3.0)["1"].stats
    both = one + two
    assert both.saturated == one.saturated + two.saturated
    assert both - one == two
    assert both.activation == one.activation
    assert one.then(two) == both
    report.save(tmp_path / "a.npz")
    watched(scale=3.0).save(tmp_path / "b.npz")
    merged = merge_files([tmp_path / "a.npz", tmp_path / "b.npz"])
    assert merged.stats["1"].inactive == one.inactive + two.inactive


def test_what_does_not_add_up(report, tmp_path):
    hardtanh = watched(nn.Sequential(nn.Linear(6, 8), nn.Hardtanh()))
    one, other = report["1"].stats, hardtanh["1"].stats
    with pytest.raises(ValueError, match=r"only statistics of one activation add, got .*ReLU6"):
        one + other
    other_share = watched(near_zero=0.1)
    report.save(tmp_path / "a.npz")
    other_share.save(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="a call site must have one activation in all files"):
        merge_files([tmp_path / "a.npz", tmp_path / "b.npz"])
    history = History()
    history.add(0, {"a": one})
    with pytest.raises(ValueError, match="the bins and activation of a call site must stay"):
        history.add(1, {"a": other})


def test_comparisons(report):
    other = watched(scale=3.0)
    change = report.compare(other)["3"]
    assert change.zero_fraction == report["3"].inactive
    assert change.zero_fraction_change == other["3"].inactive - report["3"].inactive
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
    relu = Report({"3": watched(plain)["1"].stats})
    unlike = Report({"3": report["3"].stats}).compare(relu)["3"].unlike
    assert "the activations differ (LeakyReLU (inactive: input <= 0) and ReLU" in unlike


def test_units_that_are_inactive_or_saturated_throughout():
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU6(), nn.Linear(8, 8), nn.LeakyReLU())
    with torch.no_grad():
        network[0].weight[:3] = 0
        network[0].bias[:3] = torch.tensor([-1.0, 9.0, 9.0])
        network[2].weight.zero_()
        network[2].bias.copy_(torch.tensor([-1.0] + 7 * [9.0]))
    said = watched(network).warnings
    assert "1: 1 of 8 units gave only zeros in 2 calls" in said
    assert "1: all inputs of 2 of 8 units were saturated (input >= 6)" in said
    assert "3: 1 of 8 units were inactive throughout in 2 calls" in said
    assert not any(each.startswith("3: all inputs") for each in said)


def test_histories_pages_and_pictures(report, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    history = report.history
    assert history.trend("3", "inactive_fraction")[1].tolist() == [
        span.stats["3"].inactive_fraction for span in history.spans
    ]
    assert not math.isnan(history.trend("1", "saturated_fraction")[1][0])
    assert "inactive at start" in str(history)
    assert history.plot().axes
    figure = report.plot()
    assert "% inactive" in figure.axes[1].get_title()
    assert "% zero" in figure.axes[0].get_title()
    assert "input of the activation" in figure._supxlabel.get_text()
    report["3"].plot_units()
    report.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '"noun": "inactive inputs"' in page
    assert "LeakyReLU" in page


def test_reports_of_swapped_models():
    network = relustat.swap(model(), activations="all")
    network(torch.randn(5, 6))
    assert [row.activation for row in Report.of(network).rows] == ["ReLU6", "LeakyReLU", "SiLU"]
