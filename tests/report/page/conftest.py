"""A browser, and a page to open in it."""

import pytest
from browser import browser
from reports import silence, small_model, watched


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
