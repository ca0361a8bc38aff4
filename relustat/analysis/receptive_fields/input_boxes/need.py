"""What is wanted of an operation's output, asked of one of its inputs, by its autograd node."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

from torch.autograd.graph import Node

from .regions import Axis, Region

_NAME = re.compile(r"(\w+)Backward\d+|.*CppNode<relustat::.*::(\w+)>")


@dataclasses.dataclass(frozen=True)
class Need:
    """A part of an operation's output, and the input of which a part is needed for it.

    Attributes:
        node: the operation's.
        wanted: of its output.
        output: which output that is.
        into: which input.
        is_endless: whether maps are taken to go on beyond their borders.
    """

    node: Node
    wanted: Region
    output: int
    into: int
    is_endless: bool

    @property
    def name(self) -> str:
        """Of PyTorch's operation or of relustat's; empty for others."""
        match = _NAME.fullmatch(self.node.name())
        return (match[1] or match[2]) if match else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the input."""
        return output_shape(*self.node.next_functions[self.into])

    def saved(self, name: str, default: Any = None) -> Any:
        """An argument of the operation."""
        value = getattr(self.node, f"_saved_{name}", default)
        return tuple(map(_signed, value)) if isinstance(value, tuple) else _signed(value)

    def with_whole(self, dims: Iterable[int]) -> Region:
        """What is wanted, but all of some dimensions."""
        among = {dim % len(self.wanted) for dim in dims}
        return tuple(
            Axis.whole(axis.size) if dim in among else axis for dim, axis in enumerate(self.wanted)
        )

    def moved(self, dim: int, move: Callable[[int], int]) -> Region:
        """What is wanted, but each index along a dimension comes from another one."""
        axes = list(self.wanted)
        axes[dim] = Axis.of(self.shape[dim], map(move, axes[dim].flat))
        return tuple(axes)


# What is needed of the input; it may go beyond its borders. None: that is not known.
Rule = Callable[[Need], Region | None]


def output_shape(node: Any, output: int) -> tuple[int, ...]:
    """Of what an operation has given."""
    return tuple(node._input_metadata[output].shape)


def _signed(value: Any) -> Any:
    # Negative numbers are saved as unsigned ones.
    return value - 2**64 if isinstance(value, int) and value >= 2**63 else value
