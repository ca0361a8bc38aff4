"""Finds the CUDA toolkit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def home() -> Path:
    return Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))


def find(program: str) -> str | None:
    """The path of a program of the toolkit. One on the PATH may be a script, so it comes second."""
    return shutil.which(str(home() / "bin" / program)) or shutil.which(program)
