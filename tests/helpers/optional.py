"""Packages that tests compare with, and do without if they are missing."""

import importlib
import os
from types import ModuleType

import pytest


def needs(package: str, *, whole_file: bool = False) -> ModuleType:
    """Returns the package, or skips the test: by name, and never in CI.

    Args:
        whole_file: skip all tests of the file that calls.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.split(".")[0]:
            raise
        reason = f"needs {package}, which is not installed"
        if os.environ.get("CI"):
            raise RuntimeError(f"{reason}: in CI no test is skipped for that") from error
        pytest.skip(reason, allow_module_level=whole_file)
