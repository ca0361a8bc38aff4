"""Loads the compiled extension, if it is one for the PyTorch that runs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import torch

OLDEST_TORCH = (2, 11)

_BUILD_AGAIN = "build it again with `pip install --no-build-isolation -e .`"


def load() -> ModuleType:
    """Returns ``relustat._C``.

    Raises:
        ImportError: if PyTorch is too old, or if the extension is missing or built for another one.
    """
    running = str(torch.__version__)
    if minor_version(running) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise ImportError(f"relustat: PyTorch must be {oldest} or later, got PyTorch {running}")
    try:
        from . import _C
    except ImportError as error:
        path = _path()
        if path is None:
            raise ImportError(
                "relustat: the compiled extension is missing, or was built for another Python; "
                f"{_BUILD_AGAIN} ({error})"
            ) from error
        check_built_for(built_for(path), running, error)
        raise ImportError(
            f"relustat: the compiled extension does not load; {_BUILD_AGAIN} ({error})"
        ) from error
    check_built_for(str(_C.build_info()["torch"]), running)
    return _C


def minor_version(version: str) -> tuple[int, ...]:
    """``(2, 13)`` for ``"2.13.0+cpu"``."""
    return tuple(map(int, version.split("+")[0].split(".")[:2]))


def check_built_for(built: str | None, running: str, cause: ImportError | None = None) -> None:
    """Raises ImportError if an extension for PyTorch ``built`` cannot serve PyTorch ``running``."""
    if built is None or minor_version(built) == minor_version(running):
        return
    raise ImportError(
        "relustat: the compiled extension must be built for the PyTorch that runs, "
        f"got one for PyTorch {built}, and PyTorch {running}; {_BUILD_AGAIN}"
    ) from cause


def built_for(library: Path) -> str | None:
    """The PyTorch that a library was built for, also if the library cannot be loaded."""
    found = re.search(
        rb"relustat: built for PyTorch ([0-9]+\.[0-9]+[^\0]*)\0", library.read_bytes()
    )
    return found and found.group(1).decode()


def _path() -> Path | None:
    spec = importlib.util.find_spec(f"{__package__}._C")
    return Path(spec.origin) if spec is not None and spec.origin is not None else None
