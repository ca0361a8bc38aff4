"""``relustat info``."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from typing import Any

import numpy as np
import torch

from relustat._version import __version__
from relustat.ops import library

from .messages import say

_EXTRAS = (
    "jinja2",
    "matplotlib",
    "pandas",
    "pillow",
    "rich",
    "safetensors",
    "scikit-learn",
    "shtab",
)


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="print versions, how the package was built, and what is available",
        description="Prints versions, build options, CPU capability and what is available.",
    )
    return parser


def run(_: argparse.Namespace) -> None:
    build = library.build_info()
    lines = {
        "relustat": __version__,
        "PyTorch": f"{torch.__version__} (built with {build['torch']})",
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "platform": platform.platform(),
        "compiler": f"{build['compiler']}, C++ {build['cpp']}",
        "kernels": str(build["kernels"]),
        "CPU capability": library.cpu_capability(),
        "threads": f"{torch.get_num_threads()}" + ("" if build["openmp"] else " (no OpenMP: 1)"),
        "CUDA device": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
    for package in _EXTRAS:
        try:
            lines[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            lines[package] = "not installed"
    width = max(map(len, lines))
    say(f"{name:<{width}}  {value}" for name, value in lines.items())
