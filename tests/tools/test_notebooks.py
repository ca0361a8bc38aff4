"""The notebooks have the text and the code of the pages, and ran."""

import os

import pytest
from optional import needs
from repository import ROOT

nbformat = needs("nbformat", whole_file=True)
needs("nbclient", whole_file=True)

import notebooks


def stored(page):
    return nbformat.read(notebooks.NOTEBOOKS / f"{page.stem}.ipynb", as_version=4)


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda page: page.stem)
def test_notebooks_are_those_of_the_pages(page):
    """If not, run ``make notebooks``."""
    notebook = stored(page)
    nbformat.validate(notebook)
    ours = notebooks.notebook_of(page)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in ours.cells
    ]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(each.output_type == "error" for cell in code for each in cell.outputs)


def test_each_notebook_has_a_page():
    names = {path.stem for path in notebooks.NOTEBOOKS.glob("*.ipynb")}
    assert names == {page.stem for page in notebooks.PAGES}


def test_one_runs():
    notebook = notebooks.notebook_of(ROOT / "docs/guides/dead-units.md")
    notebooks.run(notebook)
    first, *_ = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.outputs[0].text.startswith("call  ")
    kinds = [each.output_type for cell in notebook.cells for each in cell.get("outputs", [])]
    assert "display_data" in kinds or "execute_result" in kinds
    assert "error" not in kinds


def test_parts_and_links(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        """# A page

Text with [a link](other.md#part), [another](https://a.b) and [one](#here).

<!-- goes on -->
```python
print(1)
```

```text
1
```

More.

```sh
make test
```
"""
    )
    kinds = [(cell.cell_type, cell.source) for cell in notebooks.notebook_of(page).cells]
    folder = os.path.relpath(tmp_path, notebooks.NOTEBOOKS)
    assert kinds == [
        (
            "markdown",
            f"# A page\n\nText with [a link]({folder}/other.md#part), [another](https://a.b) and "
            f"[one](#here).\n\nThis is [page.md]({folder}/page.md) as a notebook.",
        ),
        ("code", "print(1)"),
        ("markdown", "More."),
        ("markdown", "```sh\nmake test\n```"),
    ]
