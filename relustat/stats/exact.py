"""Sums of counts: exact, or an OverflowError."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MOST = 2**63 - 1

_HALF = 32  # bits


def checked(what: str, number: int) -> int:
    """A sum as it is.

    Raises:
        OverflowError: if it is no int64.
    """
    if number > MOST:
        raise OverflowError(f"{what} must stay below 2**63, got {number}")
    return number


def row_sums(counts: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The sum of each row of counts that are not negative.

    They are int64, or integers of Python if int64 might not hold them.

    Example:
        >>> import numpy as np
        >>> from relustat.stats.exact import row_sums
        >>> row_sums(np.array([[2**62, 2**62]])).tolist() == [2**63]
        True
    """
    if not counts.size or int(counts.max()) <= MOST // counts.shape[1]:
        return np.asarray(counts.sum(axis=1))
    halves = counts >> _HALF, counts & (2**_HALF - 1)
    high, low = (half.sum(axis=1).astype(object) for half in halves)
    return np.asarray(high * 2**_HALF + low)


def total(counts: npt.NDArray[np.int64]) -> int:
    """The sum of counts that are not negative, as an integer of Python."""
    return int(row_sums(counts.reshape(1, -1))[0])
