"""Ctrl-C as a wish to end a pass, and not as an error."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from .messages import tell

# SIGTERM is what job systems and torchrun send before they kill.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Whether somebody wishes the pass to end.

    Attributes:
        came: whether a signal came.
    """

    def __init__(self) -> None:
        self.came = False

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """The first signal sets :attr:`came`, the second one is an interrupt as usual."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def handle(_: int, __: FrameType | None) -> None:
            if self.came:
                raise KeyboardInterrupt
            self.came = True
            tell("Ending after this batch, with a report; Ctrl-C again ends at once.")

        try:
            for number in _SIGNALS:
                signal.signal(number, handle)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
