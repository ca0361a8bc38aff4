"""The CUDA kernels of max_pool and max_unpool, run on the CPU, against the reference."""

import itertools

import cuda_kernels
import pytest
import torch
from cuda_kernels import DTYPES, Case
from oracle import same_bits
from pool_cases import nasty

from relustat import reference
from relustat.ops import library
from relustat.ops.max_pool import OVERLAPS
from relustat.ops.pool_geometry import PoolGeometry

# Sizes and [kernel, stride, padding, dilation, ceil_mode]: the windows that have kernels of their
# own, in widths that vectors fit and do not; others; more than 256 taps; in one to three axes.
POOLINGS = [
    ((6, 16), (2, 2, 0, 1, False)),
    ((5, 14), (2, 2, 0, 1, False)),
    ((5, 14), (2, 2, 0, 1, True)),
    ((7, 9), (2, 2, 0, 1, False)),
    ((6, 8), (2, 2, 1, 1, False)),
    ((6, 9), (2, 1, 0, 1, False)),
    ((9, 17), (3, 2, 0, 1, False)),
    ((8, 16), (3, 2, 1, 1, False)),
    ((8, 7), (3, 2, 1, 1, True)),
    ((7, 7), (3, 3, 0, 1, False)),
    ((1, 1), (3, 2, 1, 1, False)),
    ((9, 11), (3, 2, 1, 2, False)),
    ((11, 13), (5, 3, 2, 1, True)),
    ((6, 7), ((3, 2), (1, 2), (1, 0), (2, 3), False)),
    ((6, 7), (1, 3, 0, 1, False)),
    ((20, 21), (17, 2, 5, 1, False)),
    ((13,), (3, 2, 1, 1, False)),
    ((13,), (4, 6, 1, 1, True)),
    ((4, 5, 6), (2, 2, 0, 1, False)),
    ((4, 5, 6), (3, 2, 1, 1, True)),
    ((4, 5, 6), ((1, 2, 3), (2, 1, 2), (0, 1, 1), (1, 2, 1), False)),
    ((5, 16), (2, 2, 0, 1, False)),
    ((5, 16), (2, 2, 0, 1, True)),
]
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
BATCH = 2


def channels_of(dtype):
    """Numbers of channels that are whole vectors, and that are not."""
    return 16 // dtype.itemsize, 3


def each_pooling(dtype):
    """Yields (x, pooling, whether indices are wide) for every size, layout and kind of index."""
    for (size, geometry), channels in itertools.product(POOLINGS, channels_of(dtype)):
        axes = len(size)
        pooling = PoolGeometry.of("max_pool", axes, *geometry)
        x = nasty((BATCH, channels, *size), dtype)
        for wide in (False, True):
            yield x, pooling, wide
            if axes in CHANNELS_LAST:
                yield x.contiguous(memory_format=CHANNELS_LAST[axes]), pooling, wide


def is_channels_last(x):
    return not x.is_contiguous()


def in_memory_order(x):
    """As a contiguous tensor."""
    return x.movedim(1, -1).contiguous() if is_channels_last(x) else x


def as_before(flat, like):
    if not is_channels_last(like):
        return flat
    return flat.movedim(-1, 1)


def geometry_numbers(x, pooling, wide):
    """planes, channels, the windows along d, h and w, and whether indices are wide."""
    channels = x.shape[1] if is_channels_last(x) else 1
    planes = x.shape[0] * (1 if is_channels_last(x) else x.shape[1])
    size = x.shape[2:]
    windows = pooling.output_size("max_pool", size)
    numbers = [1, 1, 1, 1, 0, 1] * (3 - len(size))
    for axis, cells in enumerate(size):
        numbers += [cells, windows[axis], pooling.kernel_size[axis], pooling.stride[axis]]
        numbers += [pooling.padding[axis], pooling.dilation[axis]]
    return [planes, channels, *numbers, int(wide)]


def is_wide(offsets):
    return int(offsets.dtype == torch.int16)


def run(cases, offset=0):
    """``offset``: by how many bytes the first buffer starts off alignment."""
    return cuda_kernels.run([Case(*case, [offset] + [0] * (len(case[2]) - 1)) for case in cases])


@pytest.mark.parametrize("rectifies", [False, True])
@pytest.mark.parametrize("elements_off", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_max_pool(dtype, elements_off, rectifies):
    cases, expected = [], []
    for x, pooling, wide in each_pooling(dtype):
        # CUDA's ReLU gives 0 for -0.0.
        pooled = torch.where(x <= 0, 0, x) if rectifies else x
        y, offsets = reference.max_pool(pooled, *pooling.arguments)
        expected.append((y, offsets))
        numbers = [DTYPES.index(dtype), is_wide(offsets), int(rectifies)]
        numbers += geometry_numbers(x, pooling, wide)
        buffers = [in_memory_order(tensor) for tensor in (x, y, offsets)]
        buffers[1] = torch.full_like(buffers[1], 77)
        buffers[2] = torch.full_like(buffers[2], 77)
        cases.append((cuda_kernels.MAX_POOL, numbers, buffers))
    results = run(cases, elements_off * dtype.itemsize)
    for (y, offsets), (_, got_y, got_offsets) in zip(expected, results, strict=True):
        assert same_bits(as_before(got_y, y), y)
        assert torch.equal(as_before(got_offsets, offsets), offsets)


SPECIAL_HALVES = {
    torch.bfloat16: [0x7F80, 0x7F7F, 0x0080, 0x007F, 0x7FC0, 0x7F81, 0x7FFF],
    torch.float16: [0x7C00, 0x7BFF, 0x0400, 0x03FF, 0x7E00, 0x7C01, 0x7FFF],
}


@pytest.mark.parametrize("dtype", SPECIAL_HALVES, ids=str)
def test_halves_compare_as_on_the_cpu(dtype):
    """There they compare as integers, here as float."""
    positive = torch.tensor([0, 1, *SPECIAL_HALVES[dtype]])
    special = torch.cat([positive, positive - 0x8000])
    pairs = torch.cartesian_prod(special, special).flatten()
    bits = torch.cat([pairs, torch.randint(-0x8000, 0x8000, (200_000,))]).to(torch.int16)
    x = bits.view(dtype).reshape(1, 1, -1)
    pooling = PoolGeometry.of("max_pool", 1, 2, 2, 0, 1, False)
    y, offsets = library.max_pool(x, *pooling.arguments)
    numbers = [DTYPES.index(dtype), is_wide(offsets), 0, *geometry_numbers(x, pooling, False)]
    buffers = [x, torch.zeros_like(y), torch.full_like(offsets, 77)]
    (_, got_y, got_offsets), *_ = run([(cuda_kernels.MAX_POOL, numbers, buffers)])
    assert torch.equal(got_y.view(torch.int16), y.view(torch.int16))
    assert torch.equal(got_offsets, offsets)


def each_unpooling(dtype):
    """Yields (y, offsets, x, pooling, whether indices are wide)."""
    for x, pooling, wide in each_pooling(dtype):
        _, offsets = reference.max_pool(x, *pooling.arguments)
        y = torch.empty_like(offsets, dtype=dtype)
        y.copy_(nasty(y.shape, dtype))
        yield y, offsets, x, pooling, wide


@pytest.mark.parametrize("elements_off", [0, 1])
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_max_unpool(dtype, overlap, elements_off):
    overlap = OVERLAPS.index(overlap)
    cases, expected = [], []
    for y, offsets, x, pooling, wide in each_unpooling(dtype):
        unpooled = reference.max_unpool(y, offsets, x.shape[2:], *pooling.arguments, overlap)
        expected.append(unpooled)
        numbers = [DTYPES.index(dtype), is_wide(offsets), overlap]
        numbers += geometry_numbers(x, pooling, wide)
        buffers = [in_memory_order(tensor) for tensor in (y, offsets, unpooled)]
        buffers[2] = torch.full_like(buffers[2], 77)
        cases.append((cuda_kernels.MAX_UNPOOL, numbers, buffers))
    results = run(cases, elements_off * dtype.itemsize)
    for unpooled, (_, _, got) in zip(expected, results, strict=True):
        assert same_bits(as_before(got, unpooled), unpooled)


@pytest.mark.parametrize("elements_off", [0, 1])
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_max_unpool_backward(dtype, overlap, elements_off):
    overlap = OVERLAPS.index(overlap)
    cases, expected = [], []
    for y, offsets, x, pooling, wide in each_unpooling(dtype):
        gradient = torch.empty_like(x).copy_(torch.randn(x.shape))
        arguments = gradient, y, offsets, *pooling.arguments, overlap
        y_gradient = reference.max_unpool_backward(*arguments)
        expected.append(y_gradient)
        numbers = [DTYPES.index(dtype), is_wide(offsets), overlap]
        numbers += geometry_numbers(x, pooling, wide)
        buffers = [in_memory_order(tensor) for tensor in (gradient, y, offsets, y_gradient)]
        buffers[3] = torch.full_like(buffers[3], 77)
        cases.append((cuda_kernels.MAX_UNPOOL_BACKWARD, numbers, buffers))
    results = run(cases, elements_off * dtype.itemsize)
    for y_gradient, (_, _, _, got) in zip(expected, results, strict=True):
        assert same_bits(as_before(got, y_gradient), y_gradient)


def wrong_switches(offsets, pooling, x):
    """(offsets with one wrong switch, its position in memory) for each kind of wrong."""
    flat = in_memory_order(offsets)
    for position in (0, flat.numel() // 2, flat.numel() - 1):
        for wrong in {pooling.taps, 255 if offsets.dtype == torch.uint8 else -1}:
            if 0 <= wrong < pooling.taps:
                continue
            changed = flat.clone()
            changed.view(-1)[position] = wrong
            yield changed, position
    if any(pooling.padding):
        # The first tap of the first window lies in the padding.
        changed = flat.clone()
        changed.view(-1)[0] = 0
        yield changed, 0


def test_check_switches():
    cases, expected = [], []
    for x, pooling, wide in each_pooling(torch.float32):
        _, offsets = reference.max_pool(x, *pooling.arguments)
        numbers = [is_wide(offsets), *geometry_numbers(x, pooling, wide)]
        for changed, position in [
            (in_memory_order(offsets), -1),
            *wrong_switches(offsets, pooling, x),
        ]:
            expected.append(position)
            buffers = [changed, torch.tensor([-1])]
            cases.append((cuda_kernels.CHECK_SWITCHES, numbers, buffers))
    assert [result.item() for _, result in run(cases)] == expected


def wild_switches(dtype):
    """Yields (y, any switches at all, x, pooling, whether indices are wide)."""
    for y, offsets, x, pooling, wide in each_unpooling(dtype):
        limits = torch.iinfo(offsets.dtype)
        wild = torch.randint(limits.min, limits.max + 1, offsets.shape).to(offsets.dtype)
        right = torch.rand(offsets.shape) < 0.5
        yield y, offsets.clone().copy_(torch.where(right, offsets, wild)), x, pooling, wide


@pytest.mark.parametrize("overlap", range(3))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_wrong_switches_are_left_out(dtype, overlap):
    cases, expected = [], []
    for y, wild, x, pooling, wide in wild_switches(dtype):
        arguments = y, wild, x.shape[2:], *pooling.arguments, overlap, False
        expected.append(library.max_unpool(*arguments))
        numbers = [DTYPES.index(dtype), is_wide(wild), overlap]
        numbers += geometry_numbers(x, pooling, wide)
        buffers = [in_memory_order(tensor) for tensor in (y, wild, x)]
        cases.append((cuda_kernels.MAX_UNPOOL, numbers, buffers))
    for unpooled, (_, _, got) in zip(expected, run(cases), strict=True):
        assert same_bits(as_before(got, unpooled), unpooled)


@pytest.mark.parametrize("overlap", range(3))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_wrong_switches_have_no_gradient(dtype, overlap):
    cases, wrong = [], []
    for y, wild, x, pooling, wide in wild_switches(dtype):
        wrong.append((wild < 0) | (wild.int() >= pooling.taps))
        numbers = [DTYPES.index(dtype), is_wide(wild), overlap]
        numbers += geometry_numbers(x, pooling, wide)
        buffers = [in_memory_order(tensor) for tensor in (torch.ones_like(x), y, wild, y)]
        cases.append((cuda_kernels.MAX_UNPOOL_BACKWARD, numbers, buffers))
    has_gradient = False  # in a small case all switches may be wrong
    for is_wrong, (_, _, _, got) in zip(wrong, run(cases), strict=True):
        got = as_before(got, is_wrong)
        assert not got[is_wrong].any()
        assert ((got == 0) | (got == 1)).all()
        has_gradient |= bool(got.any())
    assert has_gradient


def test_divider():
    cases, expected = [], []
    for divisor in [1, 2, 3, 5, 7, 55, 64, 641, 65535, 65536, 10**9 + 7, 2**30, 2**31 - 1]:
        numbers = torch.randint(0, 2**31 - 1, (1000,), dtype=torch.int32)
        multiples = torch.arange(1, 50) * divisor
        multiples = multiples[multiples < 2**31].int()
        numbers = torch.cat([numbers, multiples, multiples - 1, torch.tensor([0, 2**31 - 1]).int()])
        cases.append((cuda_kernels.DIVIDE, [divisor], [numbers, torch.zeros_like(numbers)]))
        expected.append(numbers // divisor)
    for quotients, (_, got) in zip(expected, run(cases), strict=True):
        assert torch.equal(got, quotients)


def test_when_indices_are_wide():
    """Outputs and cells beyond the input count, too, not the input alone."""
    whole = [1, 1, 1, 1, 0, 1]
    for planes, windows, fits in [
        (64 * 512, [[128, 64, 2, 2, 0, 1]] * 2, True),
        (64 * 512, [[181, 182, 2, 1, 1, 1]] * 2, False),
        (2**29 + 1, [[1, 2, 2, 1, 1, 1]] * 2, False),
        (1, [whole, [5, 1, 5, 2**30, 0, 1]], False),
        (1, [whole, [2**29 + 1, 2, 2, 1, 0, 2**29 - 1]], True),
        (1, [whole, [2**30, 1, 2, 1, 0, 2**30 - 1]], False),
    ]:
        numbers = [planes, 1, *whole, *windows[0], *windows[1], 0]
        case = (cuda_kernels.FITS_NARROW_INDEX, numbers, [torch.zeros(1, dtype=torch.uint8)])
        assert run([case])[0][0].item() == fits
