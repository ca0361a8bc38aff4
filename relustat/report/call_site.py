"""What a report says of a call site beside its counts."""

from __future__ import annotations

from typing import Any, NamedTuple

from relustat._messages import some
from relustat._printable import printable


class CallSite(NamedTuple):
    """Where a ReLU is computed, and how its units were found.

    Attributes:
        module: the path of the module that computes it, or that calls a function.
        place: the name of the first of the calls that one position of the code makes in a forward.
        after: the paths of the layers that made its inputs, as far as they are known.
        units: which dimension was assumed to have its units, or that it was given; empty if the
            units were followed from a layer.
    """

    module: str
    place: str
    after: tuple[str, ...] = ()
    units: str = ""

    @classmethod
    def from_dict(cls, name: str, state: dict[str, Any]) -> CallSite:
        """What a file says of the call site ``name``; files of 0.1.0 say nothing."""
        if not state:
            return cls(name, name)
        try:
            module, place, after, units = (state[key] for key in cls._fields)
            if all(isinstance(text, str) for text in (module, place, units, *after)):
                return cls(module, place, tuple(after), units)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{printable(name)}: must say where it is, got {state!r}") from error
        raise ValueError(f"{printable(name)}: must say in texts where it is, got {state!r}")

    def merged(self, other: CallSite) -> CallSite:
        """What both say of one call site, or of two of one module."""
        units = dict.fromkeys(filter(None, (self.units, other.units)))
        return self._replace(
            after=tuple(dict.fromkeys((*self.after, *other.after))), units=", ".join(units)
        )

    def short_after(self) -> str:
        """The layers, without the path that they share with the module."""
        shared = self.module.split(".")
        return some(_below(layer.split("."), shared) for layer in self.after)


def _below(layer: list[str], shared: list[str]) -> str:
    same = 0
    while same < min(len(layer) - 1, len(shared)) and layer[same] == shared[same]:
        same += 1
    return ".".join(layer[same:])
