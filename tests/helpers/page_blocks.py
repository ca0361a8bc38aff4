"""The Python blocks of a Markdown page."""

import re

from repository import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A comment says that a block cannot run here, and why, or that it needs the block before it.
_BLOCK = re.compile(r"^(?:<!-- (.+) -->\n)?```python\n((?:.*\n)*?)```", re.MULTILINE)
_LEFT_OUT = "not run: "


def programs(page):
    """The programs of a page: each is a block, with those that go on from it.

    ``<!-- goes on -->`` above a block joins it to the one before. ``<!-- not run: reason -->``
    leaves a block out.
    """
    found = []
    for comment, code in _BLOCK.findall(page):
        if comment == "goes on":
            found[-1] += code
        elif not comment.startswith(_LEFT_OUT):
            found.append(code)
    return found


def left_out(page):
    """The blocks that are left out, with the reasons."""
    return [
        (comment.removeprefix(_LEFT_OUT), code)
        for comment, code in _BLOCK.findall(page)
        if comment.startswith(_LEFT_OUT)
    ]
