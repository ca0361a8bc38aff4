"""The counts of all calls with one number of units: the integers beneath the statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from relustat._checks import as_integer

from .agreement import check_agreement, check_arrays
from .counter_layout import BLOCKS, CALLS, ELEMENTS, ZERO_BLOCKS, CounterLayout
from .exact import checked
from .histogram import Int64Array

_ARRAYS = ("zeros", "dead_calls", "since_fired", "slots")


@dataclasses.dataclass(frozen=True, eq=False)
class UnitCounts:
    """The counts of all calls with one number of units.

    They agree with one another, see :mod:`relustat.stats.agreement`, and their sums are int64. A
    sum that is not raises an OverflowError.

    Attributes:
        calls: calls counted.
        elements: elements counted.
        zeros: outputs equal to 0, int64 [units]; of another activation than ReLU its inactive
            inputs, here and in what follows.
        dead_calls: calls in which all outputs of the unit were 0, int64 [units].
        since_fired: calls since the unit last gave an output other than 0, int64 [units].
        slots: int64 [1 or units, n + 3]: underflow, n bins, overflow, NaN; or only NaN.
        blocks: blocks of neighbouring units; 0 if they were not counted.
        zero_blocks: those of them whose outputs were all 0.
        saturated: inputs from the upper knee on, int64 [units]; None if there is no upper knee.
    """

    calls: int
    elements: int
    zeros: Int64Array
    dead_calls: Int64Array
    since_fired: Int64Array
    slots: Int64Array
    blocks: int = 0
    zero_blocks: int = 0
    saturated: Int64Array | None = None

    def __post_init__(self) -> None:
        check_arrays(len(self.zeros), {name: getattr(self, name) for name in self._array_names()})
        for name in self._array_names():
            counts = getattr(self, name).view()
            counts.flags.writeable = False
            object.__setattr__(self, name, counts)
        check_agreement(self)

    def _array_names(self) -> tuple[str, ...]:
        return _ARRAYS if self.saturated is None else (*_ARRAYS, "saturated")

    def _saturated(self) -> Int64Array:
        return np.zeros_like(self.zeros) if self.saturated is None else self.saturated

    def __setstate__(self, state: dict[str, Any]) -> None:
        known = _since_fired_if_unknown(state["dead_calls"], state["calls"])
        self.__dict__.update({"since_fired": known, **state})
        self.__post_init__()

    @classmethod
    def from_counters(
        cls, words: Int64Array, units: int, bins: int, saturates: bool = False
    ) -> UnitCounts:
        """Reads counters as csrc/relu/counters.h lays them out."""
        layout = CounterLayout(units, 1, bins, saturates)
        return cls(
            calls=int(words[CALLS]),
            elements=int(words[ELEMENTS]),
            zeros=words[layout.zeros].copy(),
            dead_calls=words[layout.dead_calls].copy(),
            since_fired=words[layout.since_fired].copy(),
            slots=words[layout.histograms].reshape(-1, layout.slots).copy(),
            blocks=int(words[BLOCKS]),
            zero_blocks=int(words[ZERO_BLOCKS]),
            saturated=words[layout.saturated].copy() if saturates else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists."""
        return {
            "calls": self.calls,
            "elements": self.elements,
            **{name: getattr(self, name).tolist() for name in self._array_names()},
            **({"blocks": self.blocks, "zero_blocks": self.zero_blocks} if self.blocks else {}),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> UnitCounts:
        """The counts whose :meth:`to_dict` this is; other keys do not matter."""
        calls, elements = (
            as_integer(f"from_dict: {name}", state[name]) for name in ("calls", "elements")
        )
        arrays: dict[str, Any] = {
            name: _integers(state[name]) for name in (*_ARRAYS, "saturated") if name in state
        }
        known = _since_fired_if_unknown(arrays["dead_calls"], calls)
        arrays.setdefault("since_fired", known)
        blocks: dict[str, Any] = {
            name: as_integer(f"from_dict: {name}", state.get(name, 0))
            for name in ("blocks", "zero_blocks")
        }
        return cls(calls, elements, **arrays, **blocks)

    def __eq__(self, other: object) -> bool:
        """Whether all is the same that does not depend on the order of calls."""
        if not isinstance(other, UnitCounts):
            return NotImplemented
        mine, theirs = (
            (each.calls, each.elements, each.blocks, each.zero_blocks) for each in (self, other)
        )
        return (
            mine == theirs
            and all(
                np.array_equal(getattr(self, name), getattr(other, name))
                for name in _ARRAYS
                if name != "since_fired"
            )
            and (
                np.array_equal(self._saturated(), other._saturated())
                and (self.saturated is None) == (other.saturated is None)
            )
        )

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: UnitCounts) -> UnitCounts:
        """The counts of both, side by side: the unit that fired last in either fired last."""
        return self._joined(other, np.minimum(self.since_fired, other.since_fired))

    def then(self, later: UnitCounts) -> UnitCounts:
        """The counts of both, one after the other."""
        before = np.where(later.dead_calls < later.calls, 0, self.since_fired)
        return self._joined(later, before + later.since_fired)

    def __sub__(self, earlier: UnitCounts) -> UnitCounts:
        """The counts after an earlier snapshot: ``earlier.then(self - earlier) == self``."""
        mine, before = self._like_slots(earlier)
        calls = self.calls - earlier.calls
        dead_calls = self.dead_calls - earlier.dead_calls
        since_fired = self.since_fired - np.where(dead_calls < calls, 0, earlier.since_fired)
        return UnitCounts(
            calls,
            self.elements - earlier.elements,
            self.zeros - earlier.zeros,
            dead_calls,
            # Sums of ranks may have been made at different times.
            np.clip(since_fired, 0, np.maximum(dead_calls, 0)),
            mine - before,
            self.blocks - earlier.blocks,
            self.zero_blocks - earlier.zero_blocks,
            None if self.saturated is None else self.saturated - earlier._saturated(),
        )

    def _joined(self, other: UnitCounts, since_fired: Int64Array) -> UnitCounts:
        # Before the others are added: none of them is above it.
        elements = checked("ReLUStats: the sum of elements", self.elements + other.elements)
        mine, theirs = self._like_slots(other)
        return UnitCounts(
            self.calls + other.calls,
            elements,
            self.zeros + other.zeros,
            self.dead_calls + other.dead_calls,
            since_fired,
            mine + theirs,
            self.blocks + other.blocks,
            self.zero_blocks + other.zero_blocks,
            None if self.saturated is None else self.saturated + other._saturated(),
        )

    def _like_slots(self, other: UnitCounts) -> tuple[Int64Array, Int64Array]:
        mine, theirs = self.slots, other.slots
        if mine.shape[0] != theirs.shape[0]:
            # If one of the two has no histograms per unit, the sum has none.
            mine = mine.sum(axis=0, keepdims=True)
            theirs = theirs.sum(axis=0, keepdims=True)
        return mine, theirs


def _since_fired_if_unknown(dead_calls: Int64Array, calls: int) -> Int64Array:
    """What is known if version 0.1 has counted: a unit that never fired has all calls."""
    return np.where(dead_calls == calls, dead_calls, 0)


def _integers(values: object) -> Int64Array:
    array = np.asarray(values)
    if array.size and array.dtype.kind != "i":
        raise ValueError(f"counts must be integers below 2**63, got {array.dtype}")
    return array.astype(np.int64)
