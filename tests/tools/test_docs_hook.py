"""tools/docs_hook.py: links out of docs/ become text, or lead to the repository's page."""

import functools
from types import SimpleNamespace

import pytest
from docs_hook import on_post_build, path_outside, without_links_outside

WEB = "https://example.org/relustat/blob/main/"


def converted(page, markdown, web=""):
    return without_links_outside(markdown, functools.partial(path_outside, page), web)


@pytest.mark.parametrize(
    ("page", "target", "path"),
    [
        ("units.md", "../tests/test_a.py", "tests/test_a.py"),
        ("guides/a.md", "../../examples/x.py", "examples/x.py"),
        ("guides/a.md", "../units.md", None),
        ("units.md", "guides/a.md", None),
        ("units.md", "https://example.org/../x", None),
        ("units.md", "mailto:a@example.org", None),
    ],
)
def test_path_outside(page, target, path):
    assert path_outside(page, target) == path


@pytest.mark.parametrize(
    ("markdown", "text", "link"),
    [
        (
            "[`examples/x.py`](../examples/x.py)",
            "`examples/x.py`",
            f"[`examples/x.py`]({WEB}examples/x.py)",
        ),
        (
            '[tested](../tests/test_a.py "test_b")',
            "tested (`tests/test_a.py`)",
            f"[tested]({WEB}tests/test_a.py)",
        ),
        (
            "[files](../SECURITY.md#files)",
            "files (`SECURITY.md`)",
            f"[files]({WEB}SECURITY.md#files)",
        ),
        (
            '[counts][a] [b][c]\n\n[a]: ../tests/t.py "test_x"\n[c]: units.md "y"\n',
            '<span title="tests/t.py: test_x">counts</span> [b][c]\n\n[c]: units.md "y"\n',
            f'[counts][a] [b][c]\n\n[a]: {WEB}tests/t.py "test_x"\n[c]: units.md "y"\n',
        ),
    ],
)
def test_links_outside(markdown, text, link):
    assert converted("units.md", markdown) == text
    assert converted("units.md", markdown, WEB) == link


@pytest.mark.parametrize(
    "markdown",
    [
        "[units](units.md#units) and ![picture](gallery/a.png)",
        "```md\n[x](../README.md)\n```",
        "[D3](https://d3js.org)",
    ],
)
def test_all_else_stays(markdown):
    assert converted("looking.md", markdown) == markdown


@pytest.mark.parametrize(
    ("tag", "loads"),
    [
        ('<script src="https://example.org/a.js">', True),
        ('<link rel="stylesheet" href="//example.org/a.css">', True),
        ('<img alt="" src="http://example.org/a.png">', True),
        ('<a href="https://example.org">', False),
        ('<script src="assets/a.js">', False),
    ],
)
def test_what_a_page_loads(tmp_path, caplog, tag, loads):
    (tmp_path / "page.html").write_text(f"<html>{tag}</html>")
    on_post_build(SimpleNamespace(site_dir=str(tmp_path)))
    assert ("must load nothing from another host" in caplog.text) is loads
