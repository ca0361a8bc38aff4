"""What is installed is all that there is."""

import ast
import pkgutil
import re
from pathlib import Path

import relustat

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def test_every_package_is_installed():
    found = ["relustat"]
    modules = pkgutil.walk_packages(relustat.__path__, "relustat.")
    found += [module.name for module in modules if module.ispkg]
    listed = re.search(
        r"^\[tool\.setuptools\]\npackages = (\[.*?\])", PYPROJECT.read_text(), re.MULTILINE
    )
    assert sorted(ast.literal_eval(listed[1])) == sorted(found)
