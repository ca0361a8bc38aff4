"""What becomes of a writer that fails: training goes on."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

# Kinds of errors, by the identity of the writer, or by a name where there is no object.
_failed: dict[int | str, set[str]] = {}


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
        kinds = _kinds_of(name if writer is None else writer)
        if type(error).__name__ not in kinds:
            kinds.add(type(error).__name__)
            warnings.warn(
                f"relustat: {name} failed, and training goes on without it. "
                f"{type(error).__name__}: {error}",
                # Who calls a function that is a generator's caller.
                stacklevel=4,
            )


def _kinds_of(writer: Any) -> set[str]:
    key = writer if isinstance(writer, str) else id(writer)
    if key not in _failed:
        _failed[key] = set()
        with contextlib.suppress(TypeError):  # of a class without weak references
            # The next object may have the same identity.
            weakref.finalize(writer, _failed.pop, key, None)
    return _failed[key]
