"""A headless browser without a network, for tests of pages."""

import contextlib
import os
import shutil

import pytest
from optional import needs

PHONE = {"viewport": {"width": 375, "height": 812}, "device_scale_factor": 2}


@contextlib.contextmanager
def browser():
    """Chromium by Playwright; skips the test if one is missing, and never in CI."""
    playwright = needs("playwright.sync_api")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if binary is None:
        reason = "needs Chromium, which is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            raise RuntimeError(f"{reason}: in CI no test is skipped for that")
        pytest.skip(reason)
    with playwright.sync_playwright() as driver:
        # Its profile is a temporary folder. As root, it runs without a sandbox only.
        started = driver.chromium.launch(
            executable_path=binary,
            args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
        )
        try:
            yield started
        finally:
            started.close()


@contextlib.contextmanager
def opened(started, path, **options):
    """A page of a file, offline; fails if it logged anything or asked for another file."""
    context = started.new_context(offline=True, **options)
    try:
        context.set_default_timeout(60_000)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        yield page
        assert complaints == []
        asked = {url for url in requests if not url.startswith("data:")}
        assert {url.split("#")[0] for url in asked} == {path.as_uri()}
    finally:
        context.close()


def names(page):
    """The call sites that are shown, in their order."""
    return page.locator("table.sites > tbody:visible .opener").all_inner_texts()


def column(page, name):
    return page.locator(f'table.sites > tbody:visible td[data-column="{name}"]').all_inner_texts()


def sort(page, heading):
    page.get_by_role("button", name=heading, exact=True).click()


def heights(page):
    """The heights of the bars of the histogram, as drawn."""
    return page.locator('.charts figure:first-child g[aria-label="rect"] rect').evaluate_all(
        "bars => bars.map((bar) => Number(bar.getAttribute('height')))"
    )
