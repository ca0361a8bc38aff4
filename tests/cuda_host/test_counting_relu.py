"""The CUDA kernel of counting_relu, run on the CPU, against the reference."""

import itertools

import pytest
import torch
from cuda_kernels import DTYPES
from cuda_relu_calls import Call, check
from oracle import BINS, nasty_values

from relustat import LinearBins

# [outer, units, inner]: rows that are whole vectors and that are not, last rows that end in the
# midst of one, units wider and narrower than a vector, more columns than threads, one unit; at
# last few rows and long ones, along which blocks walk.
LAYOUTS = [
    (1, 1, 1),
    (1, 1, 1001),
    (3, 1, 64),
    (40, 1, 7),
    (1, 5, 1),
    (9, 3, 1),
    (300, 10, 1),
    (16, 16, 1),
    (5, 300, 1),
    (2, 1100, 1),
    (3, 5, 3),
    (4, 16, 3),
    (2, 8, 49),
    (2, 3, 700),
    (1, 2, 1500),
    (1, 3, 5001),
    (2, 3, 4096),
    (1, 2, 4099),
]


KINDS = ["log", "linear", "edges", "none"]
# With one histogram, and with one for each unit, which there is only with bins.
WAYS = [*((kind, False) for kind in KINDS), *((kind, True) for kind in KINDS if kind != "none")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layouts(dtype, kind):
    check([Call(layout, dtype, BINS[kind]) for layout in LAYOUTS])


@pytest.mark.parametrize("kind", ["log-coarse", "linear-off-zero", "edges"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_histograms_per_unit(dtype, kind):
    check([Call(layout, dtype, BINS[kind], unit_histograms=True) for layout in LAYOUTS])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_starts_off_alignment(dtype):
    calls = []
    for layout, offsets, (kind, per_unit) in itertools.product(
        [(1, 1, 100), (9, 3, 1), (2, 8, 49), (1, 3, 4099)], [(1, 0), (0, 1), (3, 2)], WAYS
    ):
        calls.append(Call(layout, dtype, BINS[kind], offsets=offsets, unit_histograms=per_unit))
    check(calls)


@pytest.mark.parametrize("shared_bytes", [400, 2400, 9000])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_little_shared_memory(dtype, shared_bytes):
    """Fewer copies of the counts, narrower strips, and at last counts in global memory."""
    calls = []
    for layout, (kind, per_unit) in itertools.product(
        [(1, 1, 1001), (16, 16, 1), (3, 5, 3), (2, 3, 700)], WAYS
    ):
        calls.append(
            Call(layout, dtype, BINS[kind], shared_bytes=shared_bytes, unit_histograms=per_unit)
        )
        if layout[1] == 16:
            dead = torch.full(layout, -1.0, dtype=dtype)
            calls.append(Call(layout, dtype, BINS[kind], shared_bytes=shared_bytes, values=dead))
    check(calls)


@pytest.mark.parametrize("kind", ["linear", "none"])
@pytest.mark.parametrize("most_pending", [1, 500])
def test_counts_that_would_overflow_are_added_in_time(kind, most_pending):
    check(
        [
            Call(layout, dtype, BINS[kind], most_pending=most_pending, unit_histograms=per_unit)
            for layout in LAYOUTS
            for dtype in (torch.float32, torch.bfloat16)
            for per_unit in (False, True)
            if (kind, per_unit) in WAYS
        ]
    )


def test_more_zeros_than_16_bits_hold():
    dead = torch.zeros(200_000, 8, 1, dtype=torch.bfloat16)
    check([Call(dead.shape, torch.bfloat16, BINS["none"], values=dead)])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_in_place(dtype):
    check([Call(layout, dtype, BINS["log"], in_place=True) for layout in LAYOUTS])


@pytest.mark.parametrize("bins", sorted(BINS))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_nasty_value(dtype, bins):
    bins = BINS[bins]
    values = nasty_values(dtype, torch.tensor(bins.edges if bins else []))
    check([Call((1, 1, values.numel()), dtype, bins, values=values)])


def test_bins_that_are_no_float_apart():
    bins = LinearBins(1, 1 + 2**-19, 16)
    values = 1 + torch.arange(-4, 24) * 2**-23
    check([Call((1, 1, 28), torch.float32, bins, values=values)])


@pytest.mark.parametrize("every", [0, 1, 2, 3])
def test_every(every):
    check(
        [
            Call(layout, torch.float32, BINS["linear"], every=every, calls=5)
            for layout in [(1, 1, 1), (16, 16, 1), (2, 8, 49)]
        ]
    )


@pytest.mark.parametrize("every", [1, 2])
def test_streams_that_share_counters(every):
    """Which calls are counted is any one's guess; how many, and each as a whole, is not."""
    x = torch.randn(2, 8, 49)
    x[:, 3] = -1
    call = Call(x.shape, torch.float32, BINS["linear"], every=every, calls=4, streams=3, values=x)
    check([call] * 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_masks(dtype, kind):
    calls = []
    for layout, per_unit, in_place in itertools.product(LAYOUTS, [False, True], [False, True]):
        if per_unit and kind == "none":
            continue
        mask = torch.rand(layout[0], layout[2]) < 0.5
        options = {"unit_histograms": per_unit, "in_place": in_place, "calls": 2 - in_place}
        calls.append(Call(layout, dtype, BINS[kind], mask=mask, **options))
    check(calls)


@pytest.mark.parametrize("every", [1, 2])
def test_a_mask_that_leaves_nothing(every):
    layouts = [(16, 16, 1), (2, 8, 49)]
    masks = [torch.zeros(outer, inner, dtype=torch.bool) for outer, _, inner in layouts]
    pairs = list(zip(layouts, masks, strict=True))
    check([Call(at, torch.float32, BINS["log"], mask=m, every=every, calls=2) for at, m in pairs])


def test_masks_of_inputs_off_alignment_and_of_little_shared_memory():
    calls = []
    for layout, offsets, shared_bytes in itertools.product(
        [(1, 1, 1001), (9, 3, 1), (2, 8, 49), (1, 3, 4099)], [(0, 0), (1, 0), (3, 2)], [400, 9000]
    ):
        mask = torch.rand(layout[0], layout[2]) < 0.5
        options = {"offsets": offsets, "shared_bytes": shared_bytes}
        calls += [Call(layout, dtype, BINS["linear"], mask=mask, **options) for dtype in DTYPES]
    check(calls)


def test_units_that_fire_and_are_dead_in_turn():
    x = torch.randn(40, 6, 3)
    x[:, 0], x[:, 2] = 1, -1  # always on, dead
    calls = [Call(x.shape, torch.float32, BINS["none"], values=x, calls=3)]
    calls[0].counters[6 + 12 : 6 + 18] = torch.tensor([5, 0, 7, 1, 0, 2])
    check(calls)


@pytest.mark.parametrize("every", [1, 2])
def test_blocks_of_counted_calls(every):
    blocks, mask = torch.tensor([5, 3]), torch.tensor([[True], [False], [False]])
    nothing = torch.zeros(3, 1, dtype=torch.bool)
    check(
        [
            Call((3, 4, 1), torch.float32, BINS["log"], every=every, calls=3, blocks=blocks, mask=m)
            for m in (None, mask, nothing)
        ]
    )
