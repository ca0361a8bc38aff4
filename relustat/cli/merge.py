"""``relustat merge``."""

from __future__ import annotations

import argparse
from typing import Any

from relustat._messages import many
from relustat.report.merge_files import merge_files

from .arguments import file
from .messages import say
from .outputs import check_writable

_EXAMPLES = """\
examples:
  relustat merge part1.npz part2.npz part3.npz -o all.npz
  relustat show all.npz --html relus.html

"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "merge",
        help="add up files of counts that several processes or runs saved",
        description="Adds up, by call site, files that `relustat analyze --npz`, Report.save or\n"
        "ReLUStats.save wrote. All must have the same call sites with equal bins. Files\n"
        "without call sites add nothing.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "files", type=file, nargs="+", metavar="file.npz", help=".npz or .json files, each once"
    )
    parser.add_argument(
        "-o", "--output", type=file, required=True, metavar="all.npz", help="the file to write"
    )
    return parser


def run(options: argparse.Namespace) -> None:
    check_writable("--output", options.output)
    report = merge_files(options.files)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report.save(options.output)
    elements = sum(stats.elements for stats in report.stats.values())
    files, sites = many(len(options.files), "file"), many(len(report.stats), "call site")
    say([f"{options.output}: {files}, {sites}, {elements:,} elements"])
