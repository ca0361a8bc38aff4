"""``relustat show``."""

from __future__ import annotations

import argparse
from collections import deque
from pathlib import Path
from typing import Any

from relustat.report import table
from relustat.report.report import Report
from relustat.report.stream.json_lines import read_records
from relustat.report.stream.record import as_row
from relustat.report.unit_table import unit_lines

from . import outputs
from .arguments import file
from .messages import say, show, tell

_EXAMPLES = """\
examples:
  relustat show relus.npz
  relustat show relus.npz --units layer1.0.relu | head -20
  relustat show relus.npz --html relus.html
  relustat show run.jsonl

"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "show",
        help="print a report that was saved, or its units, or write it as a page",
        description="Prints the report in a file that `relustat analyze`, `relustat merge` or\n"
        "Report.save wrote. Of a stream (Watch.stream) it prints the last record.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", type=file, help="a .npz, .json or .jsonl file")
    parser.add_argument(
        "--units", metavar="LAYER", help="print the units of this call site, the deadest first"
    )
    outputs.add_to(parser)
    return parser


def run(options: argparse.Namespace) -> None:
    kind = options.file.suffix.lower()
    if kind == ".jsonl":
        _show_stream(options)
        return
    if kind == ".parquet":
        raise ValueError(f"show: pandas.read_parquet reads a stream as Parquet, got {options.file}")
    report = Report.load(options.file)
    written = outputs.Outputs(options, options.file)
    units = None if options.units is None else _units(report, options.units)
    for name in written.write(report, options.file.stem):
        tell(f"Wrote {name}")
    show(report) if units is None else say(units)


def _show_stream(options: argparse.Namespace) -> None:
    path: Path = options.file
    asked = {"--units": options.units, **outputs.asked(options)}
    for option, value in asked.items():
        if value is not None:
            raise ValueError(f"{option}: a stream has no counts of units, got {path}")
    last = deque(read_records(path), maxlen=1)
    if not last:
        say([f"{path}: no record yet"])
        return
    (record,) = last
    try:
        lines = table.lines(list(map(as_row, record)))
    except ValueError as error:
        raise ValueError(f"load: {path} must be a stream ({error})") from error
    say([*lines, f"  record {record[0]['record']} of {record[0].get('time', 'an unknown time')}"])


def _units(report: Report, name: str) -> list[str]:
    try:
        return unit_lines(report[name].stats)
    except KeyError as error:
        raise ValueError(f"--units: {error.args[0]}") from error
