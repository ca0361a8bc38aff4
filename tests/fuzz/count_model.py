"""What the counters must hold after a series of calls, by NumPy alone: no code of the package."""

import math

import numpy as np
from oracle import numpy_of


class CountModel:
    """The counts of one activation, by number of units.

    Args:
        edges: float64 [bins + 1]; None without bins.
        unit_histograms: whether each unit has a histogram.
        every: one call in so many is counted.
        block: units in a block, or None.
        saturates: whether there is an upper knee.
    """

    def __init__(self, edges=None, unit_histograms=False, every=1, block=None, saturates=False):
        self.edges, self.unit_histograms, self.every = edges, unit_histograms, every
        self.block, self.saturates = block, saturates
        self.enabled = True
        self.ticks, self.widths = {}, {}

    def count(self, x, inactive, saturated=None, unit_dims=(), mask=None):
        """Adds a call.

        Args:
            x: a tensor, the input.
            inactive, saturated: bool arrays of x's shape.
            unit_dims: the dimensions of the units, ascending; none: all of x is one unit.
            mask: a bool array that expands to x's shape without its units, or None.
        """
        others = [size for dim, size in enumerate(x.shape) if dim not in unit_dims]
        kept = np.broadcast_to(True if mask is None else mask, others).ravel()
        if x.numel() == 0 or not kept.any() or not self.enabled:
            return
        values, inactive = (
            by_unit(each, unit_dims)[:, kept] for each in (numpy_of(x.resolve_neg()), inactive)
        )
        width = len(values)
        tick = self.ticks[width] = self.ticks.get(width, 0) + 1
        if (tick - 1) % self.every:
            return
        counts = self.widths.setdefault(width, self.nothing(width))
        zeros = inactive.sum(1)
        dead = zeros == inactive.shape[1]
        counts["calls"] += 1
        counts["elements"] += values.size
        counts["zeros"] += zeros
        counts["dead_calls"] += dead
        counts["since_fired"] = np.where(dead, counts["since_fired"] + 1, 0)
        if saturated is not None:
            counts["saturated"] += by_unit(saturated, unit_dims)[:, kept].sum(1)
        rows = values if self.unit_histograms else values.reshape(1, -1)
        counts["slots"] += np.stack([self.histogram(row) for row in rows])
        if self.block is not None:
            starts = range(0, width, self.block)
            counts["blocks"] += len(starts) * inactive.shape[1]
            counts["zero_blocks"] += sum(
                int(inactive[start : start + self.block].all(0).sum()) for start in starts
            )

    def nothing(self, width):
        rows = width if self.unit_histograms else 1
        slots = 1 if self.edges is None else len(self.edges) + 2
        arrays = {name: np.zeros(width, int) for name in ("zeros", "dead_calls", "since_fired")}
        saturated = np.zeros(width, int) if self.saturates else None
        numbers = dict.fromkeys(("calls", "elements", "blocks", "zero_blocks"), 0)
        return {
            **numbers,
            **arrays,
            "slots": np.zeros((rows, slots), int),
            "saturated": saturated,
        }

    @np.errstate(invalid="ignore")
    def histogram(self, values):
        nan = int(np.isnan(values).sum())
        if self.edges is None:
            return [nan]
        counts, _ = np.histogram(values, self.edges)
        outside = int((values < self.edges[0]).sum()), int((values > self.edges[-1]).sum())
        return [outside[0], *counts, outside[1], nan]

    def reset(self):
        self.ticks, self.widths = {}, {}

    def check(self, stats):
        """Asserts that statistics have these counts, all of them."""
        assert set(stats.by_width) == set(self.widths)
        for width, counts in stats.by_width.items():
            mine = self.widths[width]
            found = {name: getattr(counts, name) for name in mine}
            for name, value in found.items():
                assert np.array_equal(value, mine[name]), (name, value, mine[name])
        assert stats.elements == sum(each["elements"] for each in self.widths.values())
        assert stats.inactive == sum(int(each["zeros"].sum()) for each in self.widths.values())


def by_unit(array, unit_dims):
    """[units, positions]: units of several dimensions in the order of these."""
    others = [dim for dim in range(array.ndim) if dim not in unit_dims]
    units = math.prod(array.shape[dim] for dim in unit_dims)
    return np.transpose(array, (*unit_dims, *others)).reshape(units, -1)


def unit_dims_of(shape, unit_dim):
    """The dimensions of units, ascending, of what a user gives as ``unit_dim``."""
    dims = len(shape)
    if not dims:
        return ()
    if unit_dim == "auto":
        # As the README says: channels, features, or none.
        if dims in (2, 4, 5):
            return (1,)
        return () if dims == 1 and shape[0] > 65536 else (dims - 1,)
    given = unit_dim if isinstance(unit_dim, tuple) else (unit_dim,)
    return tuple(sorted(dim % dims for dim in given))
