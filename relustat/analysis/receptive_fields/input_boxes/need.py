"""What is wanted of an operation's output, asked of one of its inputs, by its autograd node."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from torch.autograd.graph import Node

from relustat.analysis.model_run.node_kinds import kind_of

from .regions import Axis, Indices, Region


@dataclasses.dataclass(frozen=True)
class Need:
    """A part of an operation's output, and the input of which a part is needed for it.

    Attributes:
        node: the operation's.
        wanted: the wanted part of the output.
        output: the number of the output.
        into: the number of the input.
        is_endless: whether maps are taken to go on beyond their borders.
    """

    node: Node
    wanted: Region
    output: int
    into: int
    is_endless: bool

    @property
    def kind(self) -> str:
        return kind_of(self.node)

    @property
    def shape(self) -> tuple[int, ...]:
        """The input's shape."""
        return output_shape(*self.node.next_functions[self.into])

    def saved(self, name: str, default: Any = None) -> Any:
        """An argument of the operation."""
        value = getattr(self.node, f"_saved_{name}", default)
        return tuple(map(_signed, value)) if isinstance(value, tuple) else _signed(value)

    def dim(self, name: str = "dim") -> int:
        """A dimension of the input that is an argument, counted from the first one."""
        return int(self.saved(name)) % len(self.shape)

    def with_axis(self, dim: int, axis: Axis) -> Region:
        """What is wanted, but another axis in place of one."""
        return (*self.wanted[:dim], axis, *self.wanted[dim + 1 :])

    def with_whole(self, dims: Iterable[int]) -> Region:
        """What is wanted, but all of some dimensions."""
        among = {dim % len(self.wanted) for dim in dims}
        return tuple(
            Axis.whole(axis.size) if dim in among else axis for dim, axis in enumerate(self.wanted)
        )

    def moved(self, dim: int, move: Callable[[Indices], Indices]) -> Region:
        """What is wanted, but each index along a dimension comes from another one."""
        return self.with_axis(dim, Axis.of(self.shape[dim], move(self.wanted[dim].flat)))


# What is needed of the input; it may go beyond its borders. None: that is not known.
Rule = Callable[[Need], Region | None]


def output_shape(node: Any, output: int) -> tuple[int, ...]:
    """The shape of what an operation has given."""
    return tuple(node._input_metadata[output].shape)


def _signed(value: Any) -> Any:
    # Negative numbers are saved as unsigned ones.
    return value - 2**64 if isinstance(value, int) and value >= 2**63 else value
