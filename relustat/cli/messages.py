"""What the command says: results on the standard output, all else on the standard error output."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable
from typing import Any

import torch.distributed as dist

from relustat._optional import import_optional
from relustat._printable import printable, printed_lines


def complain(text: str) -> None:
    """Says what went wrong. Among several processes, it says which one."""
    rank = os.environ.get("RANK") if dist.is_torchelastic_launched() else None
    print(f"relustat: {f'[rank {rank}] ' if rank else ''}{printable(text)}", file=sys.stderr)


def tell(text: str, *, quiet: bool = False) -> None:
    """Says what happens meanwhile."""
    if not quiet:
        print(printable(text), file=sys.stderr, flush=True)


def say(lines: Iterable[str]) -> None:
    """Prints lines of a result."""
    print(printed_lines(lines))


def show(result: Any) -> None:
    """Prints a report, in colours if a terminal shows it."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if is_terminal and importlib.util.find_spec("rich") and hasattr(result, "__rich__"):
        console = import_optional("rich.console", "rich", "a coloured table")
        console.Console(highlight=False).print(result, soft_wrap=True)
    else:
        print(result)


def first_line(error: BaseException) -> str:
    """An error of other code as a part of a sentence."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    if " in DataLoader worker process " in lines[0]:  # and the worker's traceback
        return lines[-1]
    return f"{type(error).__name__}: {lines[0]}"
