"""The whole command: its subcommands, what errors look like, and the exit status."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from relustat._optional import import_optional
from relustat._printable import printable
from relustat._version import __version__

from . import analyze, compare, demo, exit_status, info, merge, show
from .messages import complain, tell

_EXAMPLES = """\
examples:
  relustat demo
  relustat analyze my_model.py:make_model --images my_photos --html relus.html
  relustat analyze my_model.py:make_model --random 64 --npz before.npz
  relustat compare before.npz after.npz
  relustat show before.npz --units layer1.0.relu

`relustat COMMAND --help` says more.

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    options = _parsed(make_parser(), arguments)
    try:
        status: int = options.run(options) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        complain("interrupted")
        return exit_status.INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_status.CLOSED_PIPE
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _failed(options, error, said, exit_status.WRONG_INPUT)
    except (ValueError, OverflowError, ImportError) as error:
        return _failed(options, error, str(error), exit_status.WRONG_INPUT)
    except Exception as error:
        said = f"unexpected {type(error).__name__}: {error}; --debug shows where"
        return _failed(options, error, said, exit_status.UNEXPECTED)
    return status


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        self.exit(
            exit_status.WRONG_INPUT,
            f"{self.prog}: error: {printable(message)}; `{self.prog} --help` says more\n",
        )


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        command: argparse.ArgumentParser = options.parser
        known = [name for action in command._actions for name in action.option_strings]
        similar = difflib.get_close_matches(unknown[0], known, 1)
        hint = f", did you mean {similar[0]}?" if similar else ""
        command.error(f"there is no argument {unknown[0]}{hint}")
    return options


def _failed(options: argparse.Namespace, error: Exception, said: str, status: int) -> int:
    if options.debug:
        for line in "".join(traceback.format_exception(error)).splitlines():
            tell(line)
    complain(" ".join(said.splitlines()))
    return status


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="relustat",
        description="ReLUs that count their zeros and fill histograms.",
        epilog=_EXAMPLES + exit_status.HELP,
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
        each.epilog = f"{each.epilog or ''}{exit_status.HELP}"
        each.formatter_class = argparse.RawDescriptionHelpFormatter
        each.set_defaults(run=command.run, parser=each)
    return parser


class _NoCompletion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "--print-completion needs shtab, which is not installed: "
            "pip install 'relustat[completion]'"
        )
