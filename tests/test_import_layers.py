"""Which files of the package may import which: from layers below only, and never in a circle."""

import ast
import importlib
from pathlib import Path

from repository import EXAMPLES

import relustat

PACKAGE = Path(relustat.__file__).parent


def modules(package):
    """The files by the names of their modules."""
    root = package.name
    return {
        ".".join((root, *path.relative_to(package).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in package.rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    }


def imports(name, path, known):
    """Modules of the package that a file imports: at its top, within functions, for types."""
    here = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for each in node.names:
                whole = f"{source}.{each.name}"
                yield whole if whole in known else source


def arrows(package):
    known = modules(package)
    return {name: set(imports(name, path, known)) & known.keys() for name, path in known.items()}


def on_circles(graph):
    """What remains when files that import nothing that remains are taken away, again and again."""
    left = {name: set(targets) for name, targets in graph.items()}
    while free := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in free:
            del left[name]
    return set(left)


def test_a_circle_is_found(tmp_path):
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text("from .cellar import wine\n")
    (package / "cellar.py").write_text("def wine():\n    from . import attic\n")
    (package / "attic.py").write_text("from .stairs import step\n")
    (package / "stairs.py").write_text("if False:\n    from house.cellar import wine\n")
    (package / "garden.py").write_text("import os\n")
    circle = {"house.cellar", "house.attic", "house.stairs"}
    assert on_circles(arrows(package)) == {"house", *circle}


def test_there_is_no_circle():
    graph = arrows(PACKAGE)
    assert graph["relustat.watching.counts"] >= {
        "relustat.distributed",
        "relustat.history.history",
    }
    assert on_circles(graph) == set()


# From the ground up, after the leaves: files at the top whose names begin with an underscore.
LAYERS = [
    {"stats"},
    {"ops"},
    {"functional", "reference", "distributed"},
    {"nn"},
    {"report"},
    {"history"},
    {"watching"},
    {"data_pass"},
    {"analysis", "surgery"},
    {"integrations", "demo", "cli", "__main__"},
]


def layer_of(name):
    """Its number; the package's own file, which imports them all, is above them."""
    _, *rooms = name.split(".")
    if not rooms:
        return len(LAYERS)
    if rooms[0].startswith("_") and rooms[0] != "__main__":
        return -1
    return next(number for number, layer in enumerate(LAYERS) if rooms[0] in layer)


def upward(graph):
    return [
        (name, target)
        for name, targets in graph.items()
        for target in targets
        if layer_of(target) > layer_of(name)
    ]


def test_no_import_goes_up():
    graph = arrows(PACKAGE)
    assert len(graph) > 80
    assert upward(graph) == []
    graph["relustat.stats.bins"].add("relustat.report.row")
    assert upward(graph) == [("relustat.stats.bins", "relustat.report.row")]


def reachable(graph, start):
    found, left = set(), [start]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += graph[name]
    return found


def foreign_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.split(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_statistics_need_no_torch():
    files = modules(PACKAGE)
    graph = arrows(PACKAGE)
    room = {name for name in files if name.startswith("relustat.stats.")}
    found = {name for start in room for name in reachable(graph, start)}
    assert found >= {"relustat.stats.relu_stats", "relustat.stats.npz", "relustat._files"}
    needed = {package for name in found for package in foreign_packages(files[name])}
    assert {"numpy", "json"} <= needed
    assert "torch" not in needed


def private_imports(path):
    """What a file outside the package imports of it that its rooms do not list in ``__all__``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("relustat."))
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "relustat":
            public = getattr(importlib.import_module(node.module), "__all__", ())
            yield from (
                f"{node.module}.{each.name}" for each in node.names if each.name not in public
            )


def test_examples_import_public_names_only(tmp_path):
    examples = list((EXAMPLES).glob("*.py"))
    assert len(examples) > 10
    assert [name for path in examples for name in private_imports(path)] == []
    (tmp_path / "private.py").write_text("from relustat._files import replacing\n")
    assert list(private_imports(tmp_path / "private.py")) == ["relustat._files.replacing"]
