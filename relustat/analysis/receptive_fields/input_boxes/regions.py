"""Regions of a tensor: which indices of each of its dimensions are wanted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Box = tuple[tuple[int, int], ...]
Indices = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Axis:
    """The wanted indices of one dimension.

    A view can make one dimension of several. They are kept apart here, so that a rectangle of a map
    that is flattened and restored is still a rectangle, and what lies outside the map stays there.

    Attributes:
        sizes: the sizes of the dimensions that it is made of; their product is its size.
        indices: the wanted ones of each, int64, in increasing order.
    """

    sizes: tuple[int, ...]
    indices: tuple[Indices, ...]

    @classmethod
    def of(cls, size: int, indices: npt.ArrayLike) -> Axis:
        return cls((size,), (np.unique(np.asarray(indices, dtype=np.int64)),))

    @classmethod
    def whole(cls, size: int) -> Axis:
        return cls((size,), (np.arange(size),))

    @property
    def size(self) -> int:
        return math.prod(self.sizes)

    @property
    def flat(self) -> Indices:
        """The wanted indices of the dimension as one."""
        flat, *others = self.indices
        for size, indices in zip(self.sizes[1:], others, strict=True):
            flat = np.add.outer(flat * size, _within(indices, size)).ravel()
        return flat

    def __or__(self, other: Axis) -> Axis:
        if self.sizes != other.sizes:
            return Axis.of(self.size, np.union1d(self.flat, other.flat))
        return Axis(self.sizes, tuple(map(np.union1d, self.indices, other.indices)))

    def in_groups(self, size: int, groups: int) -> Axis:
        """All of the groups that hold what is wanted, of another axis in as many groups."""
        mine, others = self.size // groups, size // groups
        return Axis.of(size, np.add.outer(self.flat // mine * others, np.arange(others)))

    def clipped(self) -> Axis:
        return Axis(self.sizes, tuple(map(_within, self.indices, self.sizes)))

    def __bool__(self) -> bool:
        return all(map(len, self.indices))


Region = tuple[Axis, ...]


def _within(indices: Indices, size: int) -> Indices:
    return indices[(indices >= 0) & (indices < size)]


def whole(shape: Sequence[int]) -> Region:
    """All of a tensor."""
    return tuple(map(Axis.whole, shape))


def of_box(shape: Sequence[int], box: Sequence[tuple[int, int]]) -> Region:
    """From the first to the last index of each dimension, both included."""
    return tuple(
        Axis.of(size, np.arange(low, high + 1))
        for size, (low, high) in zip(shape, box, strict=True)
    )


def hull(region: Region) -> Box:
    """The smallest box that holds a region; (0, -1) throughout if it is empty."""
    if not all(region):
        return ((0, -1),) * len(region)
    return tuple((int(axis.flat[0]), int(axis.flat[-1])) for axis in region)


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
        split = [axis] if len(dims) == 1 else _split(axis, [shape[dim] for dim in dims])
        for dim, part in zip(dims, split, strict=True):
            axes[dim] = part
    return tuple(axes)


def _split(axis: Axis, sizes: Sequence[int]) -> list[Axis]:
    remaining, axes = axis.flat, []
    for size in reversed(sizes[1:]):
        axes.append(Axis.of(size, remaining % size))
        remaining = remaining // size
    axes.append(Axis.of(sizes[0], remaining))
    return axes[::-1]
