"""What an operation on a model did, and what it left as it was."""

from __future__ import annotations

from typing import NamedTuple

from relustat._messages import align, many, named, some
from relustat._printable import printable


class Change(NamedTuple):
    """Units of a layer that were changed.

    Attributes:
        call_site: the call site at which they were dead.
        layer: the path of the layer that makes them.
        units: their indices.
        readers: the paths of the layers that read them.
    """

    call_site: str
    layer: str
    units: tuple[int, ...]
    readers: tuple[str, ...]


class Skipped(NamedTuple):
    """A call site that has dead units and was left as it was.

    Attributes:
        call_site: its name.
        dead: the number of its dead units.
        reason: why.
    """

    call_site: str
    dead: int
    reason: str


class Operation(NamedTuple):
    """What was done, to be printed. It is true if anything was.

    Attributes:
        verb: what was done to units, in the past.
        done: the changes, in the order of the report.
        skipped: the call sites whose dead units were left as they were.

    Example:
        >>> from relustat.surgery import Change, Operation
        >>> print(Operation("reinitialised", [Change("relu", "fc1", (2, 5), ("fc2",))], []))
        relu  2 units of fc1 reinitialised: 2, 5; read by fc2
    """

    verb: str
    done: list[Change]
    skipped: list[Skipped]

    def __bool__(self) -> bool:
        return bool(self.done)

    @property
    def units(self) -> int:
        """The number of units that were changed."""
        return sum(len(change.units) for change in self.done)

    def __str__(self) -> str:
        if not self.done and not self.skipped:
            return f"no unit was {self.verb}: none is dead"
        lines = [[named(each.call_site), self._described(each)] for each in self.done]
        lines += [
            [named(each.call_site), f"{many(each.dead, 'unit')} left as before: {each.reason}"]
            for each in self.skipped
        ]
        return "\n".join(align(lines))

    def _described(self, change: Change) -> str:
        units, layer = many(len(change.units), "unit"), printable(change.layer)
        readers = some(change.readers)
        indices = some(map(str, change.units))
        return f"{units} of {layer} {self.verb}: {indices}; read by {readers}"
