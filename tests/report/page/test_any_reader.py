"""A page on a phone, in the dark, on paper, without scripts, with odd names and many of them."""

import pytest
import torch
from browser import PHONE, names, opened
from reports import stats_of
from torch import nn

import relustat
from relustat import Report

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


def test_a_page_within_a_page_can_be_used(chromium, path, tmp_path):
    import html

    outer = tmp_path / "outer.html"
    outer.write_text(f'<iframe srcdoc="{html.escape(path.read_text())}"></iframe>')
    with opened(chromium, outer) as page:
        inner = page.frame_locator("iframe")
        inner.locator(".opener").last.press("Enter")
        assert inner.locator(".charts").count() == 1


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


def test_a_watch_that_saw_nothing(chromium, tmp_path):
    with relustat.watch(nn.Sequential(nn.ReLU())) as watch:
        pass
    watch.report().to_html(tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as page:
        assert "no ReLU was seen" in page.locator("main").inner_text()
        assert "0: never called" in page.locator("main").inner_text()
