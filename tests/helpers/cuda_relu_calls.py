"""Calls of the CUDA kernel of counting_relu, run on the CPU and checked against the reference."""

import cuda_kernels
import torch
from cuda_kernels import DTYPES, Case
from oracle import nasty_values, same_bits

from relustat import reference
from relustat.stats.bins import BINNING_NONE
from relustat.stats.counter_layout import EVERY, CounterLayout

THREADS = 64

BLOCKS = 3

ROOMY = 64 * 1024  # bytes of shared memory

WORKSPACE_HEADER = 2


class Call:
    """What the kernel and the reference are both called with."""

    def __init__(
        self,
        layout,
        dtype,
        bins,
        *,
        unit_histograms=False,
        in_place=False,
        offsets=(0, 0),
        calls=1,
        streams=1,
        every=1,
        shared_bytes=ROOMY,
        most_pending=1 << 30,
        values=None,
        mask=None,
        blocks=None,
    ):
        self.bins = bins
        edges = torch.tensor(bins.edges if bins else [], dtype=torch.float32)
        self.edges = edges
        units = layout[1]
        self.x = samples(layout, dtype, edges) if values is None else values.reshape(layout)
        count = len(bins) if bins else 0
        rows = units if unit_histograms else 1
        self.counters = torch.zeros(CounterLayout(units, rows, count).size, dtype=torch.int64)
        self.counters[EVERY] = every
        self.calls = calls * streams
        self.mask, self.blocks = mask, blocks
        nothing = torch.zeros(0, dtype=torch.int64)
        besides = [nothing, nothing] if mask is None else [mask, mask.sum()[None]]
        besides.append(nothing if blocks is None else blocks)
        y = torch.full_like(self.x, 77) if not in_place else self.x[:0]
        workspace = torch.zeros(WORKSPACE_HEADER + units, dtype=torch.int64)
        numbers = [DTYPES.index(dtype), self.binning, count, *layout, rows, calls, streams]
        numbers += [THREADS, BLOCKS, shared_bytes, most_pending]
        size = self.x.element_size()
        self.case = Case(
            cuda_kernels.COUNTING_RELU,
            numbers,
            [self.x, edges, self.counters, *besides, *[y, workspace] * streams],
            [offsets[0] * size, 0, 0, 0, 0, 0, *[offsets[1] * size, 0] * streams],
        )

    @property
    def binning(self):
        return self.bins.binning if self.bins else BINNING_NONE

    def check(self, buffers):
        x, _, counters, _, _, _, y = buffers[:7]
        output = y if y.numel() else x
        expected = self.counters.clone()
        for _ in range(self.calls):
            relu = reference.counting_relu(
                self.x, expected, self.edges, 1, self.binning, self.mask, self.blocks
            )
        # CUDA's ReLU gives 0 for -0.0.
        assert same_bits(output, torch.where(self.x == 0, 0, relu))
        assert counters.tolist() == expected.tolist()
        for other in buffers[7::2]:
            assert not other.any()


def samples(layout, dtype, edges):
    x = torch.randn(layout, dtype=torch.float64).mul(2).to(dtype)
    nasty = nasty_values(dtype, edges[:40])
    flat = x.view(-1)
    positions = torch.randperm(flat.numel())[: flat.numel() // 2]
    flat[positions] = nasty[torch.randint(len(nasty), (len(positions),))]
    # One unit is dead.
    x[:, 0] = -x[:, 0].nan_to_num().abs()
    return x


def check(calls):
    for call, buffers in zip(calls, cuda_kernels.run([call.case for call in calls]), strict=True):
        call.check(buffers)
