"""The table of a page in a headless browser, offline: sorting, filtering, opening, two reports."""

import torch
from browser import column, names, opened, sort
from reports import silence, small_model, stats_of, watched

from relustat import Report


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


def test_an_address_that_leads_nowhere_is_no_error(chromium, path):
    with opened(chromium, path) as page:
        page.evaluate("location.hash = '#50%'")
        page.reload()
        assert names(page) == ["1", "3", "6"]
        page.evaluate("location.hash = '#3'")
        page.get_by_role("region", name="details of 3").wait_for()


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
