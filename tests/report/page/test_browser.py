"""Opens pages in a headless browser, offline, and reads from them what people would."""

import pytest
import torch
from browser import browser, opened
from reports import silence, small_model, stats_of, watched
from torch import nn

import relustat
from relustat import Report

PHONE = {"viewport": {"width": 375, "height": 812}, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def report():
    model = small_model()
    silence(model[5], [3, 9])
    return watched(model, unit_histograms=True, epochs=2)


@pytest.fixture
def path(report, tmp_path):
    report.to_html(tmp_path / "page.html")
    return tmp_path / "page.html"


def names(page):
    """The call sites that are shown, in their order."""
    return page.locator("table.sites > tbody:visible .opener").all_inner_texts()


def column(page, name):
    return page.locator(f'table.sites > tbody:visible td[data-column="{name}"]').all_inner_texts()


def sort(page, heading):
    page.get_by_role("button", name=heading, exact=True).click()


def test_the_table_has_the_numbers_of_the_report(chromium, report, path):
    with opened(chromium, path) as page:
        assert names(page) == list(report)
        for name in ("elements", "zero_fraction", "dead", "dead_now", "median"):
            assert column(page, name) == [row.texts()[name] for row in report.rows]
        facts = page.locator(".summary").inner_text()
    elements = sum(row.elements for row in report.rows)
    zeros = sum(row.stats.zeros for row in report.rows)
    for text in ("3", f"{elements:,}", f"{zeros / elements:.1%}", "2 of 44", "2 of 20 units"):
        assert text in facts


def test_it_sorts_by_any_column(chromium, report, path):
    with opened(chromium, path) as page:
        for name in ("zero fraction", "elements", "min"):
            sort(page, name)
            field = name.replace(" ", "_")
            ordered = sorted(report.rows, key=lambda row: getattr(row, field), reverse=True)
            assert names(page) == [row.call_site for row in ordered]
            head = page.locator(f'th[data-column="{field}"]')
            assert head.get_attribute("aria-sort") == "descending"
            sort(page, name)
            assert names(page) == [row.call_site for row in reversed(ordered)]
            assert head.get_attribute("aria-sort") == "ascending"
        sort(page, "call site")
        assert names(page) == ["1", "3", "6"]
        sort(page, "call site")
        assert names(page) == ["6", "3", "1"]


def test_infinite_numbers_are_numbers(chromium, tmp_path):
    inputs = {"a": [2.0], "b": [1e30], "c": [5.0], "d": [-1e30]}
    Report({name: stats_of(x) for name, x in inputs.items()}).to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        sort(page, "p99")
        assert names(page) == ["b", "c", "a", "d"]


def test_what_is_not_known_is_last_whichever_way_it_is_sorted(chromium, tmp_path):
    report = Report(
        {"a": stats_of([1.0]), "none": stats_of([1.0], None), "b": stats_of([9.0])},
    )
    report.to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        sort(page, "max")
        assert names(page) == ["b", "a", "none"]
        sort(page, "max")
        assert names(page) == ["a", "b", "none"]


def test_it_filters_by_name_and_by_warning(chromium, report, path):
    with opened(chromium, path) as page:
        page.get_by_label("Filter by name").fill(" 3 ")
        assert names(page) == ["3"]
        assert page.locator("#shown").inner_text() == "1 of 3 call sites"
        page.get_by_label("Filter by name").fill("")
        page.get_by_label("Filter by warning").select_option(label="Dead units")
        assert names(page) == ["6"]
        # Where a warning leads, the filters are left.
        page.get_by_label("Filter by warning").select_option("")
        page.get_by_label("Filter by name").fill("1")
        page.locator(".findings a").first.click()
        assert names(page) == ["1", "3", "6"]
        assert page.locator(".detail").is_visible()


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


def heights(page):
    """The heights of the bars of the histogram, as drawn."""
    return page.locator('.charts figure:first-child g[aria-label="rect"] rect').evaluate_all(
        "bars => bars.map((bar) => Number(bar.getAttribute('height')))"
    )


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


def test_nans_are_what_is_worst(chromium, tmp_path):
    broken = torch.tensor([[1.0, float("nan")], [-1.0, float("nan")]])
    report = Report({"a": stats_of([[-1.0]]), "b": stats_of(broken), "c": stats_of(broken)})
    report.to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        worst = page.locator(".summary div").last.inner_text()
    assert worst == "worst\nb: 50.0% of the inputs are NaN, in 2 of 3 call sites"


def test_a_link_opens_a_call_site(chromium, path):
    with opened(chromium, path) as page:
        page.locator(".summary a").click()
        assert page.url.endswith("#6")
        linked = page.url
    with opened(chromium, path) as page:
        page.goto(linked)
        page.reload()
        assert page.get_by_role("region", name="details of 6").is_visible()


def test_a_page_within_a_page_can_be_used(chromium, path, tmp_path):
    import html

    outer = tmp_path / "outer.html"
    outer.write_text(f'<iframe srcdoc="{html.escape(path.read_text())}"></iframe>')
    with opened(chromium, outer) as page:
        inner = page.frame_locator("iframe")
        inner.locator(".opener").last.press("Enter")
        assert inner.locator(".charts").count() == 1


def test_an_address_that_leads_nowhere_is_no_error(chromium, path):
    with opened(chromium, path) as page:
        page.evaluate("location.hash = '#50%'")
        page.reload()
        assert names(page) == ["1", "3", "6"]
        page.evaluate("location.hash = '#3'")
        page.get_by_role("region", name="details of 3").wait_for()


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


def test_two_reports_side_by_side(chromium, report, tmp_path):
    model = small_model()
    silence(model[5], [3, 12, 13])
    other = watched(model)
    change = report.compare(other, ("before", "after"))
    report.to_html(tmp_path / "two.html", other=other, names=("before", "after"))
    with opened(chromium, tmp_path / "two.html") as page:
        assert names(page) == list(change)
        for name in ("zero_fraction", "other_zero_fraction", "died", "revived"):
            assert column(page, name) == [row.texts()[name] for row in change.rows]
        page.get_by_role("button", name="6", exact=True).click()
        assert page.locator(".changed").all_inner_texts() == ["12, 13", "9"]
        assert "filled: before; line: after" in page.locator(".detail").inner_text()
        page.get_by_label("Filter by change").select_option("died")
        assert names(page) == ["6"]


def test_sites_of_one_report_only_can_be_opened(chromium, tmp_path):
    one, two = (
        Report({"both": stats_of([1.0, -1.0]), name: stats_of([[1.0, -1.0]])})
        for name in ("mine", "theirs")
    )
    one.to_html(tmp_path / "two.html", other=two)
    with opened(chromium, tmp_path / "two.html") as page:
        assert page.locator(".in-one li").all_inner_texts() == [
            "mine: only in this",
            "theirs: only in other",
        ]
        page.get_by_role("button", name="theirs").click()
        assert page.get_by_role("region", name="details of theirs").is_visible()


STRANGE = [
    "<script>document.title = 'run'</script>",
    '"><img src=x onerror=document.title=1>',
    "</script><script>alert(1)</script>",
    "שכבה.relu",
    "a" * 300,
    "a.very." * 40 + "relu",
    "{{ 7 * 7 }}",
    "with 'quotes' \"and\" #hash",
]


def test_names_are_shown_and_not_run(chromium, tmp_path):
    Report({name: stats_of([[1.0, -1.0]]) for name in STRANGE}).to_html(tmp_path / "page.html")
    for options in ({}, PHONE):
        with opened(chromium, tmp_path / "page.html", **options) as page:
            assert names(page) == STRANGE
            assert page.title() == "What the ReLUs did"
            for opener in page.locator(".opener").all():
                opener.click()
            assert page.locator(".detail").count() == len(STRANGE)
            assert page.locator("img").count() == 0
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.viewport_size["width"]


def test_a_phone_shows_the_columns_that_matter(chromium, path):
    with opened(chromium, path, **PHONE) as page:
        page.get_by_role("button", name="6", exact=True).click()
        shown = page.locator("table.sites > thead th:visible").all_inner_texts()
        assert shown == ["call site", "histogram", "zero fraction", "dead", "dead now"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        # All of the table is in view, and of the charts.
        for box in page.locator("table.sites, .charts > figure").all():
            assert box.bounding_box()["x"] + box.bounding_box()["width"] <= 375


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(chromium, path, scheme):
    contrast = """element => {
      const luminance = (text) => {
        const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
        const [r, g, b] = parts.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const grounds = (each) => [getComputedStyle(each).backgroundColor,
        ...(each.parentElement ? grounds(each.parentElement) : [])];
      const ground = grounds(element).find((color) => !/, 0\\)$/.test(color));
      const [a, b] = [getComputedStyle(element).color, ground].map(luminance).sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    }"""
    with opened(chromium, path, color_scheme=scheme) as page:
        page.get_by_role("button", name="6", exact=True).click()
        for selector in ("h1", ".summary dt", ".opener", ".flag", ".warning", ".hint", ".words dd"):
            # WCAG's AA for text.
            assert page.locator(selector).first.evaluate(contrast) >= 4.5, selector


def test_without_scripts_the_table_can_be_read(chromium, report, path):
    with opened(chromium, path, java_script_enabled=False) as page:
        shown = page.locator("table.sites").inner_text()
        for row in report.rows:
            assert row.texts()["zero_fraction"] in shown
        assert not page.locator(".controls").is_visible()


def test_a_printed_page_has_the_table_and_what_is_open(chromium, path):
    with opened(chromium, path) as page:
        page.get_by_role("button", name="6", exact=True).click()
        page.emulate_media(media="print")
        assert not page.locator(".controls").is_visible()
        assert page.locator("table.sites").is_visible()
        assert page.locator(".charts").is_visible()
        assert page.pdf().startswith(b"%PDF")


def test_5000_call_sites_can_be_sorted_and_opened(chromium, tmp_path):
    torch.manual_seed(0)
    several = [stats_of(torch.randn(4, 3)) for _ in range(7)]
    stats = {f"block{index}.relu": several[index % 7] for index in range(5000)}
    Report(stats).to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        page.locator('th[data-column="zero_fraction"] button').click()
        page.locator("#filter-name").fill("block4999")
        assert names(page) == ["block4999.relu"]
        page.locator(".opener:visible").click()
        assert page.locator(".charts > figure").count() == 4


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


def test_a_watch_that_saw_nothing(chromium, tmp_path):
    with relustat.watch(nn.Sequential(nn.ReLU())) as watch:
        pass
    watch.report().to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        assert "no ReLU was seen" in page.locator("main").inner_text()
        assert "0: never called" in page.locator("main").inner_text()
