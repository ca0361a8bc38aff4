"""What is installed is all that there is."""

import ast
import re
from pathlib import Path

from repository import ROOT
from setuptools import find_packages

import relustat

PACKAGE = Path(relustat.__file__).parent


def test_every_folder_is_installed():
    settings = (ROOT / "pyproject.toml").read_text()
    include = re.search(r"packages\.find\]\ninclude = (.*)\nnamespaces = false", settings)[1]
    found = find_packages(ROOT, include=ast.literal_eval(include))
    folders = {path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    assert len(folders) > 15
    assert set(found) == {".".join(folder.parts) for folder in folders}
