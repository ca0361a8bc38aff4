"""The whole command: its subcommands, what errors look like, and the exit status."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence

from relustat._optional import import_optional
from relustat._version import __version__

from . import analyze, compare, demo, info, merge, show
from .messages import complain

_EXIT_STATUS = """\
exit status:
  0    all is done
  1    an error that nobody expected
  2    wrong arguments or input; a sentence on the standard error output says what to do
  130  interrupted; what `relustat analyze` has counted until then is reported
"""

_EXAMPLES = """\
examples:
  relustat demo
  relustat analyze my_model.py:make_model --images my_photos --html relus.html
  relustat analyze my_model.py:make_model --random 64 --npz before.npz
  relustat compare before.npz after.npz
  relustat show before.npz --units layer1.0.relu

`relustat COMMAND --help` says more.

"""

INTERRUPTED = 130
# As of a program that SIGPIPE ends.
_CLOSED_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        status: int = options.run(options) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED_PIPE
    except (ValueError, ImportError, OSError) as error:
        return _failed(options, error, str(error), 2)
    except Exception as error:
        said = f"unexpected {type(error).__name__}: {error}; --debug shows where"
        return _failed(options, error, said, 1)
    return status


def _failed(options: argparse.Namespace, error: Exception, said: str, status: int) -> int:
    if options.debug:
        traceback.print_exception(error)
    complain(said)
    return status


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="relustat",
        description="ReLUs that count their zeros and fill histograms.",
        epilog=_EXAMPLES + _EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"relustat {__version__}")
    if importlib.util.find_spec("shtab"):
        shtab = import_optional("shtab", "completion", "completion")
        shtab.add_argument_to(
            parser,
            "--print-completion",
            help="print a script by which a shell completes this command",
        )
    else:
        parser.add_argument(
            "--print-completion", action=_NoCompletion, nargs=1, help=argparse.SUPPRESS
        )
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in (demo, analyze, compare, show, merge, info):
        each = command.add_to(commands)
        each.add_argument(
            "--debug", action="store_true", help="show where an error came from (the traceback)"
        )
        each.epilog = f"{each.epilog or ''}{_EXIT_STATUS}"
        each.formatter_class = argparse.RawDescriptionHelpFormatter
        each.set_defaults(run=command.run)
    return parser


class _NoCompletion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "--print-completion needs shtab, which is not installed: "
            "pip install 'relustat[completion]'"
        )
