"""Checks of arguments that many functions share."""

from __future__ import annotations

import operator
from typing import Any


def is_integer(value: object) -> bool:
    """Whether ``value`` is an integer of Python, NumPy or PyTorch, and not a bool."""
    try:
        operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    kind = getattr(value, "dtype", type(value).__name__)
    return not str(kind).endswith("bool")


def as_integer(what: str, value: Any, error: type[Exception] = ValueError) -> int:
    """``value`` as an int64.

    Args:
        what: the function and its argument, as the message names them: ``"History: limit"``.
        error: what is raised.

    Raises:
        ValueError: if it is not an int64; or ``error``.
    """
    if not is_integer(value):
        raise error(f"{what} must be an integer, got {value!r}")
    number = operator.index(value)
    if not -(2**63) <= number < 2**63:
        raise error(f"{what} must be an int64, got {number}")
    return number
