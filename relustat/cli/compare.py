"""``relustat compare``."""

from __future__ import annotations

import argparse
from typing import Any

from relustat._optional import import_optional
from relustat.report.report import Report

from .arguments import file
from .messages import tell
from .outputs import check_different, check_writable

_EXAMPLES = """\
examples:
  relustat compare before.npz after.npz
  relustat compare before.npz after.npz --html change.html
  relustat compare seed0.npz seed1.npz --names "seed 0" "seed 1"

"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="print what is different in a second report",
        description="Prints for each call site what is different in the second report, the worst\n"
        "first: units that died or revived, shares of zeros, histograms.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("first", type=file, help="a .npz or .json file of a report")
    parser.add_argument("second", type=file, help="another")
    parser.add_argument(
        "--names", nargs=2, metavar="NAME", help="what to call them (default: the files' names)"
    )
    parser.add_argument("--html", type=file, metavar="FILE", help="a page to open in a browser")
    return parser


def run(options: argparse.Namespace) -> None:
    paths = options.first, options.second
    names = options.names or [path.stem for path in paths]
    if names[0] == names[1]:
        names = list(map(str, paths))
    if options.html is not None:
        check_different([options.html, *paths])
        check_writable("--html", options.html)
        import_optional("jinja2", "html", "--html")
    first, second = map(Report.load, paths)
    comparison = first.compare(second, (names[0], names[1]))
    if options.html is not None:
        options.html.parent.mkdir(parents=True, exist_ok=True)
        comparison.to_html(options.html)
        tell(f"Wrote {options.html}")
    print(comparison)
