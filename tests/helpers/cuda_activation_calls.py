"""Calls of the CUDA kernels of counting_activation and count_activation, run on the CPU.

What they must give is computed by NumPy, and shares no code with the package.
"""

import cuda_kernels
import numpy as np
import torch
from cuda_kernels import DTYPES, Case
from cuda_relu_calls import BLOCKS, ROOMY, THREADS, WORKSPACE_HEADER
from oracle import nasty_values, numpy_of, same_bits

CLAMP, SLOPE, THRESHOLD, SQUARE, NEAR_ZERO = range(1, 6)
INFINITY = float("inf")

# The activation and its two numbers. Of hardtanh-to-0 and clamp-from-negative-0 zeros keep their
# signs; some knees are no numbers of all formats.
MEMBERS = {
    "relu6": (CLAMP, 0.0, 6.0),
    "hardtanh": (CLAMP, -1.0, 1.0),
    "hardtanh-to-0": (CLAMP, -1.0, 0.0),
    "clamp-from-negative-0": (CLAMP, -0.0, 1.5),
    "clamp-to-negative-0": (CLAMP, -1.5, -0.0),
    "clamp-between-numbers": (CLAMP, 0.1, 0.7),
    "clamp-above": (CLAMP, -INFINITY, 2.0),
    "leaky_relu": (SLOPE, 0.01, 0.0),
    "slope-below-0": (SLOPE, -0.3, 0.0),
    "threshold": (THRESHOLD, 0.1, 20.0),
    "threshold-none": (THRESHOLD, -INFINITY, -0.0),
    "threshold-infinity": (THRESHOLD, 1.3, INFINITY),
    "square": (SQUARE, 0.0, 0.0),
}
NEAR_ZERO_MEMBERS = {
    "near-0.01": (NEAR_ZERO, 0.01, 0.0),
    "near-0": (NEAR_ZERO, 0.0, 0.0),
    "near-infinity": (NEAR_ZERO, INFINITY, 0.0),
}
HEADER = 6


def rounded(number, dtype):
    """A number in a dtype, as NumPy holds it."""
    return numpy_of(torch.tensor(number, dtype=torch.float64).to(dtype))


def signed_zero(is_negative):
    return np.where(is_negative, -0.0, 0.0)


def clamped(x, lower, upper):
    """max(x, lower), then min with upper, as CUDA has them: -0.0 is below 0.0."""
    at_least = np.where(x < lower, lower, x)
    both = signed_zero(np.signbit(x) & np.signbit(lower))
    at_least = np.where((x == 0) & (lower == 0), both, at_least)
    at_most = np.where(at_least > upper, upper, at_least)
    either = signed_zero(np.signbit(at_least) | np.signbit(upper))
    return np.where((at_least == 0) & (upper == 0), either, at_most)


@np.errstate(all="ignore")
def activity(x, member, dtype, slopes, observed):
    """Output, inactive and saturated elements of x, [outer, units, inner]."""
    kind, first, second = member
    never = np.zeros(x.shape, dtype=bool)
    if kind == CLAMP:
        lower, upper = rounded(first, dtype), rounded(second, dtype)
        return clamped(x, lower, upper), x <= lower, x >= upper
    if kind == THRESHOLD:
        threshold, below = rounded(first, dtype), rounded(second, dtype)
        return np.where(x <= threshold, below, x), x <= threshold, never
    if kind == SLOPE:
        slope = x.dtype.type(first) if slopes is None else numpy_of(slopes)[:, None]
        return np.where(x > 0, x, x * slope), x <= 0, never
    if kind == SQUARE:
        rectified = np.where(x <= 0, x.dtype.type(0), x)
        return rectified * rectified, x <= 0, never
    return None, np.abs(numpy_of(observed)) <= x.dtype.type(first), never


def slots_of(x, edges):
    """The number of each element's slot; -1: it is not counted."""
    if len(edges) == 0:
        return np.where(np.isnan(x), 0, -1)
    bins = len(edges) - 1
    slots = np.searchsorted(edges, x, side="right")
    slots = np.where(x == edges[-1], bins, slots)
    return np.where(np.isnan(x), bins + 2, slots)


class Call:
    """What the kernel is called with, and what it must give.

    ``layout`` is [outer, units, inner]. ``writes`` says whether there is an output; it is written
    over the input with ``in_place``. ``slopes`` is ``"one"`` or ``"each"`` for PReLU.
    """

    def __init__(
        self,
        layout,
        dtype,
        bins,
        member,
        *,
        writes=True,
        in_place=False,
        slopes=None,
        unit_histograms=False,
        offsets=(0, 0),
        calls=1,
        every=1,
        shared_bytes=ROOMY,
        most_pending=1 << 30,
        values=None,
        mask=None,
        blocks=None,
    ):
        self.member, self.calls, self.mask, self.blocks = member, calls, mask, blocks
        edges = torch.tensor(bins.edges if bins else [], dtype=torch.float32)
        self.edges = numpy_of(edges)
        nothing = torch.zeros(0, dtype=dtype)
        self.x = samples(layout, dtype, edges, member) if values is None else values.clone()
        self.units = layout[1]
        self.slopes = None
        if slopes is not None:
            self.slopes = torch.randn(self.units if slopes == "each" else 1).to(dtype)
        self.observed = None
        if member[0] == NEAR_ZERO:
            near = torch.tensor([member[1], -member[1]])
            self.observed = samples(layout, dtype, near, member) / 64
        self.rows = self.units if unit_histograms else 1
        self.slots = len(bins) + 3 if bins else 1
        self.saturates = member[0] == CLAMP
        unit_words = 4 if self.saturates else 3
        words = HEADER + unit_words * self.units + self.rows * self.slots
        self.counters = torch.zeros(words, dtype=torch.int64)
        self.counters[0] = every
        y = torch.full_like(self.x, 77) if writes and not in_place else nothing
        no_words = torch.zeros(0, dtype=torch.int64)
        numbers = [DTYPES.index(dtype), bins.binning if bins else 0, len(bins) if bins else 0]
        numbers += [*layout, self.rows, calls, member[0], int(writes)]
        numbers += [THREADS, BLOCKS, shared_bytes, most_pending]
        workspace = WORKSPACE_HEADER + (2 if self.saturates else 1) * self.units
        size = self.x.element_size()
        self.writes = writes
        self.case = Case(
            cuda_kernels.COUNTING_ACTIVATION,
            numbers,
            [
                self.x,
                edges,
                self.counters,
                *([no_words] * 2 if mask is None else [mask, mask.sum()[None]]),
                no_words if blocks is None else blocks,
                torch.tensor(member[1:], dtype=torch.float64),
                nothing if self.slopes is None else self.slopes,
                nothing if self.observed is None else self.observed,
                y,
                torch.zeros(workspace, dtype=torch.int64),
            ],
            [offsets[0] * size, *[0] * 7, offsets[1] * size, offsets[1] * size, 0],
        )

    def check(self, buffers):
        x, counters, y, workspace = buffers[0], buffers[2], buffers[9], buffers[10]
        values = numpy_of(self.x)
        output, inactive, saturated = activity(
            values, self.member, self.x.dtype, self.slopes, self.observed
        )
        if self.writes:
            expected = torch.from_numpy(np.asarray(output, values.dtype)).to(self.x.dtype)
            assert same_bits(y if y.numel() else x, expected)
        if not self.writes or y.numel():
            assert same_bits(x, self.x)
        expected = self.counters.numpy().copy()
        for _ in range(self.calls):
            self.count(expected, values, inactive, saturated)
        assert counters.tolist() == expected.tolist()
        assert not workspace.any()

    def count(self, words, values, inactive, saturated):
        """Counts one call, if it is its turn."""
        kept = np.ones(values.shape, dtype=bool)
        if self.mask is not None:
            kept &= self.mask.numpy()[:, None, :]
        if words[0] == 0 or not kept.any():
            return
        words[1] += 1
        if (words[1] - 1) % words[0] != 0:
            return
        words[2] += 1
        words[3] += kept.sum()
        if self.blocks is not None:
            words[4:6] += self.blocks.numpy()
        of_units = np.split(words[HEADER:], np.arange(1, 5) * self.units)
        zeros, dead_calls, since_fired = of_units[:3]
        inactive = (inactive & kept).sum(axis=(0, 2))
        zeros += inactive
        dead = inactive == kept.sum(axis=(0, 2))
        dead_calls += dead
        since_fired[:] = np.where(dead, since_fired + 1, 0)
        if self.saturates:
            of_units[3][:] += (saturated & kept).sum(axis=(0, 2))
        histogram = words[len(words) - self.rows * self.slots :].reshape(self.rows, self.slots)
        rows = np.arange(self.units)[None, :, None] if self.rows > 1 else 0
        rows = np.broadcast_to(rows, values.shape)
        slots = slots_of(values, self.edges)
        counted = kept & (slots >= 0)
        np.add.at(histogram, (rows[counted], slots[counted]), 1)


def samples(layout, dtype, edges, member):
    """Normal values, half of them replaced by nasty ones; the units have dead and full ones."""
    x = torch.randn(layout, dtype=torch.float64).mul(3).to(dtype)
    knees = torch.tensor(member[1:], dtype=torch.float64)
    nasty = nasty_values(dtype, torch.cat([knees, edges[:40].double()]))
    flat = x.view(-1)
    positions = torch.randperm(flat.numel())[: flat.numel() // 2]
    flat[positions] = nasty[torch.randint(len(nasty), (len(positions),))]
    # One unit is inactive, another saturated.
    x[:, 0] = -x[:, 0].nan_to_num().abs() - 2
    if layout[1] > 2:
        x[:, 2] = x[:, 2].nan_to_num().abs() + 8
    return x


def check(calls):
    for call, buffers in zip(calls, cuda_kernels.run([call.case for call in calls]), strict=True):
        call.check(buffers)
