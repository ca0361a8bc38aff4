"""No file of the package imports, by whatever way, one that imports it."""

import ast
from pathlib import Path

import relustat

PACKAGE = Path(relustat.__file__).parent


def modules(package):
    """The files by the names of their modules."""
    root = package.name
    return {
        ".".join((root, *path.relative_to(package).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in package.rglob("*.py")
    }


def imports(name, path, known):
    """Modules of the package that a file imports: at its top, within functions, for types."""
    here = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1] + (node.module or "").split(".")
            source = ".".join(filter(None, base))
            for each in node.names:
                whole = f"{source}.{each.name}"
                yield whole if whole in known else source


def arrows(package):
    known = modules(package)
    return {
        # A sub-package's own files come with it.
        name: {
            each
            for each in imports(name, path, known)
            if each in known and not f"{name}.".startswith(f"{each}.")
        }
        for name, path in known.items()
    }


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
    (package / "stairs.py").write_text("if False:\n    from .cellar import wine\n")
    (package / "garden.py").write_text("import os\n")
    circle = {"house.cellar", "house.attic", "house.stairs"}
    assert on_circles(arrows(package)) == {"house", *circle}


def test_there_is_no_circle():
    graph = arrows(PACKAGE)
    assert graph["relustat.watching.watches"] >= {"relustat.distributed", "relustat.history"}
    assert on_circles(graph) == set()


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
    found = reachable(arrows(PACKAGE), "relustat.stats.relu_stats")
    assert found >= {"relustat.stats.bins", "relustat.stats.histogram", "relustat.stats.npz"}
    needed = {package for name in found for package in foreign_packages(files[name])}
    assert {"numpy", "json"} <= needed
    assert "torch" not in needed
