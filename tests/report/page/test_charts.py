"""The charts of a page in a headless browser, beside the numbers of the report."""

import pytest
import torch
from browser import heights, opened
from reports import stats_of

import relustat
from relustat import Report


def test_a_call_site_is_opened_by_keyboard_and_drawn_then(chromium, report, path):
    with opened(chromium, path) as page:
        assert page.locator(".charts").count() == 0
        opener = page.get_by_role("button", name="6", exact=True)
        opener.focus()
        page.keyboard.press("Enter")
        assert opener.get_attribute("aria-expanded") == "true"
        detail = page.get_by_role("region", name="details of 6")
        titles = detail.locator("figure > figcaption").all_inner_texts()
        assert titles == [
            "Inputs",
            "How often units fire",
            "Units by share of zeros",
            "Dead now",
            "Inputs of each unit",
            "By epoch",
            "By group",
        ]
        rows = detail.locator(".units-list tbody tr").all_inner_texts()
        assert rows == [f"{unit}\tall 4 calls\tthe first" for unit in (3, 9)]
        label = detail.locator("svg[role=img]").nth(1).get_attribute("aria-label")
        assert label == "20 units, of which 2 never fired"
        page.keyboard.press("Enter")
        assert not detail.is_visible()


def test_the_histogram_is_that_of_the_report(chromium, path, report):
    with opened(chromium, path) as page:
        page.get_by_role("button", name="6", exact=True).click()
        linear = heights(page)
        from relustat.report.plots import drawn_slices

        _, counts = drawn_slices(report["6"].stats.histogram)
        assert len(linear) == len(counts)
        expected = counts / counts.max() * max(linear)
        assert max(abs(expected - linear)) < 0.1
        axis, scale = page.locator("fieldset").all()
        axis.get_by_label("log").check()
        filled = report["6"].stats.histogram.counts().nonzero()[0]
        assert len(heights(page)) == filled[-1] - filled[0] + 1
        scale.get_by_label("log").check()
        assert min(heights(page)) > 0


def test_each_unit_has_a_cell_with_its_numbers(chromium, path, report):
    with opened(chromium, path) as page:
        page.get_by_role("button", name="6", exact=True).click()
        strip = page.locator(".charts > figure:nth-child(3)")
        cells = strip.locator('g[aria-label="rect"] rect').all()
        assert len(cells) == 20
        stats = report["6"].stats
        for unit, cell in enumerate(cells):
            cell.hover(force=True)
            texts = strip.locator('g[aria-label="tip"] tspan').all_text_contents()
            name, share, *silent = [text.strip("\u200b") for text in texts]
            assert name == f"unit {unit}"
            if unit in (3, 9):
                assert (share, silent) == ("all zero", ["silent for 4 calls"])
            else:
                expected = 100 * stats.unit_zeros[unit] / stats.unit_elements[unit]
                assert float(share.removesuffix(" % zero")) == pytest.approx(expected, abs=0.051)
                assert silent == []


def test_units_can_be_listed_without_a_mouse(chromium, path):
    with opened(chromium, path) as page:
        page.get_by_role("button", name="6", exact=True).click()
        page.get_by_text("All units as a list").press("Enter")
        lines = page.locator(".all-units li").all_inner_texts()
        assert len(lines) == 20
        assert lines[9] == "unit 9, all zero, silent for 4 calls"


def test_numbers_of_units_are_whole(chromium, tmp_path):
    Report({"a": stats_of([[1.0, -1.0]])}).to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        page.locator(".opener").click()
        ticks = page.locator('.charts > figure:nth-child(2) g[aria-label="y-axis tick label"] text')
        assert ticks.all_text_contents() == ["0", "1"]


def test_bins_far_from_zero_fill_the_picture(chromium, tmp_path):
    x = torch.linspace(10000, 10001, 1000)
    stats = stats_of(x, relustat.LinearBins(10000, 10001, 100))
    Report({"a": stats}).to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        page.locator(".opener").click()
        assert len(heights(page)) == 100
        assert min(heights(page)) > 50


@pytest.mark.parametrize("bins", [relustat.LogBins(), relustat.LinearBins(-1, 1, 5), None])
def test_anything_can_be_drawn(chromium, tmp_path, bins):
    inputs = {
        "zeros": torch.zeros(4, 3),
        "nan": torch.full((4, 3), float("nan")),
        "inf": torch.full((4, 3), float("inf")),
        "large": torch.tensor([[1e30, -1e30, 3.0]]),
        "tiny": torch.tensor([[1e-30, -1e-30, 0.0]]),
        "one": torch.tensor(3.0),
        "below": torch.full((4, 3), -0.5),
        "above": torch.full((4, 3), 0.5),
        "many": torch.randn(2, 9000),
    }
    stats = {name: stats_of(x, bins) for name, x in inputs.items()}
    stats["two widths"] = stats["zeros"] + stats_of(torch.randn(4, 5), bins)
    turned = dict(zip(stats, reversed(stats.values()), strict=True))
    Report(stats).to_html(tmp_path / "page.html")
    Report(stats).to_html(tmp_path / "two.html", other=Report(turned))
    for name in ("page.html", "two.html"):
        with opened(chromium, tmp_path / name) as page:
            for opener in page.locator(".opener").all():
                opener.click()
            assert page.locator(".detail").count() == len(stats)
            drawn = page.locator(".charts svg").evaluate_all(
                "all => all.map((svg) => svg.outerHTML)"
            )
            assert len(drawn) > 2 * len(stats)
            assert not [svg for svg in drawn if "NaN" in svg or "Infinity" in svg]


def test_histograms_of_units_of_a_large_layer(chromium, tmp_path):
    relu = relustat.CountingReLU(unit_histograms=True)
    relu(torch.randn(8, 6000))
    Report({"a": relu.stats}).to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        page.locator(".opener").click()
        assert page.locator('.charts g[aria-label="raster"] image').count() == 1
