"""The command ``relustat``, also ``python -m relustat``."""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ._messages import many
from ._version import __version__
from .demo import run as demo
from .ops import library
from .report.merge_files import merge_files


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("relustat: interrupted", file=sys.stderr)
        return 130
    except (ValueError, ImportError, OSError) as error:
        print(f"relustat: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relustat", description="ReLUs that count their zeros and fill histograms."
    )
    parser.add_argument("--version", action="version", version=f"relustat {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    shown = commands.add_parser(
        "demo",
        help="train a small CNN and show what its ReLUs do",
        description="Trains a small CNN on images, watching every ReLU; prints a table before and "
        "after training and what changed; writes two pages, a figure, a JSON and a CSV file.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    shown.add_argument(
        "--data",
        type=_folder,
        help="a folder of images (a subfolder for each class), or of IDX files of MNIST or "
        "Fashion-MNIST; without it, scikit-learn's digits",
    )
    shown.add_argument(
        "--output", type=_folder, default=Path("relustat-demo"), help="the folder to write to"
    )
    shown.add_argument(
        "--epochs", type=_positive, default=8, help="number of passes over the images"
    )
    shown.add_argument(
        "--samples", type=_positive, default=10000, help="largest number of training images"
    )
    shown.add_argument(
        "--learning-rate", type=_rate, default=0.1, help="learning rate of SGD with momentum 0.9"
    )
    shown.add_argument(
        "--seed", type=_seed, default=0, help="seed of the weights and of the order of images"
    )
    shown.set_defaults(run=_demo)

    merged = commands.add_parser(
        "merge",
        help="add up files of counts that several processes or runs saved",
        description="Adds up, by call site, files that Report.save or ReLUStats.save wrote. "
        "All must have the same call sites with equal bins. Files without call sites add nothing.",
    )
    merged.add_argument(
        "files", type=_file, nargs="+", metavar="file.npz", help="the files, each once"
    )
    merged.add_argument(
        "-o", "--output", type=_file, required=True, metavar="all.npz", help="the file to write"
    )
    merged.set_defaults(run=_merge)

    info = commands.add_parser(
        "info",
        help="print versions, how the package was built, and what is available",
        description="Prints versions, build options, CPU capability and what is available.",
    )
    info.set_defaults(run=_info)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 2**63 - 1, got {text}")
    return int(text)


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be positive and finite, got {text}")
    return number


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must be a folder, got an empty text")
    return Path(text)


def _file(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must be a file, got an empty text")
    return Path(text)


def _demo(options: argparse.Namespace) -> None:
    demo.run(
        options.data,
        options.output,
        epochs=options.epochs,
        samples=options.samples,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )


def _merge(options: argparse.Namespace) -> None:
    report = merge_files(options.files)
    report.save(options.output)
    elements = sum(stats.elements for stats in report.stats.values())
    print(
        f"{options.output}: {many(len(options.files), 'file')}, "
        f"{many(len(report.stats), 'call site')}, {elements:,} elements"
    )


def _info(_: argparse.Namespace) -> None:
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
    for package in ("jinja2", "matplotlib", "pandas", "rich", "scikit-learn"):
        try:
            lines[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            lines[package] = "not installed"
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
