"""What becomes of a writer that fails: training goes on."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

# By writer; of those that are no objects, by name.
_failed: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
_failed_by_name: dict[str, set[str]] = {}


@contextlib.contextmanager
def going_on_without(name: str, writer: Any = None) -> Iterator[None]:
    """An error of a writer is a warning, and only the first of its kind.

    Hours of training are worth more than a point of a curve.

    Args:
        name: that of the writer, for the message.
        writer: which one it is; None: there is one.
    """
    try:
        yield
    except Exception as error:
        try:
            kinds = _failed_by_name if writer is None else _failed
            known = kinds.setdefault(name if writer is None else writer, set())
        except TypeError:  # of a class without weak references
            known = _failed_by_name.setdefault(f"{name} {id(writer)}", set())
        if type(error).__name__ not in known:
            known.add(type(error).__name__)
            warnings.warn(
                f"relustat: {name} failed, and training goes on without it. "
                f"{type(error).__name__}: {error}",
                # Who calls a function that is a generator's caller.
                stacklevel=4,
            )
