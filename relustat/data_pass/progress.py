"""The progress of a pass on the standard error output: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator

from relustat._optional import import_optional

from .pace import Pace

# Seconds between two lines.
_BETWEEN_LINES = 10.0


@contextlib.contextmanager
def shown_progress(pace: Pace) -> Iterator[Callable[[], None]]:
    """Shows how far a pass is.

    Where rich is missing, or the output is no terminal, there is a line every ten seconds.

    Yields:
        What is called after each batch.
    """
    if importlib.util.find_spec("rich") and sys.stderr.isatty():
        with _bar(pace) as update:
            yield update
    else:
        yield _Lines(pace)


class _Lines:
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._next = time.monotonic() + _BETWEEN_LINES

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            print(self._pace, file=sys.stderr, flush=True)
            self._next = time.monotonic() + _BETWEEN_LINES


@contextlib.contextmanager
def _bar(pace: Pace) -> Iterator[Callable[[], None]]:
    progress_module = import_optional("rich.progress", "rich", "a progress bar")
    console = import_optional("rich.console", "rich", "a progress bar").Console(stderr=True)
    columns = (progress_module.BarColumn(), progress_module.TextColumn("{task.description}"))
    with progress_module.Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(str(pace), total=None if pace.share is None else 1.0)

        def update() -> None:
            progress.update(task, completed=pace.share or 0.0, description=str(pace))

        yield update
