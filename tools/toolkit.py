"""Finds the CUDA toolkit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def home() -> Path:
    return Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))


def find(program: str) -> str | None:
    """The toolkit's own program first: one on the PATH can be a script that only starts it."""
    return shutil.which(str(home() / "bin" / program)) or shutil.which(program)
