"""What becomes of a writer that fails: training goes on."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

_failed: set[str] = set()


@contextlib.contextmanager
def going_on_without(writer: str) -> Iterator[None]:
    """An error of a writer is a warning, and only its first one.

    Hours of training are worth more than a point of a curve.
    """
    try:
        yield
    except Exception as error:
        if writer not in _failed:
            _failed.add(writer)
            warnings.warn(
                f"relustat: {writer} failed, and training goes on without it. "
                f"{type(error).__name__}: {error}",
                # Who calls a function that is a generator's caller.
                stacklevel=4,
            )
