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


def test_every_file_of_the_page_is_installed():
    settings = (ROOT / "pyproject.toml").read_text()
    globs = ast.literal_eval(
        re.search(r'^"relustat\.report\.page" = (.*)$', settings, re.MULTILINE)[1]
    )
    folder = PACKAGE / "report" / "page"
    installed = {path for glob in globs for path in folder.glob(glob)}
    others = {
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(installed) >= 16
    assert {path for path in others if path.suffix != ".py"} == installed
