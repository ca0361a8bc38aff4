"""The op against NumPy: every count exact, every output bit torch's."""

import os

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from memory_layouts import LAYOUTS
from oracle import (
    BINS,
    DTYPES,
    assert_counts,
    assert_histogram,
    nasty_values,
    numpy_of,
    same_bits,
    samples,
)

from relustat import Counters, EdgeBins, LinearBins, LogBins
from relustat.functional import counting_relu, relu_stats
from relustat.ops import library

MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_counts_equal_numpys(device, dtype, bins, layout):
    bins = BINS[bins]
    x = LAYOUTS[layout](samples(dtype, device, (6, 7, 9, 16), bins and bins.edges))
    before = x.clone()
    y, stats = relu_stats(x, bins)
    assert_counts(stats, x, bins, unit_dim=1)
    assert same_bits(y, F.relu(x))
    assert y.stride() == F.relu(x).stride()
    assert same_bits(x, before)


# So many elements that each thread counts them in tables, by pairs where bins are few; in runs that
# begin and end within spans, and by columns.
LARGE = {
    "rows": lambda x: x,
    "short rows": lambda x: x.view(32, 64, 37),
    "columns": lambda x: x.view(16, 64, 2, 37).to(memory_format=torch.channels_last),
    "many columns": lambda x: x.view(16, 64 * 74),
}


@pytest.mark.parametrize("layout", LARGE)
@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_counts_of_large_inputs_equal_numpys(device, dtype, bins, layout):
    bins = BINS[bins]
    x = LARGE[layout](samples(dtype, device, (16, 64, 74), bins and bins.edges))
    y, stats = relu_stats(x, bins, unit_dim=1)
    assert_counts(stats, x, bins, unit_dim=1)
    assert same_bits(y, F.relu(x))


@pytest.mark.parametrize("elements", [1, 127, 128, 129, 255, 256, 257, 1000, 1001])
@pytest.mark.parametrize("shape", [(-1,), (1, 1, -1), (-1, 1)], ids=str)
def test_remainders_of_spans(device, shape, elements):
    x = samples(torch.float32, device, (elements,)).view(shape)
    for bins in (LogBins(), LinearBins(-1, 1, 3), None):
        _, stats = relu_stats(x, bins, unit_dim=0)
        assert_counts(stats, x, bins, unit_dim=0)


@pytest.mark.parametrize("bins", ["linear", "log", "none"])
def test_counts_that_fill_sixteen_bits(device, bins):
    # Two slots take turns, so that no span is all equal and one pair of slots takes everything.
    x = torch.tensor([-1.0, 1.0], device=device).repeat(300_000).view(1, 2, -1)
    x[0, 1, 5] = float("nan")
    _, stats = relu_stats(x, BINS[bins], unit_dim=1)
    assert_counts(stats, x, BINS[bins], unit_dim=1)
    same = torch.full((1, 2, 300_000), 0.25, device=device)
    _, stats = relu_stats(same, BINS[bins], unit_dim=1)
    assert_counts(stats, same, BINS[bins], unit_dim=1)


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_nasty_value_alone(device, dtype, bins):
    bins = BINS[bins]
    edges = torch.tensor(bins.edges if bins else [])
    for value in nasty_values(dtype, edges):
        x = value.repeat(3).to(device)
        y, stats = relu_stats(x, bins)
        assert_counts(stats, x, bins, unit_dim=0)
        assert same_bits(y, F.relu(x))


# Rows and columns, whole vectors and tails, one thread and several.
SHAPES = [
    *[(5, 3, inner) for inner in (1, 2, 31, 32, 33, 49, 64, 1023, 1024, 1025, 5000)],
    *[(outer, units) for outer in (1, 7, 2000) for units in (1, 10, 63, 64, 65, 750)],
    (2, 3, 5, 7, 11),
    (1, 1, 1, 1),
    (3, 65, 7, 7),
    (1, 3, 200, 200),
    (70000, 3),
]


@pytest.mark.parametrize("bins", ["linear", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_and_unit_dims(device, shape, bins):
    bins = BINS[bins]
    x = samples(torch.float32, device, shape)
    for unit_dim in range(-len(shape), len(shape)):
        _, stats = relu_stats(x, bins, unit_dim)
        assert_counts(stats, x, bins, unit_dim)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads(device, threads, dtype):
    torch.set_num_threads(threads)
    x = samples(dtype, device, (3, 40, 61, 47))
    for bins in (LogBins(), BINS["linear"], BINS["edges"], None):
        y, stats = relu_stats(x, bins)
        assert_counts(stats, x, bins, unit_dim=1)
        assert same_bits(y, F.relu(x))


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2, 3, 0, 5), (0, 3, 4, 5)], ids=str)
def test_empty(device, shape):
    x = torch.empty(shape, device=device)
    y, stats = relu_stats(x)
    assert y.shape == x.shape
    assert (stats.calls, stats.elements, stats.unit_zeros.tolist()) == (0, 0, [])


def test_scalar_is_one_unit(device):
    y, stats = relu_stats(torch.tensor(-2.0, device=device))
    assert y.item() == 0
    assert y.shape == ()
    assert (stats.unit_zeros.tolist(), stats.unit_dead_calls.tolist()) == ([1], [1])


def test_auto_unit_dim(device):
    for shape, units in [
        ((6,), 6),
        ((5, 6), 6),
        ((4, 5, 6), 6),
        ((3, 4, 5, 6), 4),
        ((2, 3, 4, 5, 6), 3),
        ((2, 3, 4, 5, 6, 7), 7),
        ((70000,), 1),
    ]:
        _, stats = relu_stats(torch.randn(shape, device=device))
        assert stats.widths == (units,)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_in_place(device, dtype, layout):
    x = LAYOUTS[layout](samples(dtype, device, (6, 7, 9, 16)))
    counters = Counters(BINS["linear"])
    if layout.startswith("expanded"):
        before = x.clone()
        with pytest.raises(RuntimeError, match="single memory location"):
            counting_relu(x, counters, inplace=True)
        assert counters.stats.calls == 0
        assert same_bits(x, before)
        return
    before = x.clone()
    pointer, strides = x.data_ptr(), x.stride()
    assert counting_relu(x, counters, inplace=True) is x
    assert_counts(counters.stats, before, BINS["linear"], unit_dim=1)
    assert same_bits(x, F.relu(before))
    assert (x.data_ptr(), x.stride()) == (pointer, strides)


def test_in_place_leaves_the_rest_of_a_view_alone(device):
    base = torch.full((4, 4), -1.0, device=device)
    counting_relu(base[:, 1:3], Counters(), inplace=True)
    assert (base == 0).sum() == 8
    assert (base[:, [0, 3]] == -1).all()


def test_calls_add_up(device):
    counters = Counters(LinearBins(-1, 1, 7))
    x = samples(torch.float32, device, (5, 6, 7, 8))
    for _ in range(3):
        counting_relu(x, counters)
    assert_counts(counters.stats, x, counters.bins, unit_dim=1, calls=3)


def test_every_kth_call(device):
    counters = Counters(every=3)
    for fill in range(1, 8):
        counting_relu(torch.full((2, 4), float(fill), device=device), counters)
    stats = counters.stats
    assert stats.calls == 3
    # The first, fourth and seventh.
    assert stats.histogram.to_numpy()[0].sum() == 24
    for fill in (1, 4, 7):
        _, alone = relu_stats(torch.full((2, 4), float(fill), device=device))
        assert stats.histogram.counts()[alone.histogram.counts() > 0].tolist() == [8]


def test_all_equal_values_beyond_float32s_integers(device):
    x = torch.full((2**25,), 0.7, dtype=torch.bfloat16, device=device).view(2**15, 2**10)
    for bins in (LogBins(), BINS["linear"]):
        _, stats = relu_stats(x, bins)
        assert stats.histogram.counts().max() == 2**25
        assert stats.zeros == 0
    _, stats = relu_stats(torch.zeros_like(x))
    assert stats.zeros == stats.histogram.counts().max() == 2**25
    assert len(stats.dead_units) == 2**10


@pytest.mark.large
@pytest.mark.skipif(MEMORY < 12 * 2**30, reason="needs a machine of 12 GiB")
def test_more_than_2_to_the_31_elements():
    rows, units = 2**20 + 1, 2**11 + 3
    x = torch.full((rows, units), 0.75, dtype=torch.bfloat16)
    x[-1] = -2.0
    x[:, -1] = -3.0
    counters = Counters(EdgeBins([-4, -2.5, 0, 1]))
    counting_relu(x, counters, inplace=True)
    stats = counters.stats
    assert stats.elements == rows * units > 2**31
    assert stats.histogram.counts().tolist() == [rows, units - 1, (rows - 1) * (units - 1)]
    assert stats.unit_zeros.tolist() == [1] * (units - 1) + [rows]
    assert stats.dead_units.tolist() == [units - 1]
    assert not x[-1].any()


@pytest.mark.parametrize("bins", ["log", "linear", "edges"])
def test_flushing_denormals_changes_no_count(bins):
    # The mode is one thread's own, so torch's threads would count differently among themselves.
    bins = BINS[bins]
    x = samples(torch.float32, "cpu", (64, 1000), bins.edges)
    x[::2] = 1e-40
    x[1::4] = -1e-41
    half = x.half()
    half[::2] = 2.0**-20
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormals")
    try:
        counted = [relu_stats(values, bins)[1] for values in (x, half)]
    finally:
        torch.set_flush_denormal(False)
    for values, stats in zip((x, half), counted, strict=True):
        assert_counts(stats, values, bins, unit_dim=1)


def floats(width):
    return st.floats(width=width) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, float("nan")])


@st.composite
def any_bins(draw):
    kind = draw(st.sampled_from(["log", "linear", "edges"]))
    if kind == "log":
        low = draw(st.integers(-126, 126))
        return LogBins(
            2 ** draw(st.integers(0, 8)), low, draw(st.integers(low + 1, low + 60) | st.just(127))
        )
    if kind == "linear":
        lo, hi = draw(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2))
        return LinearBins(lo, hi, draw(st.integers(1, 500)))
    edges = draw(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2))
    return EdgeBins(sorted(set(edges)))


@settings(max_examples=400, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_any_values_and_any_bins(data, dtype):
    try:
        bins = data.draw(any_bins())
    except ValueError:
        reject()
    edges = bins.edges[np.linspace(0, len(bins), min(len(bins) + 1, 20)).astype(int)]
    values = hnp.arrays(
        np.float64, st.integers(1, 150), elements=floats(64) | st.sampled_from(edges.tolist())
    )
    x = torch.from_numpy(data.draw(values)).to(dtype)
    x = torch.cat([x, nasty_values(dtype, torch.from_numpy(edges))])
    y, stats = relu_stats(x, bins)
    assert_counts(stats, x, bins, unit_dim=0)
    assert same_bits(y, F.relu(x))


@settings(max_examples=100, deadline=None)
@given(
    shape=hnp.array_shapes(max_dims=6, max_side=9),
    data=st.data(),
)
def test_any_shape_and_layout(shape, data):
    x = torch.randn(shape).permute(data.draw(st.permutations(range(len(shape)))))
    steps = [data.draw(st.integers(1, 2)) for _ in shape]
    x = x[tuple(slice(None, None, step) for step in steps)]
    unit_dim = data.draw(st.integers(-x.dim(), x.dim() - 1))
    y, stats = relu_stats(x, LinearBins(-1, 1, 5), unit_dim)
    assert_counts(stats, x, LinearBins(-1, 1, 5), unit_dim)
    assert y.stride() == F.relu(x).stride()


@pytest.mark.parametrize("n", [1, 2, 7, 100, 201, 1000, 65532])
@pytest.mark.parametrize(("lo", "hi"), [(-15, 15), (0, 1), (-70, 40), (0.1, 0.7), (-1e30, 1e30)])
def test_linear_bins_at_every_edge(device, lo, hi, n):
    bins = LinearBins(lo, hi, n)
    for dtype in DTYPES:
        x = nasty_values(dtype, torch.tensor(bins.edges)).to(device)
        _, stats = relu_stats(x[:, None], bins)
        assert_histogram(stats.histogram, numpy_of(x), bins.edges)


def test_result_is_the_same_every_time(device):
    x = samples(torch.float32, device, (8, 16, 33, 33))
    _, first = relu_stats(x)
    for _ in range(5):
        assert relu_stats(x)[1] == first


def test_all_of_a_tensor_as_one_unit(device):
    for shape in [(), (7,), (70_001,), (3, 4, 5)]:
        x = torch.randn(shape, device=device)
        counters = Counters(LinearBins(-1, 1, 4))
        words, edges = counters.words_for(1, x.device), counters.edges_on(x.device)
        library.counting_relu(x, words, edges, x.dim(), 2)
        assert_counts(counters.stats, x.reshape(1, -1), counters.bins, unit_dim=0)


def test_long_1d_inputs_are_one_unit_and_no_views(device):
    x = torch.randn(70_000, device=device)
    counters = Counters()
    y = counting_relu(x, counters)
    assert not y._is_view()
    assert counters.stats.widths == (1,)
    assert counting_relu(x, counters, inplace=True) is x
    assert torch.equal(x, y)
    # Where the unit dimension is known, it is that.
    counting_relu(x, counters, unit_dim=0)
    assert counters.stats.widths == (1, 70_000)


def test_strides_of_single_elements(device):
    # Found by test_any_shape_and_layout: a dimension of size 1 may have any stride.
    for x in (torch.randn(2)[::2], torch.randn(3, 2, 4)[:, ::2], torch.randn(2, 5, 4, 4)[::2]):
        x = x.to(device)
        y, stats = relu_stats(x, unit_dim=0)
        assert y.stride() == F.relu(x).stride()
        assert_counts(stats, x, LogBins(), unit_dim=0)
