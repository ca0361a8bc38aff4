"""The files that a report is written to."""

from __future__ import annotations

import argparse
import errno
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from relustat._files import replacing
from relustat._optional import import_optional
from relustat.report.columns import COLUMNS
from relustat.report.csv_text import csv_text
from relustat.report.report import Report
from relustat.stats import json_file

from .arguments import file as file_argument

_KINDS = {
    "html": "a page to open in a browser",
    "png": "the histograms as a picture",
    "json": "all counts and rows",
    "csv": "the table",
    "npz": "all counts, for `relustat show`, `compare` and `merge`",
}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    files = parser.add_argument_group("files to write")
    for kind, what in _KINDS.items():
        files.add_argument(f"--{kind}", type=file_argument, metavar="FILE", help=what)


def asked(options: argparse.Namespace) -> dict[str, Path | None]:
    """The files by their options; None for those that are not wanted."""
    return {f"--{kind}": getattr(options, kind) for kind in _KINDS}


class Outputs:
    """The files that the options name.

    Args:
        options: the options.
        inputs: files that must stay.

    Raises:
        ImportError: if a package is missing that is needed to write one.
        OSError: if one cannot be written. Nothing is left behind.
        ValueError: if two are one file, one is an input, or its name is that of another kind.
    """

    def __init__(self, options: argparse.Namespace, *inputs: Path | None) -> None:
        self._paths = {
            kind: getattr(options, kind) for kind in _KINDS if getattr(options, kind) is not None
        }
        check_different([*self._paths.values(), *(each for each in inputs if each is not None)])
        for kind, path in self._paths.items():
            if path.suffix[1:] in _KINDS.keys() - {kind}:
                raise ValueError(f"--{kind} must be a file of that kind, got {path}")
        for kind, path in self._paths.items():
            check_writable(f"--{kind}", path)
        if "html" in self._paths:
            import_optional("jinja2", "html", "--html")
        if "png" in self._paths:
            import_optional("matplotlib", "plot", "--png")

    def write(self, report: Report, title: str | None) -> list[str]:
        """Writes each file whole or not at all, and returns their names."""
        for kind, path in self._paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "html":
                report.to_html(path, title=title)
            elif kind == "npz":
                report.save(path)
            elif kind == "json":
                json_file.save(path, report.to_dict())
            else:
                with replacing(path) as file:
                    if kind == "png":
                        report.plot().savefig(file, format="png", dpi=120)
                    else:
                        file.write(csv_text(list(COLUMNS), (row.numbers() for row in report.rows)))
        return list(map(str, self._paths.values()))


def check_different(paths: Sequence[Path]) -> None:
    """Raises ValueError if two paths are one file."""
    for index, path in enumerate(paths):
        if any(path.resolve() == other.resolve() for other in paths[:index]):
            raise ValueError(f"all files must be different ones, got {path} twice")


def check_writable(option: str, path: Path) -> None:
    """Raises OSError if a file cannot be written. Folders that are missing can be made later."""
    rule = f"{option} must be a file that can be written, got {path}"
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        kind = stat.S_IFREG
    except OSError as error:
        raise OSError(f"{rule} ({error.strerror})") from error
    else:
        if stat.S_ISDIR(kind):
            raise OSError(f"{rule}, which is a folder")
        if not os.access(path, os.W_OK):
            raise OSError(f"{rule} ({os.strerror(errno.EACCES)})")
    if not stat.S_ISREG(kind):  # a device or a pipe has no draft
        return
    folder = next(each for each in Path(os.path.realpath(path)).parents if each.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{rule} ({error.strerror}: {folder})") from error
