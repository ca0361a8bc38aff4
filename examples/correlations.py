"""Correlations with intervals, in numbers and in words.

found = Correlation.of(zeros, losses)               # Spearman's and Pearson's
print(found, found.in_words("test loss"))
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
# Resamples of fewer pairs repeat each other, and their percentiles say little.
FEWEST_PAIRS = 20

Values = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Interval:
    """A correlation, and the 2.5th and 97.5th percentile of those of resampled pairs."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def sign(self) -> int:
        """The sign of all numbers in the interval; 0 if 0 is among them."""
        return int(self.low > 0) - int(self.high < 0)


@dataclasses.dataclass(frozen=True)
class Correlation:
    """The correlation of two lists of numbers: Spearman's, of their ranks, and Pearson's."""

    spearman: Interval
    pearson: Interval

    @classmethod
    def of(cls, a: npt.ArrayLike, b: npt.ArrayLike) -> Correlation | None:
        """The correlation with 95 % bootstrap intervals, or None if a list is constant.

        Raises:
            ValueError: if there are fewer than 20 pairs.
        """
        x, y = np.asarray(a, float), np.asarray(b, float)
        if len(x) < FEWEST_PAIRS:
            raise ValueError(
                f"Correlation.of: an interval takes at least {FEWEST_PAIRS} pairs, got {len(x)}"
            )
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return None
        drawn = np.random.default_rng(0).integers(len(x), size=(RESAMPLES, len(x)))
        intervals = []
        for correlate in (spearman, pearson):
            resampled = [correlate(x[each], y[each]) for each in drawn]
            intervals.append(Interval(correlate(x, y), *np.nanpercentile(resampled, [2.5, 97.5])))
        return cls(*intervals)

    def in_words(self, other: str) -> str:
        """The result as a sentence; ``other`` names the second list."""
        signs = {self.spearman.sign, self.pearson.sign}
        if signs == {0}:
            return "no correlation can be seen"
        if len(signs) > 1:
            return "unclear: one of the intervals holds 0"
        return f"where more, a {'higher' if signs == {1} else 'lower'} {other}"


def pearson(x: Values, y: Values) -> float:
    """The coefficient; NaN if a list is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: Values, y: Values) -> float:
    """The coefficient; NaN if a list is constant."""
    return pearson(ranks(x), ranks(y))


def ranks(x: Values) -> Values:
    """Ranks from 1. Equal values have the mean of their ranks."""
    _, positions, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[positions]
