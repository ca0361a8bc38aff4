"""``relustat show``."""

from __future__ import annotations

import argparse
from typing import Any

from relustat.report.report import Report
from relustat.report.unit_table import unit_lines

from . import outputs
from .arguments import file
from .messages import say, show, tell

_EXAMPLES = """\
examples:
  relustat show relus.npz
  relustat show relus.npz --units layer1.0.relu | head -20
  relustat show relus.npz --html relus.html

"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "show",
        help="print a report that was saved, or its units, or write it as a page",
        description="Prints the report in a file that `relustat analyze`, `relustat merge` or\n"
        "Report.save wrote.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", type=file, help="a .npz or .json file")
    parser.add_argument(
        "--units", metavar="LAYER", help="print the units of this call site, the deadest first"
    )
    outputs.add_to(parser)
    return parser


def run(options: argparse.Namespace) -> None:
    report = Report.load(options.file)
    written = outputs.Outputs(options, options.file)
    units = None if options.units is None else _units(report, options.units)
    for name in written.write(report, options.file.stem):
        tell(f"Wrote {name}")
    show(report) if units is None else say(units)


def _units(report: Report, name: str) -> list[str]:
    try:
        return unit_lines(report[name].stats)
    except KeyError as error:
        raise ValueError(f"--units: {error.args[0]}") from error
