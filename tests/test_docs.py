"""The documentation leads to what it speaks of."""

import re

import pytest
from repository import ROOT

PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PROOFS = re.findall(
    r'^\[([\w-]+)\]: \.\./(tests/[\w/]+\.py) "(\w+)"$',
    (ROOT / "docs/compatibility.md").read_text(),
    re.MULTILINE,
)


@pytest.mark.parametrize(("label", "path", "test"), PROOFS, ids=[label for label, *_ in PROOFS])
def test_cells_lead_to_tests(label, path, test):
    assert f"def {test}(" in (ROOT / path).read_text()
    assert f"][{label}]" in (ROOT / "docs/compatibility.md").read_text()


def test_cells_are_proven():
    table = (ROOT / "docs/compatibility.md").read_text()
    named = set(re.findall(r"\]\[([\w-]+)\]", table))
    assert named == {label for label, *_ in PROOFS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_rooms_that_contributors_are_sent_to():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:relustat|csrc|tests|benchmarks|docs)/[\w./]+)`", page)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []
