"""Every example in the docstrings and the README runs and prints what it says."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import relustat

MODULES = [f"relustat.{module.name}" for module in pkgutil.iter_modules(relustat.__path__)]
README = Path(__file__).parent.parent / "README.md"


@pytest.mark.parametrize(
    "name", [name for name in MODULES if not name.endswith(("_C", "__main__"))]
)
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize(
    "code", re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
)
def test_readme(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_every_public_class_and_function_has_an_example():
    for name in relustat.__all__:
        thing = getattr(relustat, name)
        if callable(thing) and thing not in (relustat.Bins, relustat.Report, relustat.Watch):
            assert ">>> " in thing.__doc__, name
