"""The documentation leads to what it speaks of."""

import ast
import importlib
import pkgutil
import re

import pytest
from page_blocks import PAGES
from repository import ROOT

import relustat

ALL_PAGES = [*PAGES, *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG"))]
ROOMS = [
    room.name
    for room in pkgutil.iter_modules(relustat.__path__)
    if room.name[0] != "_" and room.name not in ("cli", "integrations")
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


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)", text):
        if not target.startswith("http"):
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def anchors(page):
    """What the headings of a page are reached by, in a repository browser and on the site."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_has_every_public_name(room):
    listed = names_in((ROOT / f"docs/api/{room}.md").read_text())
    assert sorted(listed) == sorted(importlib.import_module(f"relustat.{room}").__all__)


def test_the_reference_leads_to_every_name_of_relustat():
    page = (ROOT / "docs/api/index.md").read_text()
    assert set(re.findall(r"\[`(\w+)`\][\[(]", page)) == set(relustat.__all__)


def test_the_reference_has_every_adapter():
    files = sorted((ROOT / "relustat/integrations").glob("[!_]*.py"))
    assert files
    public = [name for file in files for name in public_names(file.read_text())]
    assert sorted(names_in((ROOT / "docs/api/integrations.md").read_text())) == sorted(public)


def names_in(page):
    return re.findall(r"^::: [\w.]+\.(\w+)$", page, re.MULTILINE)


def public_names(source):
    """``__all__`` of a file that may need a package which is not installed."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    raise AssertionError("must have __all__")


def test_every_page_is_in_the_navigation():
    settings = (ROOT / "mkdocs.yml").read_text()
    listed = re.findall(r"^ +- (?:[^:#\n]+: )?(\S+\.md)$", settings, re.MULTILINE)
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if page.name != "README.md"]
    assert sorted(listed) == sorted(pages)


def test_rooms_that_contributors_are_sent_to():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:relustat|csrc|tests|benchmarks|docs)/[\w./]+)`", page)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []
