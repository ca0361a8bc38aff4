"""The CUDA kernels of relu_max_pool, run on the CPU, against the reference."""

import itertools
import math

import cuda_kernels
import pytest
import torch
from cuda_kernels import DTYPES, Case
from cuda_relu_calls import BLOCKS, ROOMY, THREADS, WORKSPACE_HEADER
from oracle import BINS, nasty_values, same_bits

from relustat import reference
from relustat.ops.pool_geometry import PoolGeometry
from relustat.stats.bins import BINNING_NONE
from relustat.stats.counter_layout import EVERY, CounterLayout

KINDS = ["log", "linear", "edges", "none"]
QUADS = (2, 2, 0, 1, False)
# [batch, channels, height, width] with windows of 2 x 2 that are whole vectors: few planes and
# many, planes longer than a block is wide, a width of one vector.
SHAPES = [(2, 3, 4, 8), (1, 1, 2, 16), (3, 5, 6, 8), (20, 2, 4, 4), (2, 2, 64, 48), (1, 3, 90, 32)]
# Geometries and sizes of all others.
OTHERS = [
    ((2, 3, 5, 8), QUADS),
    ((2, 3, 4, 6), QUADS),
    ((2, 3, 4, 7), QUADS),
    ((2, 3, 9, 8), (3, 2, 1, 1, False)),
    ((2, 3, 8, 8), (2, 2, 1, 1, False)),
    ((2, 3, 8, 8), (2, 1, 0, 1, False)),
    ((2, 3, 7, 9), (3, 2, 1, 2, True)),
    ((1, 2, 20, 21), (17, 2, 5, 1, False)),
]


def samples(shape, dtype, edges):
    x = torch.randn(shape, dtype=torch.float64).mul(2).to(dtype)
    nasty = nasty_values(dtype, edges[:40])
    where = torch.rand(shape) < 0.3
    x[where] = nasty[torch.randint(len(nasty), (int(where.sum()),))]
    x[:, 0] = -x[:, 0].nan_to_num().abs()
    return x


class Call:
    """What the kernels and the reference are both called with."""

    def __init__(
        self,
        shape,
        dtype,
        bins,
        geometry=QUADS,
        *,
        unit_dim=1,
        unit_histograms=False,
        every=1,
        shared_bytes=ROOMY,
        offset=0,
        wide=False,
    ):
        edges = torch.tensor(bins.edges if bins else [], dtype=torch.float32)
        self.x = samples(shape, dtype, edges)
        self.pooling = PoolGeometry.of("relu_max_pool", len(shape) - 2, *geometry)
        units = self.x.shape[unit_dim]
        outer, inner = math.prod(shape[:unit_dim]), math.prod(shape[unit_dim + 1 :])
        self.count = len(bins) if bins else 0
        self.binning = bins.binning if bins else BINNING_NONE
        rows = units if unit_histograms else 1
        size = CounterLayout(units, rows, self.count).size
        self.counters = torch.zeros(size, dtype=torch.int64)
        self.counters[EVERY] = every
        self.edges, self.unit_dim = edges, unit_dim
        windows = self.pooling.output_size("relu_max_pool", shape[2:])
        y = torch.full((*shape[:2], *windows), 77, dtype=dtype)
        offsets = torch.full(y.shape, 77, dtype=self.pooling.offsets_dtype)
        numbers = [DTYPES.index(dtype), self.binning, self.count, outer, units, inner, rows]
        numbers += [THREADS, BLOCKS, shared_bytes, 1 << 30, int(offsets.dtype == torch.int16)]
        numbers += [shape[0] * shape[1], 1, *[1, 1, 1, 1, 0, 1] * (5 - len(shape))]
        for axis, cells in enumerate(shape[2:]):
            numbers += [cells, windows[axis], self.pooling.kernel_size[axis]]
            numbers += [self.pooling.stride[axis], self.pooling.padding[axis]]
            numbers.append(self.pooling.dilation[axis])
        workspace = torch.zeros(WORKSPACE_HEADER + units, dtype=torch.int64)
        is_pooled = torch.full((1,), 77)
        buffers = [self.x, edges, self.counters, y, offsets, workspace, is_pooled]
        self.case = Case(
            cuda_kernels.RELU_MAX_POOL,
            [*numbers, int(wide)],
            buffers,
            [offset * self.x.element_size(), *[0] * 6],
        )

    def check(self, buffers):
        """Returns whether one kernel did all."""
        x, _, counters, y, offsets, workspace, is_pooled = buffers
        expected = self.counters.clone()
        counting = expected, self.edges, self.unit_dim, self.binning, None, None
        reference.relu_max_pool(self.x, *counting, *self.pooling.arguments)
        # CUDA's ReLU gives 0 for -0.0.
        rectified = torch.where(self.x <= 0, 0, self.x)
        expected_y, expected_offsets = reference.max_pool(rectified, *self.pooling.arguments)
        assert same_bits(y, expected_y)
        assert torch.equal(offsets, expected_offsets)
        assert counters.tolist() == expected.tolist()
        assert torch.equal(x.isnan(), self.x.isnan())
        assert not workspace.any()
        return bool(is_pooled)


def check(calls):
    results = cuda_kernels.run([call.case for call in calls])
    return [call.check(buffers) for call, buffers in zip(calls, results, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_quads_are_one_kernel(dtype, kind):
    calls = [
        Call(shape, dtype, BINS[kind], every=every)
        for shape, every in itertools.product(SHAPES, (1, 0))
    ]
    is_one_kernel = check(calls)
    if dtype == torch.float64:
        assert not any(is_one_kernel)
    else:
        assert sum(is_one_kernel) >= len(calls) - 4  # where all counts fit beside so few elements


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_other_windows_are_two(dtype, kind):
    for wide in (False, True):
        calls = [Call(shape, dtype, BINS[kind], each, wide=wide) for shape, each in OTHERS]
        # Three windows in a row are whole vectors of float32 only.
        is_quads = [shape[-1] == 6 and dtype == torch.float32 and not wide for shape, _ in OTHERS]
        assert check(calls) == is_quads


@pytest.mark.parametrize("unit_dim", [0, 1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_units_of_any_dimension(dtype, unit_dim):
    kernels = check([Call((2, 3, 64, 48), dtype, BINS["linear"], unit_dim=unit_dim)])
    assert kernels == [unit_dim < 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_histograms_per_unit_little_memory_and_inputs_off_alignment(dtype):
    shape = (2, 3, 64, 48)
    ways = [{"unit_histograms": True}, {"shared_bytes": 512}, {"offset": 1}]
    for way in ways:
        assert check([Call(shape, dtype, BINS["linear"], **way)]) == [False]
