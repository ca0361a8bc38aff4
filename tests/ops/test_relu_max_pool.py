"""ReLU, counts and max-pooling in one pass against the two modules, bit for bit, and NumPy."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import BINS, DTYPES, assert_counts, same_bits, samples
from pool_cases import CHANNELS_LAST, GEOMETRIES, SIZES, THEIRS, formats, nasty, poolings

import relustat
from relustat import Counters, LinearBins, LogBins, reference
from relustat.functional import (
    counting_relu,
    max_pool2d,
    relu_max_pool1d,
    relu_max_pool2d,
    relu_max_pool3d,
)
from relustat.ops import library

OURS = {1: relu_max_pool1d, 2: relu_max_pool2d, 3: relu_max_pool3d}

# The ways of the counting loop: pairs of slots, lanes, a search, no bins.
WAYS = [LinearBins(-3, 3, 50), LogBins(), BINS["edges"], None]


def assert_is_relu_and_pool(axes, x, geometry, bins=None):
    counters = Counters(bins, unit_dim=1)
    y, switches = OURS[axes](x, counters, *geometry)
    expected = THEIRS[axes](torch.relu(x), *geometry)
    assert same_bits(y, expected)
    assert y.stride() == expected.stride() == switches.offsets.stride()
    # Of contiguous planes: PyTorch's channels_last_3d indices are wrong where a window is all NaN.
    _, indices = THEIRS[axes](torch.relu(x).contiguous(), *geometry, return_indices=True)
    assert torch.equal(switches.indices(), indices)
    assert_counts(counters.stats, x, bins, 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_the_two_modules(device, axes, dtype):
    compared = 0
    for number, (size, geometry) in enumerate(itertools.product(SIZES, GEOMETRIES)):
        x = nasty((2, 3, *size[-axes:]), dtype, device)
        try:
            THEIRS[axes](x, *geometry, return_indices=True)
            max_pool = {1: "max_pool1d", 2: "max_pool2d", 3: "max_pool3d"}[axes]
            getattr(relustat.functional, max_pool)(x, *geometry)
        except (RuntimeError, ValueError):
            counters = Counters()
            with pytest.raises(ValueError, match=f"^relu_max_pool{axes}d: "):
                OURS[axes](x, counters, *geometry)
            assert counters.stats.calls == 0
            continue
        for each in formats(x, axes):
            assert_is_relu_and_pool(axes, each, geometry, WAYS[number % len(WAYS)])
            compared += 1
    assert compared > 200


# Several times what the scratch memory of a thread holds; halos at the borders of threads, which
# are in the midst of planes, too.
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("bins", WAYS, ids=str)
def test_any_number_of_threads(device, bins, threads):
    torch.set_num_threads(threads)
    shapes = {1: (2, 3, 30_001), 2: (1, 2, 301, 257), 3: (1, 2, 31, 45, 37)}
    geometries = [(2, 2, 0, 1, False), (3, 2, 1, 1, True), (5, 1, 2, 3, False), (2, 5, 1, 1, True)]
    for axes, shape in shapes.items():
        for x in formats(nasty(shape, torch.float32, device), axes):
            for geometry in geometries:
                assert_is_relu_and_pool(axes, x, geometry, bins)


def test_windows_deeper_than_the_input(device):
    """A window row needs all rows of its slice, of which there is one."""
    for shape in ((1, 1, 1, 90, 300), (2, 3, 1, 150, 64), (1, 2, 2, 90, 300)):
        for x in formats(nasty(shape, torch.float32, device), 3):
            for geometry in [
                (3, 2, 1, 1, False),
                (2, 1, 1, 1, True),
                ((3, 1, 1), 1, (1, 0, 0), 1, False),
            ]:
                assert_is_relu_and_pool(3, x, geometry, LogBins())


def test_rows_longer_than_a_cache(device):
    """Which a thread does not hold."""
    x = nasty((1, 2, 700_001), torch.float32, device)
    assert_is_relu_and_pool(1, x, (3, 2, 1, 1, False), LogBins())
    counters = Counters()
    counters.enabled = False
    y, _ = relu_max_pool1d(x, counters, 3, 2)
    assert same_bits(y, torch.max_pool1d(torch.relu(x), 3, 2))
    assert counters.stats.calls == 0


@pytest.mark.parametrize("planes", [1, 31, 32, 33, 70, 300])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_small_planes_in_groups(device, dtype, planes):
    for size in ((1, 1), (3, 4), (7, 7), (13, 28)):
        x = nasty((1, planes, *size), dtype, device)
        for geometry in [(2, 2, 1, 1, True), (3, 2, 1, 1, False), (3, 1, 1, 1, False)]:
            assert_is_relu_and_pool(2, x, geometry, LogBins())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", BINS)
def test_counts_are_numpys(device, dtype, kind):
    edges = None if BINS[kind] is None else BINS[kind].edges
    # Enough elements for the tables of bits and of upper halves.
    for shape in ((3, 4, 9, 10), (2, 16, 60, 70)):
        for x in formats(samples(dtype, device, shape, edges), 2):
            assert_is_relu_and_pool(2, x, (2, 2, 0, 1, False), BINS[kind])


@settings(deadline=None, max_examples=200)
@given(poolings(), st.sampled_from(WAYS), st.booleans(), st.booleans(), st.sampled_from([0, 1, 2]))
def test_equals_two_steps_and_the_reference(pooling, bins, per_unit, is_masked, every):
    axes, geometry, shape, dtype, channels_last = pooling
    x = nasty(shape, dtype)
    if channels_last and axes in CHANNELS_LAST:
        x = x.contiguous(memory_format=CHANNELS_LAST[axes])
    mask = torch.rand(shape[0], *shape[2:]) < 0.7 if is_masked else None
    per_unit = per_unit and bins is not None
    options = {"unit_dim": 1, "unit_histograms": per_unit, "every": max(every, 1)}
    ours, theirs = Counters(bins, **options), Counters(bins, **options)
    ours.enabled = theirs.enabled = every > 0
    step = getattr(relustat.functional, f"max_pool{axes}d")
    try:
        expected = step(counting_relu(x, theirs, mask=mask), *geometry)
    except ValueError:
        with pytest.raises(ValueError, match=f"^relu_max_pool{axes}d: "):
            OURS[axes](x, ours, *geometry, mask=mask)
        return
    y, switches = OURS[axes](x, ours, *geometry, mask=mask)
    assert same_bits(y, expected[0])
    assert switches == expected[1]
    assert ours.stats == theirs.stats
    assert same_bits(*gradients(x, geometry, OURS[axes], step))
    if not x.numel():
        return
    words, edges = theirs.tensors_for(shape[1], x.device)
    words = torch.zeros_like(words)
    words[0] = int(every > 0)
    arguments = [list(each) for each in geometry[:4]]
    y, offsets = reference.relu_max_pool(
        x, words, edges, 1, theirs.binning, mask, None, *arguments, geometry[4]
    )
    assert same_bits(y, expected[0])
    assert torch.equal(offsets, switches.offsets)
    assert words[2:].tolist() == ours.tensors_for(shape[1], x.device)[0][2:].tolist()


def gradients(x, geometry, one_pass, pool):
    """Those of the one pass and of two."""
    found = []
    for function in (
        lambda x: one_pass(x, Counters(None), *geometry)[0],
        lambda x: pool(torch.relu(x), *geometry)[0],
    ):
        given = x.clone().requires_grad_()
        y = function(given)
        weights = torch.linspace(-2, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
        found.append(torch.autograd.grad(y, given, weights)[0])
    return found


def test_a_window_without_anything_above_zero(device):
    x = torch.tensor([[[-1.0, -0.0, 0.0, -2.0]], [[-0.0, -1.0, -3.0, 0.0]]], device=device)
    y, switches = relu_max_pool1d(x, Counters(), 2)
    assert same_bits(y, torch.max_pool1d(torch.relu(x), 2))
    assert switches.offsets.tolist() == [[[0, 0]], [[0, 0]]]


def test_a_nan_is_kept_and_counted(device):
    x = torch.tensor([[5.0, float("nan"), -1.0, 2.0]], device=device)
    counters = Counters()
    y, switches = relu_max_pool1d(x, counters, 2)
    assert y.isnan().tolist() == [[True, False]]
    assert switches.offsets.tolist() == [[1, 1]]
    assert (counters.stats.nans, counters.stats.zeros) == (1, 1)


def test_denormals_are_not_flushed(device):
    x = torch.full((1, 1, 4, 4), 1e-40, device=device)
    torch.set_flush_denormal(True)
    try:
        y, _ = relu_max_pool2d(x, Counters(), 2)
    finally:
        torch.set_flush_denormal(False)
    assert y.flatten().tolist() == x[..., :2, :2].flatten().tolist()


def test_other_layouts_are_copied(device):
    x = torch.randn(4, 6, 5, 8, device=device)
    layouts = [x.permute(3, 0, 2, 1), x[:, ::2], x[..., ::3], x.permute(2, 3, 0, 1)]
    # Where the strides of dimensions of size 1 leave a choice.
    layouts += [torch.randn(8, 1, 40, 1, device=device).permute(1, 2, 3, 0)]
    for each in layouts:
        before = each.clone()
        geometry = (2, 2, 1, 1, True)
        assert_is_relu_and_pool(2, each, geometry, LogBins())
        assert torch.equal(each, before)


def test_units_of_any_dimension(device):
    x = torch.randn(3, 4, 9, 10, device=device)
    for unit_dim in (0, 1, 2, 3, -1, (1, 2), (0, 3)):
        ours, theirs = Counters(), Counters()
        y, _ = relu_max_pool2d(x, ours, 3, 2, unit_dim=unit_dim)
        counting_relu(x, theirs, unit_dim=unit_dim)
        assert ours.stats == theirs.stats
        assert torch.equal(y, torch.max_pool2d(torch.relu(x), 3, 2))


def test_blocks_of_units(device):
    x = torch.randn(5, 8, 6, 6, device=device) - 1
    ours, theirs = Counters(zero_blocks=4), Counters(zero_blocks=4)
    relu_max_pool2d(x, ours, 2)
    counting_relu(x, theirs)
    assert ours.stats.zero_blocks == theirs.stats.zero_blocks
    assert ours.stats == theirs.stats


def test_one_call_in_every_is_counted(device):
    counters = Counters(every=3)
    x = torch.randn(2, 3, 8, 8, device=device)
    for _ in range(7):
        y, _ = relu_max_pool2d(x, counters, 2)
        assert torch.equal(y, torch.max_pool2d(torch.relu(x), 2))
    assert counters.stats.calls == 3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64], ids=str)
def test_integers_are_served_by_the_reference(device, dtype):
    x = torch.randint(0, 100, (2, 3, 8, 8), device=device).to(dtype)
    counters = Counters()
    y, switches = relu_max_pool2d(x, counters, 2)
    expected, expected_switches = max_pool2d(x.double(), 2)
    assert torch.equal(y.double(), expected)
    assert switches == expected_switches
    assert counters.stats.elements == x.numel()
    assert counters.stats.zeros == int((x == 0).sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padding": 2}, "relu_max_pool2d: padding must be at most half the kernel size"),
        ({"kernel_size": 9}, "relu_max_pool2d: the output would be empty"),
        ({"stride": 0}, "relu_max_pool2d: kernel_size, stride and dilation must be positive"),
        ({"mask": torch.ones(3, dtype=torch.bool)}, "counting_relu: mask must have the size"),
        ({"mask": torch.ones(2, 8, 8)}, "counting_relu: mask must be bool"),
    ],
)
def test_errors_count_nothing(device, change, message):
    counters = Counters()
    arguments = {"kernel_size": 3, **change}
    if "mask" in change:
        arguments["mask"] = change["mask"].to(device)
    with pytest.raises(ValueError, match=message):
        relu_max_pool2d(torch.randn(2, 3, 8, 8, device=device), counters, **arguments)
    assert counters.stats.calls == counters.stats.elements == 0
    assert not counters.stats.widths


def test_type_errors():
    counters = Counters()
    with pytest.raises(TypeError, match=r"^relu_max_pool2d: input must be a tensor, got list"):
        relu_max_pool2d([1.0], counters, 2)
    with pytest.raises(TypeError, match=r"^relu_max_pool2d: input must be float32, .*complex64"):
        relu_max_pool2d(torch.randn(1, 1, 4, 4, dtype=torch.complex64), counters, 2)
    with pytest.raises(TypeError, match=r"^relu_max_pool2d: mask must be a dense tensor"):
        relu_max_pool2d(torch.randn(1, 1, 4, 4), counters, 2, mask=[True])
    with pytest.raises(IndexError, match="unit_dim"):
        relu_max_pool2d(torch.randn(1, 1, 4, 4), counters, 2, unit_dim=4)
    assert counters.stats.calls == 0


def test_the_raw_op_raises_what_the_reference_raises(device):
    x = torch.randn(2, 3, 8, 8, device=device)
    words, edges = Counters().tensors_for(3, x.device)
    good = (words, edges, 1, 3, None, None, [2, 2], [2, 2], [0, 0], [1, 1], False)
    bad = [
        (words[1:], *good[1:]),
        (*good[:2], 5, *good[3:]),
        (*good[:6], [2, 2, 2, 2], *good[7:]),
        (*good[:6], [2], *good[7:]),
        (*good[:8], [2, 2], *good[9:]),
        (*good[:6], [9, 9], *good[7:]),
    ]
    for arguments in bad:
        errors = []
        for op in (library.relu_max_pool, reference.relu_max_pool):
            with pytest.raises((ValueError, IndexError)) as raised:
                op(x, *arguments)
            errors.append((type(raised.value), str(raised.value)))
        assert errors[0] == errors[1]
    assert words[2:].eq(0).all()
