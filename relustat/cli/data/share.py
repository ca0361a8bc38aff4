"""Which batches of a data set are those of one process."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Share:
    """Each ``count``-th batch, from number ``index`` on.

    Whole batches are dealt. So each batch is the one that a single process would see, no sample is
    repeated to fill another, and the counts of all shares add up to those of a single process.
    """

    index: int = 0
    count: int = 1

    def part(self, index: int, count: int) -> Share:
        """A share of this share."""
        return Share(self.index + self.count * index, self.count * count)

    def takes(self, batch: int) -> bool:
        """Whether the batch with a number is in this share."""
        return batch % self.count == self.index

    def of(self, batches: int) -> int:
        """The number of batches of this share, of a number of all batches."""
        return len(range(self.index, batches, self.count))

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"
