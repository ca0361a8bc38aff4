"""Ctrl-C as a wish to end a pass, and not as an error."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

# SIGTERM is what job systems and torchrun send before they kill.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds. torchrun and terminals may send a signal twice.
_AT_ONCE = 1.0
_MESSAGE = b"Ending after this batch, with a report; Ctrl-C again ends at once.\n"


class Interrupts:
    """Whether somebody wishes the pass to end.

    Args:
        is_quiet: say nothing when a signal comes.

    """

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._came = False
        self._is_quiet = is_quiet
        self._process = os.getpid()
        self._first = 0.0

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """The first signal is noted. A later Ctrl-C is an interrupt as usual."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # What is ignored, as in the background of a shell, stays so.
        caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        try:
            for number in caught:
                signal.signal(number, self._handle)
            yield
        finally:
            for number in caught:
                signal.signal(number, before[number] or signal.SIG_DFL)

    def came(self) -> bool:
        """Whether a signal came."""
        return self._came

    def _handle(self, number: int, _: FrameType | None) -> None:
        # A process that loads data has inherited this handler.
        if os.getpid() != self._process:
            return
        if not self._came:
            self._came, self._first = True, time.monotonic()
            if not self._is_quiet:
                os.write(2, _MESSAGE)  # print is not made for handlers
        elif number == signal.SIGINT and time.monotonic() - self._first >= _AT_ONCE:
            raise KeyboardInterrupt
