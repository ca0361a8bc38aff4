"""Makes the notebooks of examples/notebooks of the pages of docs/, and runs them.

A page and its notebook have the same text and code, so there is one source. What a page shows as
output is left out: the notebook has its own.

    python tools/notebooks.py [PAGE ...]
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "examples" / "notebooks"
PAGES = [
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
    *(ROOT / "docs" / f"{name}.md" for name in ("looking", "activations", "sparsity", "surgery")),
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^<!-- .* -->\n", re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)#\s:]+)(?=[)#])")


def parts(page: str) -> Iterator[tuple[str, str]]:
    """The text and the code of a page: "markdown" or "code", and what it is."""
    begin, after_code = 0, False
    for fence in _FENCE.finditer(page):
        text = _COMMENT.sub("", page[begin : fence.start()]).strip()
        if text:
            yield "markdown", text
            after_code = False
        kind, content = fence.groups()
        if kind == "python":
            yield "code", content.strip()
            after_code = True
        elif not after_code:  # else it is what the code prints
            yield "markdown", fence[0].strip()
        begin = fence.end()
    text = page[begin:].strip()
    if text:
        yield "markdown", text


def notebook_of(path: Path) -> Any:
    """The notebook of a page, not run."""

    def moved(link: re.Match[str]) -> str:
        return link[1] + os.path.relpath(path.parent / link[2], NOTEBOOKS)

    name = os.path.relpath(path, NOTEBOOKS)
    cells = [
        nbformat.v4.new_markdown_cell(_LINK.sub(moved, content))
        if kind == "markdown"
        else nbformat.v4.new_code_cell(content)
        for kind, content in parts(path.read_text())
    ]
    cells[0]["source"] += f"\n\nThis is [{path.name}]({name}) as a notebook."
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": python})


def run(notebook: Any) -> None:
    """Runs all cells in an empty folder. Their outputs stay in the notebook."""
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    # What differs from run to run.
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path, help="pages of docs/; all if none is given")
    NOTEBOOKS.mkdir(exist_ok=True)
    for page in parser.parse_args().pages or PAGES:
        notebook = notebook_of(page.resolve())
        run(notebook)
        path = NOTEBOOKS / f"{page.stem}.ipynb"
        nbformat.write(notebook, path)
        print(f"Wrote {path.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
