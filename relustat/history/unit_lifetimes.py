"""When units were dead, died and were revived: integers that add up from epoch to epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from relustat._checks import as_integer
from relustat.stats.histogram import Counts
from relustat.stats.relu_stats import ReLUStats

_ARRAYS = ("dead_epochs", "deaths", "revivals", "dead")


@dataclasses.dataclass(frozen=True, eq=False)
class Lives:
    """What became of the units of one width at one call site in some epochs.

    ``lives + later`` is what became of them in the epochs of both.

    Attributes:
        epochs: how many epochs had inputs of the width.
        dead_epochs: in how many of them the unit was dead, that is gave only zeros; int64 [units].
        deaths: in how many it was dead, and not in the epoch before; int64 [units].
        revivals: in how many it was not dead, but in the epoch before; int64 [units].
        dead: 1 where the unit is dead in the last of them, else 0; int64 [units].
    """

    epochs: int
    dead_epochs: Counts
    deaths: Counts
    revivals: Counts
    dead: Counts

    @classmethod
    def in_epoch(cls, stats: ReLUStats, before: Lives | None) -> Lives:
        """What became of them in one epoch, with its counts; ``before`` it, if there was any."""
        dead = (stats.unit_zeros == stats.unit_elements).astype(np.int64)
        change = dead - (dead if before is None else before.dead)
        return cls(1, dead, np.maximum(change, 0), np.maximum(-change, 0), dead)

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            counts = getattr(self, name).view()
            if counts.dtype != np.int64 or counts.ndim != 1 or len(counts) != len(self.dead):
                raise ValueError(f"Lives: {name} must be int64 [units], got {counts!r}")
            counts.flags.writeable = False
            object.__setattr__(self, name, counts)
        alive_epochs = self.epochs - self.dead_epochs
        # Deaths and revivals take turns.
        dead_at_first = self.dead - self.deaths + self.revivals
        within = (
            (self.deaths, self.dead_epochs),
            (self.dead, self.dead_epochs),
            (self.revivals, alive_epochs),
            (1 - self.dead, alive_epochs),
            (dead_at_first, 1),
        )
        if not all(((few >= 0) & (few <= most)).all() for few, most in within):
            raise ValueError(
                "Lives: counts must agree: units die and are revived in turn, in an epoch in which "
                f"they are dead and in one in which they are not; got {self}"
            )

    def __add__(self, later: Lives) -> Lives:
        return Lives(
            self.epochs + later.epochs,
            self.dead_epochs + later.dead_epochs,
            self.deaths + later.deaths,
            self.revivals + later.revivals,
            later.dead,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lives):
            return NotImplemented
        return self.epochs == other.epochs and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS
        )

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists."""
        return {"epochs": self.epochs, **{name: getattr(self, name).tolist() for name in _ARRAYS}}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Lives:
        """What became of them, of which :meth:`to_dict` this is; other keys do not matter."""
        epochs = as_integer("epochs", state["epochs"])
        return cls(epochs, *(np.asarray(state[name]) for name in _ARRAYS))
