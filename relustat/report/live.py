"""A table that is shown again and again while it changes."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from relustat._optional import import_optional

from .pacing import check_seconds, repeat


class _Screen(Protocol):
    def show(self, shown: Any) -> None: ...

    def close(self, shown: Any) -> None: ...


class _Terminal:
    def __init__(self, *, stderr: bool, transient: bool) -> None:
        console_module, live_module = (
            import_optional(f"rich.{name}", "rich", "a live table") for name in ("console", "live")
        )
        console = console_module.Console(stderr=stderr, highlight=False)
        self._live = live_module.Live(console=console, auto_refresh=False, transient=transient)
        self._live.start()

    def show(self, shown: Any) -> None:
        self._live.update(shown, refresh=True)

    def close(self, shown: Any) -> None:
        # The whole table, also if it is longer than the terminal.
        self._live.vertical_overflow = "visible"
        self._live.update(shown, refresh=True)
        self._live.stop()


class _Notebook:
    def __init__(self) -> None:
        self._display = import_optional("IPython.display", "rich", "a live table").display
        self._handle: Any = None

    def show(self, shown: Any) -> None:
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def close(self, shown: Any) -> None:
        self.show(shown)


@contextlib.contextmanager
def live(
    take: Callable[[], Any], every: float, *, stderr: bool = False, transient: bool = False
) -> Iterator[None]:
    """Shows something in a terminal or a notebook, and shows it again every so often.

    A thread does it. It calls ``take`` once for each refresh. If a refresh takes long, the pause
    after it is nine times as long. The last refresh is at the end, in this thread. Where the output
    is neither a terminal nor a notebook, only the last one is seen.

    Args:
        take: gives what is shown, such as a report.
        every: seconds from one refresh to the next.
        stderr: show it on the standard error output.
        transient: take it off a terminal at the end.

    Raises:
        ImportError: if rich is missing, in a terminal.
        ValueError: if ``every`` is not at least 0.1.
    """
    check_seconds("live", "every", every)
    output = sys.stderr if stderr else sys.stdout
    if _is_in_notebook():
        screen: _Screen = _Notebook()
    elif output.isatty():
        screen = _Terminal(stderr=stderr, transient=transient)
    else:
        yield
        if not transient:
            print(take(), file=output)
        return

    def refresh() -> bool:
        screen.show(take())
        return True

    ended = threading.Event()
    thread = threading.Thread(target=repeat, args=(refresh, every, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        screen.close(take())


def _is_in_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"
