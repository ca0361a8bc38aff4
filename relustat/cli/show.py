"""``relustat show``."""

from __future__ import annotations

import argparse
from typing import Any

from relustat._messages import named, some
from relustat.report.unit_table import unit_lines

from . import outputs
from .arguments import file
from .messages import show, tell
from .saved_reports import read_report

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
    report = read_report(options.file)
    written = outputs.Outputs(options)
    if options.units is None:
        for name in written.write(report, options.file.stem):
            tell(f"Wrote {name}")
        show(report)
        return
    if options.units not in report:
        raise ValueError(
            f"--units must be a call site of {options.file}, got {options.units}; it has "
            f"{some(map(named, report)) or 'none'}"
        )
    print("\n".join(unit_lines(report.stats[options.units])))
