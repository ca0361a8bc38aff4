"""Where histogram bins lie: logarithmic, linear or given edges.

Edges are float32 numbers for every dtype that is counted. All inputs are compared with the same
edges, so histograms of float16 and float64 layers merge. Bin ``i`` holds
``edges[i] <= x < edges[i + 1]``. The last bin includes its right edge, as in ``numpy.histogram``.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from relustat._checks import as_integer

# csrc/relu/binning.h: slots are 16-bit numbers.
MAX_BINS = 65532

# csrc/relu/binning.h: how the kernels find a bin.
BINNING_NONE, BINNING_SEARCH, BINNING_LINEAR, BINNING_LOG = range(4)


class Bins(ABC):
    """A partition of the real line between two edges; see the subclasses.

    Bins are immutable, and equal when their edges are.
    """

    binning: int

    @property
    @abstractmethod
    def edges(self) -> npt.NDArray[np.float64]:
        """The n + 1 edges, float64 [n + 1], each a float32 number. Read-only."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings from which :func:`bins_from_dict` makes the bins again."""

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bins):
            return NotImplemented
        return np.array_equal(self.edges, other.edges)

    def __hash__(self) -> int:
        return hash(self.edges.tobytes())

    def _check_edges(self) -> None:
        name = type(self).__name__
        if len(self) > MAX_BINS:
            raise ValueError(f"{name}: there can be at most {MAX_BINS} bins, got {len(self)}")
        if not np.isfinite(self.edges).all():
            raise ValueError(f"{name}: edges must be finite float32 numbers, got {self!r}")
        steps = np.diff(self.edges)
        if not (steps > 0).all():
            at = int(np.argmin(steps > 0))
            raise ValueError(
                f"{name}: edges must increase strictly as float32 numbers, "
                f"got {float(self.edges[at])} followed by {float(self.edges[at + 1])} at {at}"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class LogBins(Bins):
    """Signed logarithmic bins. There is no range to choose, and any two such histograms merge.

    Edges are ``+-2**e * (1 + k / per_octave)`` for ``min_exponent <= e < max_exponent``, the two
    outermost ``+-2**max_exponent``, and 0. The two bins next to 0 reach to ``+-2**min_exponent``.

    Args:
        per_octave: bins from one power of two to the next; a power of two, at most 256. The
            relative error of a quantile is at most half of ``1 / per_octave``: 6.25 % for 8.
        min_exponent: exponent of the smallest positive edge, at least -126.
        max_exponent: exponent of the largest edge, at most 127.

    Raises:
        ValueError: if the above does not hold.

    Example:
        >>> from relustat import LogBins
        >>> LogBins(per_octave=2, min_exponent=0, max_exponent=1).edges.tolist()
        [-2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0]
    """

    per_octave: int = 8
    min_exponent: int = -14
    max_exponent: int = 16

    binning = BINNING_LOG

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = as_integer(f"LogBins: {field.name}", getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        if not 1 <= self.per_octave <= 256 or self.per_octave.bit_count() != 1:
            raise ValueError(
                f"LogBins: per_octave must be a power of two from 1 to 256, got {self.per_octave}"
            )
        if not -126 <= self.min_exponent < self.max_exponent <= 127:
            raise ValueError(
                "LogBins: exponents must be -126 <= min_exponent < max_exponent <= 127, "
                f"got min_exponent={self.min_exponent}, max_exponent={self.max_exponent}"
            )
        self._check_edges()

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        return _log_edges(self.per_octave, self.min_exponent, self.max_exponent)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "log", **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True, eq=False)
class LinearBins(Bins):
    """``n`` bins of equal width between ``lo`` and ``hi``.

    Edges are ``numpy.linspace(lo, hi, n + 1)`` rounded to float32, and every count equals that of
    ``numpy.histogram(x, bins=edges)``.

    Args:
        lo: left edge of the first bin.
        hi: right edge of the last bin.
        n: number of bins, at most 65532.

    Raises:
        ValueError: if ``lo >= hi``, ``n < 1``, an edge is not finite, or the bins are too narrow
            for float32 to tell their edges apart.

    Example:
        >>> from relustat import LinearBins
        >>> LinearBins(-1, 1, 4).edges.tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
    """

    lo: float
    hi: float
    n: int

    binning = BINNING_LINEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", as_integer("LinearBins: n", self.n))
        if self.n < 1:
            raise ValueError(f"LinearBins: n must be at least 1, got {self.n}")
        if self.n > MAX_BINS:
            raise ValueError(f"LinearBins: there can be at most {MAX_BINS} bins, got n={self.n}")
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo < self.hi):
            raise ValueError(
                "LinearBins: lo must be less than hi, and both finite, "
                f"got lo={self.lo!r}, hi={self.hi!r}"
            )
        object.__setattr__(self, "lo", float(self.lo))
        object.__setattr__(self, "hi", float(self.hi))
        self._check_edges()

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        return _linear_edges(self.lo, self.hi, self.n)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "linear", **dataclasses.asdict(self)}


class EdgeBins(Bins):
    """Bins between given edges.

    Args:
        edges: two or more finite numbers; strictly increasing, also after they are rounded to
            float32.

    Raises:
        ValueError: if the above does not hold.

    Example:
        >>> from relustat import EdgeBins
        >>> len(EdgeBins([-10, -1, 0, 0.5, 10]))
        4
    """

    binning = BINNING_SEARCH

    def __init__(self, edges: Sequence[float] | npt.ArrayLike) -> None:
        given = np.array(edges, dtype=np.float64)
        if given.ndim != 1 or given.size < 2:
            raise ValueError(
                "EdgeBins: edges must be a sequence of at least 2 numbers, "
                f"got {given.size} in {given.ndim}-D"
            )
        self._given = given
        self._check_edges()

    @cached_property
    def edges(self) -> npt.NDArray[np.float64]:
        return _rounded(self._given)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "edges", "edges": self.edges.tolist()}

    def __repr__(self) -> str:
        if len(self._given) <= 8:
            return f"EdgeBins({self._given.tolist()})"
        first, last = self._given[0], self._given[-1]
        return f"EdgeBins([{first:g}, ..., {last:g}]; {len(self._given)} edges)"


# Bins of many call sites share their edges. Those of the last few are kept: a small file may
# describe many bins.
@lru_cache(maxsize=64)
def _log_edges(per_octave: int, min_exponent: int, max_exponent: int) -> npt.NDArray[np.float64]:
    octaves = np.arange(min_exponent, max_exponent)
    mantissas = 1 + np.arange(per_octave) / per_octave
    positive = np.ldexp(mantissas[None, :], octaves[:, None]).ravel()
    positive = np.append(positive, np.ldexp(1.0, max_exponent))
    return _rounded(np.concatenate([-positive[::-1], [0.0], positive]))


@lru_cache(maxsize=64)
def _linear_edges(lo: float, hi: float, n: int) -> npt.NDArray[np.float64]:
    return _rounded(np.linspace(lo, hi, n + 1))


def _rounded(edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore"):  # infinite edges are reported by _check_edges
        rounded = edges.astype(np.float32).astype(np.float64)
    rounded += 0.0  # -0.0 is 0.0
    rounded.flags.writeable = False
    return rounded


def bins_from_dict(state: dict[str, Any] | None) -> Bins | None:
    """The bins whose ``to_dict()`` this is; None stays None.

    Raises:
        ValueError: if it describes no bins.
    """
    if state is None:
        return None
    makers: dict[str, Callable[..., Bins]] = {
        "log": LogBins,
        "linear": LinearBins,
        "edges": EdgeBins,
    }
    fields = dict(state)
    kind = str(fields.pop("kind", None))
    if kind not in makers:
        raise ValueError(f"bins: kind must be one of {', '.join(makers)}, got {kind!r}")
    try:
        return makers[kind](**fields)
    except TypeError as error:
        raise ValueError(f"bins: {kind} bins must have their own fields ({error})") from error
