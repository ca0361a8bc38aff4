"""The CUDA kernels of counting_activation and count_activation, run on the CPU, against NumPy."""

import itertools

import pytest
import torch
from cuda_activation_calls import CLAMP, MEMBERS, NEAR_ZERO_MEMBERS, SLOPE, THRESHOLD, Call, check
from cuda_kernels import DTYPES
from oracle import BINS, nasty_values

# [outer, units, inner]: as in test_counting_relu.py, rows that are whole vectors and that are not,
# units wider and narrower than a vector, more columns than threads, and at last few rows and long
# ones, along which blocks walk.
LAYOUTS = [
    (1, 1, 1),
    (1, 1, 1001),
    (40, 1, 7),
    (9, 3, 1),
    (300, 10, 1),
    (2, 1100, 1),
    (3, 5, 3),
    (4, 16, 3),
    (2, 8, 49),
    (2, 3, 700),
    (1, 3, 5001),
    (2, 3, 4096),
]
FEW_LAYOUTS = [(1, 1, 1001), (16, 16, 1), (3, 5, 3), (2, 8, 49), (1, 3, 4099)]
KINDS = ["log", "linear", "edges", "none"]
# With one histogram, and with one for each unit, which there is only with bins.
WAYS = [*((kind, False) for kind in KINDS), *((kind, True) for kind in KINDS if kind != "none")]
PRELU = (SLOPE, 0.0, 0.0)


@pytest.mark.parametrize("name", ["relu6", "leaky_relu", "square"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layouts(dtype, name):
    check(
        [
            Call(layout, dtype, BINS[kind], MEMBERS[name], unit_histograms=per_unit)
            for layout in LAYOUTS
            for kind, per_unit in WAYS
        ]
    )


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_members(dtype, name):
    """Each activation, with an output, over its input, and only counted."""
    check(
        [
            Call(layout, dtype, BINS[kind], MEMBERS[name], writes=writes, in_place=in_place)
            for layout in FEW_LAYOUTS
            for kind in ("log", "none")
            for writes, in_place in [(True, False), (True, True), (False, False)]
        ]
    )


@pytest.mark.parametrize("name", [*MEMBERS, *NEAR_ZERO_MEMBERS])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_nasty_value(dtype, name):
    member = (MEMBERS | NEAR_ZERO_MEMBERS)[name]
    calls = []
    for kind in KINDS:
        edges = torch.tensor(BINS[kind].edges if BINS[kind] else [], dtype=torch.float64)
        knees = torch.tensor(member[1:], dtype=torch.float64)
        values = nasty_values(dtype, torch.cat([knees, edges]))[None, None]
        writes = name in MEMBERS
        calls.append(Call(values.shape, dtype, BINS[kind], member, values=values, writes=writes))
    check(calls)


@pytest.mark.parametrize("name", NEAR_ZERO_MEMBERS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_outputs_near_zero(dtype, name):
    calls = []
    for layout, (kind, per_unit) in itertools.product(LAYOUTS, WAYS):
        options = {"writes": False, "unit_histograms": per_unit}
        calls.append(Call(layout, dtype, BINS[kind], NEAR_ZERO_MEMBERS[name], **options))
    check(calls)


@pytest.mark.parametrize("slopes", ["one", "each"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_slopes(dtype, slopes):
    """PReLU's, also of calls that are not counted and of masked ones."""
    calls = []
    for layout, (kind, per_unit) in itertools.product(LAYOUTS, WAYS):
        options = {"slopes": slopes, "unit_histograms": per_unit}
        calls.append(Call(layout, dtype, BINS[kind], PRELU, **options))
    for layout in FEW_LAYOUTS:
        mask = torch.rand(layout[0], layout[2]) < 0.5
        calls.append(Call(layout, dtype, BINS["log"], PRELU, slopes=slopes, mask=mask))
        calls.append(Call(layout, dtype, BINS["log"], PRELU, slopes=slopes, every=0))
        calls.append(Call(layout, dtype, BINS["log"], PRELU, slopes=slopes, offsets=(1, 0)))
    check(calls)


@pytest.mark.parametrize("name", ["relu6", "threshold", "leaky_relu", "near-0.01"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_starts_off_alignment(dtype, name):
    """Of the input, and of the output or what is looked at."""
    member = (MEMBERS | NEAR_ZERO_MEMBERS)[name]
    calls = []
    for layout, offsets, (kind, per_unit) in itertools.product(
        [(1, 1, 100), (9, 3, 1), (2, 8, 49), (1, 3, 4099)], [(1, 0), (0, 1), (3, 2)], WAYS
    ):
        options = {"offsets": offsets, "unit_histograms": per_unit, "writes": name in MEMBERS}
        calls.append(Call(layout, dtype, BINS[kind], member, **options))
    check(calls)


@pytest.mark.parametrize("shared_bytes", [400, 2400, 9000])
@pytest.mark.parametrize("name", ["relu6", "square", "near-0.01"])
def test_little_shared_memory(name, shared_bytes):
    """Fewer copies of the counts, narrower strips, and at last counts in global memory."""
    member = (MEMBERS | NEAR_ZERO_MEMBERS)[name]
    calls = []
    for dtype, layout, (kind, per_unit) in itertools.product(
        DTYPES, [(1, 1, 1001), (16, 16, 1), (3, 5, 3), (2, 3, 700)], WAYS
    ):
        options = {"shared_bytes": shared_bytes, "unit_histograms": per_unit}
        options["writes"] = name in MEMBERS
        calls.append(Call(layout, dtype, BINS[kind], member, **options))
        if layout[1] == 16 and name in MEMBERS:
            dead = torch.full(layout, -1.0, dtype=dtype)
            calls.append(Call(layout, dtype, BINS[kind], member, **options, values=dead))
    check(calls)


@pytest.mark.parametrize("most_pending", [1, 500])
def test_counts_that_would_overflow_are_added_in_time(most_pending):
    check(
        [
            Call(layout, dtype, BINS[kind], MEMBERS["relu6"], most_pending=most_pending)
            for layout in LAYOUTS
            for dtype in (torch.float32, torch.bfloat16)
            for kind in ("linear", "none")
        ]
    )


@pytest.mark.parametrize("value", [-1.0, 7.0])
def test_more_counts_than_16_bits_hold(value):
    """A word has 16 bits for each of both counts."""
    same = torch.full((200_000, 4, 1), value, dtype=torch.bfloat16)
    check([Call(same.shape, torch.bfloat16, None, MEMBERS["relu6"], values=same)])


@pytest.mark.parametrize("name", ["relu6", "threshold", "leaky_relu", "square", "near-0.01"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_masks(dtype, name):
    """What is hidden is activated, and neither inactive nor saturated."""
    member = (MEMBERS | NEAR_ZERO_MEMBERS)[name]
    calls = []
    for layout, kind in itertools.product(FEW_LAYOUTS, KINDS):
        for in_place, offsets in [(False, (0, 0)), (True, (1, 1))]:
            options = {"calls": 2 - in_place, "offsets": offsets, "writes": name in MEMBERS}
            options |= {"in_place": in_place, "unit_histograms": kind == "log" and in_place}
            options["mask"] = torch.rand(layout[0], layout[2]) < 0.5
            calls.append(Call(layout, dtype, BINS[kind], member, **options))
    check(calls)


def test_what_is_hidden_has_no_knees():
    """Every hidden element is saturated, or every one inactive; the others are neither."""
    calls = []
    for layout, hidden in itertools.product([(16, 16, 1), (2, 8, 49)], [-9.0, 9.0, 0.0]):
        mask = torch.rand(layout[0], layout[2]) < 0.5
        mask[0, 0] = True
        values = torch.where(mask[:, None], 1.0, hidden).expand(layout).contiguous()
        for name, writes in itertools.product(["relu6", "hardtanh", "square"], [True, False]):
            options = {"mask": mask, "values": values, "writes": writes}
            calls.append(Call(layout, torch.float32, BINS["log"], MEMBERS[name], **options))
    check(calls)


@pytest.mark.parametrize("every", [1, 2])
def test_a_mask_that_leaves_nothing(every):
    calls = []
    for layout, name in itertools.product([(16, 16, 1), (2, 8, 49)], ["relu6", "leaky_relu"]):
        mask = torch.zeros(layout[0], layout[2], dtype=torch.bool)
        options = {"mask": mask, "every": every, "calls": 2}
        calls.append(Call(layout, torch.float32, BINS["log"], MEMBERS[name], **options))
    check(calls)


@pytest.mark.parametrize("every", [0, 1, 2, 3])
def test_every(every):
    """A call that is not counted has its output, too."""
    calls = []
    for layout, name in itertools.product([(1, 1, 1), (16, 16, 1), (2, 8, 49)], MEMBERS):
        for writes in (True, False):
            options = {"every": every, "calls": 5, "writes": writes}
            calls.append(Call(layout, torch.float32, BINS["linear"], MEMBERS[name], **options))
    check(calls)


def test_units_that_fire_and_are_dead_in_turn():
    x = torch.full((40, 6, 3), 3.0)
    x[:, 0], x[:, 2] = 7, -1  # saturated, dead
    calls = [Call(x.shape, torch.float32, None, MEMBERS["relu6"], values=x, calls=3)]
    calls[0].counters[6 + 12 : 6 + 18] = torch.tensor([5, 0, 7, 1, 0, 2])
    check(calls)


@pytest.mark.parametrize("every", [1, 2])
def test_blocks_of_counted_calls(every):
    options = {"every": every, "calls": 3, "blocks": torch.tensor([5, 3])}
    check(
        [
            Call((3, 4, 1), torch.float32, BINS["log"], member, **options)
            for member in [(CLAMP, 0.0, 6.0), (THRESHOLD, 0.5, 0.0)]
        ]
    )


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_all_16_bit_patterns(dtype, name):
    patterns = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(dtype)
    values = patterns.reshape(4, 2, 1 << 13)
    check([Call(values.shape, dtype, BINS["log"], MEMBERS[name], values=values)])
