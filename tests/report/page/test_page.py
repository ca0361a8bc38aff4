"""What a page holds, read as text; the files beside this one open it."""

import json
import re
import sys

import pytest
import torch
from reports import silence, small_model, stats_of, watched
from torch import nn

import relustat
from relustat import LinearBins, LogBins, Report
from relustat.history import History


def layers_of(path):
    """What a page holds of each call site."""
    found = re.findall(
        r'<script type="application/json" class="layer" data-name="([^"]*)">(.*?)</script>',
        path.read_text(),
        re.DOTALL,
    )
    return [json.loads(text) for _, text in found]


@pytest.fixture(scope="module")
def report():
    model = small_model()
    silence(model[5], [3, 9])
    return watched(model, unit_histograms=True)


def test_counts_of_a_call_site_are_exact(report, tmp_path):
    report.to_html(tmp_path / "page.html")
    layers = layers_of(tmp_path / "page.html")
    assert [layer["name"] for layer in layers] == list(report)
    bins = json.loads(
        re.search(r'id="bins">(.*?)</script>', (tmp_path / "page.html").read_text())[1]
    )
    assert len(bins) == 1
    for layer, row in zip(layers, report.rows, strict=True):
        (side,) = layer["sides"]
        histogram = row.stats.histogram
        counts = [0] * len(histogram.bins)
        first = side["histogram"]["first"]
        counts[first : first + len(side["histogram"]["counts"])] = side["histogram"]["counts"]
        assert counts == histogram.counts().tolist()
        (units,) = side["widths"]
        assert units["units"] == row.units
        assert units["dead"] == row.stats.dead_units.tolist()
        assert units["silent_for"] == [row.calls] * row.dead
        assert units["frequency"]["never"] == row.dead
        assert sum(units["frequency"]["counts"]) == row.units - row.dead
        shares = row.stats.unit_zeros / row.stats.unit_elements
        assert abs(torch.tensor(units["zeros"]) / 1000 - torch.tensor(shares)).max() <= 0.001
        assert [group["name"] for group in side["groups"]] == ["cat", "dog"]
    assert layers[-1]["sides"][0]["widths"][0]["dead"] == [3, 9]


def test_only_what_is_all_zero_is_shown_as_such(tmp_path):
    x = torch.full((10_000, 4), -1.0)
    x[0, 1] = 1  # 9,999 of 10,000 are zero
    x[:, 2] = 1
    x[:-1, 3] = 1  # one is
    Report({"a": stats_of(x)}).to_html(tmp_path / "page.html")
    (layer,) = layers_of(tmp_path / "page.html")
    assert layer["sides"][0]["widths"][0]["zeros"] == [1000, 999, 0, 1]


def test_it_says_since_when_units_are_dead(tmp_path):
    model = small_model()

    def between(model, epoch):
        if epoch == 2:
            silence(model[5], [4, 11])

    watched(model, epochs=4, between=between).to_html(tmp_path / "page.html")
    (side,) = layers_of(tmp_path / "page.html")[-1]["sides"]
    (units,) = side["widths"]
    # Two calls in each epoch; over all calls of fewer than 100 the units fired, so they are listed
    # by the history alone.
    assert side["history"]["epochs"] == [0, 1, 2, 3]
    assert side["history"]["dead"] == [0, 0, 2, 2]
    assert side["history"]["deaths"] == [0, 0, 2, 0]
    assert units["dead"] == []


def test_units_that_died_have_their_epoch(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    nn.init.constant_(model[0].bias, 2.0)
    with relustat.watch(model) as watch:
        for epoch in range(3):
            if epoch == 1:
                silence(model[0], [2])
            for _ in range(80):
                model(torch.randn(8, 3))
            watch.snapshot(epoch)
        watch.report().to_html(tmp_path / "page.html")
    (layer,) = layers_of(tmp_path / "page.html")
    (units,) = layer["sides"][0]["widths"]
    assert (units["dead"], units["silent_for"], units["silent_since"]) == ([2], [160], ["1"])


def test_it_tells_since_which_epochs_units_are_dead(tmp_path):
    """Units 0 to 3 die before epoch 0, in 7, within the last epoch, and in 3 and 9 again."""
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    torch.manual_seed(0)

    def bias(*values):
        with torch.no_grad():
            model[0].weight.zero_()
            model[0].bias.copy_(torch.tensor(values))

    with relustat.watch(model) as watch:
        watch.history = History(limit=4)
        for epoch in range(12):
            for call in range(100):
                second = 1.0 if epoch < 7 else -1.0
                third = 1.0 if (epoch, call) < (11, 0) or call == 0 else -1.0
                fourth = 1.0 if epoch in (0, 1, 2, 6, 7, 8) else -1.0
                bias(-1.0, second, third, fourth, 1.0)
                model(torch.randn(2, 3))
            watch.snapshot(epoch)
        model(torch.randn(2, 3))
        watch.report().to_html(tmp_path / "page.html")
    (layer,) = layers_of(tmp_path / "page.html")
    (units,) = layer["sides"][0]["widths"]
    spans = [(span.first, span.last) for span in watch.history.spans]
    seventh = next(f"{first} to {last}" for first, last in spans if first <= 7 <= last)
    ninth = next((first, last) for first, last in spans if first <= 9 <= last)
    ninth = f"{ninth[0]}" if ninth[0] == ninth[1] else f"{ninth[0]} to {ninth[1]}"
    assert units["dead"] == [0, 1, 2, 3]
    assert units["silent_since"] == ["the first", seventh, "the last", ninth]
    assert units["silent_for"] == [1201, 501, 100, 301]


def test_a_report_does_not_change_with_its_watch():
    model = nn.ReLU()
    with relustat.watch(model) as watch:
        model(torch.randn(4, 3))
        watch.snapshot(0)
        report = watch.report()
        watch.snapshot(1)
    assert (len(report.history), len(watch.history)) == (1, 2)


def test_names_are_shown_and_not_run(tmp_path):
    names = [
        "<script>document.title = 'run'</script>",
        '"><img src=x onerror=alert(1)>',
        "</script><script>alert(1)</script>",
        "שכבה.relu",
        "a" * 300,
        "{{ 7 * 7 }}",
        "\u202eright to left",
        "lone \ud800 surrogate",
    ]
    Report({name: stats_of([[1.0, -1.0]]) for name in names}).to_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<script>document.title" not in text
    assert "<img" not in text
    assert "</script><script>alert" not in text
    assert '<bdi class="name">{{ 7 * 7 }}</bdi>' in text
    shown = [*names[:-2], r"\u202eright to left", r"lone \ud800 surrogate"]
    assert [layer["name"] for layer in layers_of(tmp_path / "page.html")] == shown


def test_a_resnet_50_has_less_than_2_mb(tmp_path):
    widths = [64, *[64, 64, 256] * 3, *[128, 128, 512] * 4, *[256, 256, 1024] * 6]
    widths += [512, 512, 2048] * 3
    torch.manual_seed(0)
    stats = {
        f"layer{index}.relu": relustat.functional.relu_stats(torch.randn(64, width))[1]
        for index, width in enumerate(widths)
    }
    assert len(stats) == 49
    report = Report(stats)
    report.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    report.to_html(tmp_path / "two.html", other=report)
    assert (tmp_path / "two.html").stat().st_size < 2_000_000


def test_each_kind_of_warning_is_explained(tmp_path):
    given = [
        "a: not counted, its input was complex",
        "2 GELU, not counted: try activations='all'",
        "1 call site, not counted: left out by only or skip (b)",
        "c: never called",
        "d: something else",
    ]
    for stats in ({}, {"x": stats_of(torch.tensor([[float("nan"), -9.0]]), LinearBins(-1, 1, 2))}):
        report = Report(stats, given)
        report.to_html(tmp_path / "page.html")
        text = (tmp_path / "page.html").read_text()
        for title in ("Not counted", "Other activations", "Left out", "Never called", "Other"):
            assert f"<summary>{title} <span" in text
    assert [finding.kind for finding in report.findings] == [
        *("dead", "nan", "outside the bins"),
        *("not counted", "other activation", "left out", "never called", "other"),
    ]
    assert [finding.kind for finding in Report({}).findings] == ["nothing"]
    Report({}).to_html(tmp_path / "page.html")


def test_many_units_share_cells(tmp_path):
    x = torch.randn(4, 100_000)
    x[:, ::2] = -1
    Report({"a": stats_of(x)}).to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 700_000
    (layer,) = layers_of(tmp_path / "page.html")
    (units,) = layer["sides"][0]["widths"]
    assert (units["units"], units["in_cell"], len(units["zeros"])) == (100_000, 25, 4000)
    assert len(units["dead"]) == 1000
    assert units["marked"] == list(range(4000))
    assert units["dead_left_out"] == Report({"a": stats_of(x)})["a"].dead - 1000
    assert units["frequency"]["never"] == Report({"a": stats_of(x)})["a"].dead


@pytest.mark.parametrize("bins", [LogBins(), LinearBins(-1, 1, 5), None])
@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(4, 3),
        torch.full((4, 3), float("nan")),
        torch.full((4, 3), float("inf")),
        torch.full((4, 3), 1e30),
        torch.tensor([[1e-30, -1e-30, 0.0]]),
        torch.tensor(3.0),
    ],
    ids=["zeros", "nan", "inf", "large", "tiny", "one"],
)
def test_anything_makes_a_page_of_valid_json(x, bins, tmp_path):
    report = Report({"a": stats_of(x, bins)})
    report.to_html(tmp_path / "page.html")
    report.to_html(tmp_path / "two.html", other=Report({"a": stats_of(torch.randn(4, 3))}))
    for name in ("page.html", "two.html"):
        (layer,) = layers_of(tmp_path / name)
        json.dumps(layer, allow_nan=False)
        assert "NaN" not in json.dumps(layer["sides"][0]["widths"])


def test_two_reports(report, tmp_path):
    model = small_model()
    silence(model[5], [3, 12])
    other = watched(model)
    report.to_html(tmp_path / "two.html", other=other, names=("before", "after"))
    (last,) = (layer for layer in layers_of(tmp_path / "two.html") if layer["name"] == "6")
    assert [side["label"] for side in last["sides"]] == ["before", "after"]
    assert last["changes"] == [
        {"what": "died", "of": 20, "units": [12], "left_out": 0},
        {"what": "revived", "of": 20, "units": [9], "left_out": 0},
    ]
    report.compare(other, ("before", "after")).to_html(tmp_path / "same.html")
    assert (tmp_path / "same.html").read_text() == (tmp_path / "two.html").read_text()


def test_models_with_nothing_in_common_make_a_page(tmp_path):
    one, two = Report({"a": stats_of([1.0])}), Report({"b": stats_of([1.0], None)})
    one.to_html(tmp_path / "two.html", other=two)
    text = (tmp_path / "two.html").read_text()
    assert "no call site is in both reports" in text
    assert [layer["name"] for layer in layers_of(tmp_path / "two.html")] == ["a", "b"]
    Report({}).to_html(tmp_path / "empty.html")
    assert "no ReLU was seen" in (tmp_path / "empty.html").read_text()
    Report({}).to_html(tmp_path / "empty.html", other=Report({}))


def test_nothing_is_half_written(report, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none" / "page.html"))):
        report.to_html(tmp_path / "none" / "page.html")
    with pytest.raises(IsADirectoryError):
        report.to_html(tmp_path)
    (tmp_path / "page.html").write_text("before")
    with pytest.raises(TypeError, match="compare: other must be a Report, got int"):
        report.to_html(tmp_path / "page.html", other=3)
    monkeypatch.setattr(Report, "rows", property(lambda _: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        report.to_html(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "before"


def test_loops_are_folded_as_in_the_table(tmp_path):
    class Loop(nn.Module):
        def forward(self, x):
            for _ in range(20):
                x = torch.relu(x - 0.1)
            return x

    model = Loop()
    with relustat.watch(model) as watch:
        model(torch.randn(4, 3))
    watch.report().to_html(tmp_path / "page.html")
    assert [layer["name"] for layer in layers_of(tmp_path / "page.html")] == ["relu (20 calls)"]


def test_the_libraries_come_with_their_licences(report, tmp_path):
    report.to_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    for holder in ("Mike Bostock", "Observable, Inc."):
        assert f"Copyright 20{text.split(holder)[0].rsplit('Copyright 20', 1)[1]}{holder}" in text
    assert text.count("Permission to use, copy, modify, and/or distribute this software") == 2


def test_a_missing_extra_says_what_to_install(report, monkeypatch, tmp_path):
    from relustat.report.page import page

    page._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"a page needs jinja2.*pip install 'relustat\[html\]'"):
        report.to_html(tmp_path / "page.html")
    # A notebook then shows what is printed.
    for shown in (report, report.compare(report)):
        assert shown._repr_html_().startswith("<pre>call")
    assert list(tmp_path.iterdir()) == []
