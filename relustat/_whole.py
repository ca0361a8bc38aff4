"""Changes of several things that are made wholly, also where a fault comes in their midst."""

from __future__ import annotations

from collections.abc import Callable


def make_whole(change: Callable[[], None]) -> None:
    """Makes a change, and makes it again if an interrupt or an error ended it.

    So an interrupt at any point leaves it done or not begun. The change may be made twice.
    """
    try:
        change()
    except BaseException:
        change()
        raise
