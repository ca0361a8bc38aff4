"""How far a pass is, how fast, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts the batches and the samples of a pass.

    Args:
        batches: the number of all batches; None if it is not known.
        limit: the number of samples with which the pass ends; None: there is none.
        clock: gives seconds.
    """

    def __init__(
        self,
        batches: int | None = None,
        limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._all_batches = batches
        self._limit = limit
        self._clock = clock
        self.begin(0, 0)

    def begin(self, batches: int, samples: int) -> None:
        """Starts the clock after batches and samples that an earlier process has counted."""
        self.batches, self.samples = batches, samples
        self._samples_before, self._share_before = samples, self.share or 0.0
        self._began = self._clock()

    def advance(self, samples: int) -> None:
        """Adds a batch."""
        self.batches += 1
        self.samples += samples

    @property
    def is_at_limit(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self.samples >= self._limit

    @property
    def share(self) -> float | None:
        """The part of the pass that is done, 0 to 1; None if its length is not known."""
        shares = []
        if self._all_batches:
            shares.append(self.batches / self._all_batches)
        if self._limit:
            shares.append(self.samples / self._limit)
        return min(max(shares), 1.0) if shares else None

    @property
    def seconds_left(self) -> float | None:
        """An estimate; None if nothing is known."""
        if self.share is None or self.share <= self._share_before:
            return None
        elapsed = self._clock() - self._began
        return elapsed * (1 - self.share) / (self.share - self._share_before)

    @property
    def rate(self) -> float:
        """Samples in a second."""
        elapsed = self._clock() - self._began
        return (self.samples - self._samples_before) / elapsed if elapsed > 0 else 0.0

    def __str__(self) -> str:
        parts = [f"{self.samples:,} samples"]
        if self.share is not None:
            parts.append(f"{self.share:.0%}")
        parts.append(f"{self.rate:,.3g}/s" if self.rate < 1000 else f"{self.rate:,.0f}/s")
        if self.seconds_left is not None:
            parts.append(f"{_clock_time(self.seconds_left)} left")
        return ", ".join(parts)


def _clock_time(seconds: float) -> str:
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"
