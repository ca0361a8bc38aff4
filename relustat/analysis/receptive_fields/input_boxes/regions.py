"""Regions of a tensor: which indices of each of its dimensions are wanted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

Box = tuple[tuple[int, int], ...]
Indices = frozenset[int]


@dataclasses.dataclass(frozen=True)
class Axis:
    """The wanted indices of one dimension.

    A view can make one dimension of several. They are kept apart here, so that a rectangle of a map
    that is flattened and restored is still a rectangle, and what lies outside the map stays there.

    Attributes:
        sizes: of the dimensions that it is made of; their product is its size.
        indices: the wanted ones of each.
    """

    sizes: tuple[int, ...]
    indices: tuple[Indices, ...]

    @classmethod
    def of(cls, size: int, indices: Iterable[int]) -> Axis:
        return cls((size,), (frozenset(indices),))

    @classmethod
    def whole(cls, size: int) -> Axis:
        return cls.of(size, range(size))

    @property
    def size(self) -> int:
        return math.prod(self.sizes)

    @property
    def flat(self) -> Indices:
        """The wanted indices of the dimension as one."""
        first, *others = zip(self.sizes, self.indices, strict=True)
        flat = first[1]
        for size, indices in others:
            inside = indices & frozenset(range(size))
            flat = frozenset(index * size + within for index in flat for within in inside)
        return flat

    def __or__(self, other: Axis) -> Axis:
        if self.sizes != other.sizes:
            return Axis.of(self.size, self.flat | other.flat)
        both = zip(self.indices, other.indices, strict=True)
        return Axis(self.sizes, tuple(mine | theirs for mine, theirs in both))

    def in_groups(self, size: int, groups: int) -> Axis:
        """All of the groups that hold what is wanted, of another axis in as many groups."""
        mine, others = self.size // groups, size // groups
        starts = {index // mine * others for index in self.flat}
        return Axis.of(size, (start + within for start in starts for within in range(others)))

    def clipped(self) -> Axis:
        both = zip(self.sizes, self.indices, strict=True)
        return Axis(self.sizes, tuple(within & frozenset(range(size)) for size, within in both))

    def __bool__(self) -> bool:
        return all(self.indices)


Region = tuple[Axis, ...]


def whole(shape: Sequence[int]) -> Region:
    """All of a tensor."""
    return tuple(Axis.whole(size) for size in shape)


def of_box(shape: Sequence[int], box: Sequence[tuple[int, int]]) -> Region:
    """From the first to the last index of each dimension, both included."""
    return tuple(
        Axis.of(size, range(low, high + 1)) for size, (low, high) in zip(shape, box, strict=True)
    )


def hull(region: Region) -> Box:
    """The smallest box that holds a region; (0, -1) throughout if it is empty."""
    if not all(region):
        return ((0, -1),) * len(region)
    return tuple((min(axis.flat), max(axis.flat)) for axis in region)


def union(one: Region, other: Region) -> Region:
    """The smallest region that holds both."""
    return tuple(mine | theirs for mine, theirs in zip(one, other, strict=True))


def reshaped(region: Region, shape: Sequence[int]) -> Region:
    """The region in a tensor of the same elements in row-major order, but of another shape.

    Exact where each old dimension is made of new ones, or each new one of old ones; else the
    smallest that holds it.
    """
    parts = [
        part
        for axis in region
        for part in zip(axis.sizes, axis.indices, strict=True)
        if part[0] != 1
    ]
    parts.reverse()
    axes = [Axis.whole(1) for _ in shape]
    waiting = [dim for dim, size in enumerate(shape) if size != 1]
    waiting.reverse()
    while waiting:
        # The shortest run of new dimensions that is a run of old ones.
        dims, taken = [waiting.pop()], [parts.pop()]
        while (new := math.prod(shape[dim] for dim in dims)) != (
            old := math.prod(size for size, _ in taken)
        ):
            if new < old:
                dims.append(waiting.pop())
            else:
                taken.append(parts.pop())
        sizes, indices = zip(*taken, strict=True)
        axis = Axis(sizes, indices)
        if len(dims) == 1:
            axes[dims[0]] = axis
        else:
            for dim, split in zip(dims, _split(axis, [shape[dim] for dim in dims]), strict=True):
                axes[dim] = split
    return tuple(axes)


def _split(axis: Axis, sizes: Sequence[int]) -> list[Axis]:
    remaining, axes = axis.flat, []
    for size in reversed(sizes[1:]):
        axes.append(Axis.of(size, (index % size for index in remaining)))
        remaining = frozenset(index // size for index in remaining)
    axes.append(Axis.of(sizes[0], remaining))
    return axes[::-1]
