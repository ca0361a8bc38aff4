"""Work that is done again and again in a thread, beside a model that runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# The work may take a tenth of the time, however long it lasts.
_PAUSES_PER_WORK = 9.0


def check_seconds(caller: str, name: str, seconds: float) -> None:
    """Raises a ValueError if a pause is shorter than 0.1 seconds, or longer than a thread waits."""
    is_number = isinstance(seconds, (int, float))
    if not is_number or not 0.1 <= seconds < threading.TIMEOUT_MAX:
        raise ValueError(f"{caller}: {name} must be at least 0.1 seconds, got {seconds!r}")


def repeat(work: Callable[[], bool], seconds: float, ended: threading.Event) -> None:
    """Does some work every so often, until an event or until it returns False.

    Args:
        work: takes at most a tenth of the time: if it takes long, the pause after it is nine times
            as long.
        seconds: from one time to the next.
        ended: ends it during a pause.
    """
    pause = seconds
    while not ended.wait(pause):
        began = time.monotonic()
        if not work():
            return
        pause = max(seconds, _PAUSES_PER_WORK * (time.monotonic() - began))
