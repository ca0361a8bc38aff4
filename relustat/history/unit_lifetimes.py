"""When units were dead, died and were revived: integers that add up from epoch to epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from relustat._checks import as_integer
from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats

_ARRAYS = ("dead_epochs", "deaths", "revivals", "dead")


@dataclasses.dataclass(frozen=True, eq=False)
class UnitLifetimes:
    """When the units of one width at one call site were dead, died and were revived.

    ``lifetimes + later`` are the lifetimes over the epochs of both.

    Attributes:
        epochs: number of epochs with inputs of the width.
        dead_epochs: number of epochs in which the unit was dead; int64 [units].
        deaths: number of epochs in which it was dead, and alive in the one before; int64 [units].
        revivals: number of epochs in which it was alive, and dead in the one before; int64 [units].
        dead: 1 where the unit is dead in the last of these epochs, else 0; int64 [units].
    """

    epochs: int
    dead_epochs: Int64Array
    deaths: Int64Array
    revivals: Int64Array
    dead: Int64Array

    @classmethod
    def in_epoch(cls, stats: ReLUStats, before: UnitLifetimes | None) -> UnitLifetimes:
        """The lifetimes of one epoch, from its counts and the lifetimes before it, if any."""
        dead = (stats.unit_inactive == stats.unit_elements).astype(np.int64)
        change = dead - (dead if before is None else before.dead)
        return cls(1, dead, np.maximum(change, 0), np.maximum(-change, 0), dead)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            counts = getattr(self, name).view()
            if counts.dtype != np.int64 or counts.ndim != 1 or len(counts) != len(self.dead):
                raise ValueError(f"UnitLifetimes: {name} must be int64 [units], got {counts!r}")
            counts.flags.writeable = False
            object.__setattr__(self, name, counts)
        alive_epochs = self.epochs - self.dead_epochs
        within = (
            (self.deaths, self.dead_epochs),
            (self.dead, self.dead_epochs),
            (self.revivals, alive_epochs),
            (1 - self.dead, alive_epochs),
            (self.dead_before, 1),
        )
        if self.epochs < 1 or not all(((few >= 0) & (few <= most)).all() for few, most in within):
            raise ValueError(
                "UnitLifetimes: counts must agree: a unit dies and is revived in turn, and it dies "
                f"in an epoch in which it is dead; got {self}"
            )

    @property
    def dead_before(self) -> Int64Array:
        """1 where the unit was dead before these epochs, if it was known then; int64 [units].

        Deaths and revivals take turns. A unit that is dead in the very first epoch has not died.
        """
        return self.dead - self.deaths + self.revivals

    def __add__(self, later: UnitLifetimes) -> UnitLifetimes:
        return UnitLifetimes(
            self.epochs + later.epochs,
            self.dead_epochs + later.dead_epochs,
            self.deaths + later.deaths,
            self.revivals + later.revivals,
            later.dead,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnitLifetimes):
            return NotImplemented
        return self.epochs == other.epochs and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS
        )

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists."""
        return {"epochs": self.epochs, **{name: getattr(self, name).tolist() for name in _ARRAYS}}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> UnitLifetimes:
        """The lifetimes whose :meth:`to_dict` this is; other keys do not matter."""
        epochs = as_integer("epochs", state["epochs"])
        return cls(epochs, *(np.asarray(state[name]) for name in _ARRAYS))
