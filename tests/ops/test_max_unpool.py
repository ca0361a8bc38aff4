"""Unpooling against PyTorch's and the reference; adjoints; what tampered switches do."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from oracle import DTYPES, same_bits
from pool_cases import GEOMETRIES, OURS, SIZES, formats, nasty, poolings

from relustat import Switches, reference
from relustat.functional import max_pool1d, max_pool2d, max_unpool1d, max_unpool2d, max_unpool3d
from relustat.ops import library
from relustat.ops.max_pool import OVERLAPS
from relustat.ops.pool_geometry import PoolGeometry

UNPOOL = {1: max_unpool1d, 2: max_unpool2d, 3: max_unpool3d}
THEIRS = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}


def reference_unpool(y, switches, overlap):
    arguments = switches.offsets, switches.input_size, *switches.pooling.arguments
    return reference.max_unpool(y, *arguments, OVERLAPS.index(overlap))


def assert_unpools_as_reference(axes, y, switches):
    for overlap in OVERLAPS:
        x = UNPOOL[axes](y, switches, overlap=overlap)
        expected = reference_unpool(y, switches, overlap)
        assert x.stride() == expected.stride()
        assert torch.equal(x.isnan(), expected.isnan())
        assert torch.equal(x.nan_to_num(), expected.nan_to_num())
        gradient = torch.randn(x.shape).to(x)
        backward = gradient, y, switches.offsets, *switches.pooling.arguments
        assert same_bits(
            library.max_unpool_backward(*backward, OVERLAPS.index(overlap)),
            reference.max_unpool_backward(*backward, OVERLAPS.index(overlap)),
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_reference(device, axes, dtype):
    compared = 0
    for size, geometry in itertools.product(SIZES, GEOMETRIES[:: 1 if axes < 3 else 3]):
        if axes == 3 and size[2] == 70:
            continue
        x = torch.randint(-3, 4, (1, 2, *size[-axes:]), device=device).to(dtype)
        try:
            _, switches = OURS[axes](x, *geometry)
        except ValueError:
            continue
        y = nasty(switches.offsets.shape, dtype, device)
        for each in formats(y, axes):
            assert_unpools_as_reference(axes, each, switches)
            compared += 1
    assert compared > 80


@settings(deadline=None, max_examples=200)
@given(poolings())
def test_equals_reference_hypothetically(pooling):
    axes, geometry, shape, dtype, channels_last = pooling
    try:
        _, switches = OURS[axes](torch.randint(-3, 4, shape).to(dtype), *geometry)
    except ValueError:
        return
    if switches.offsets.numel() == 0:
        return
    y = nasty(switches.offsets.shape, dtype)
    layouts = list(formats(y, axes))
    assert_unpools_as_reference(axes, layouts[-1 if channels_last else 0], switches)


def test_as_many_taps_as_bytes_tell_apart(device):
    for kernel in (16, (8, 32), (15, 17)):
        y, switches = max_pool2d(torch.randn(2, 3, 33, 35, device=device), kernel)
        assert switches.offsets.dtype == torch.uint8
        assert_unpools_as_reference(2, y, switches)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_last_equals_torchs_unpool_on_the_cpu(device, axes, dtype):
    # Without dilation, which torch's unpool does not know.
    for kernel, stride, padding in [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (5, 3, 2)]:
        x = torch.randint(-3, 4, (2, 3, 9, 10, 11)[: 2 + axes]).to(dtype)
        y, switches = OURS[axes](x.to(device), kernel, stride, padding)
        y = torch.randn(y.shape).to(y)
        torch.set_num_threads(1)  # with more of them it is chance which value comes last
        expected = THEIRS[axes](
            y.cpu(), switches.indices().cpu(), kernel, stride, padding, output_size=x.shape
        )
        torch.set_num_threads(3)
        for each in formats(y, axes):
            assert torch.equal(UNPOOL[axes](each, switches).cpu(), expected)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_sum_is_the_adjoint(device, axes):
    x = torch.randint(-3, 4, (2, 3, 9, 10, 11)[: 2 + axes], device=device).double()
    for geometry in GEOMETRIES:
        try:
            y, switches = OURS[axes](x, *geometry)
        except ValueError:
            continue
        values = torch.randint(-9, 10, y.shape, device=device).double()
        cells = torch.randint_like(x, -9, 10)
        gathered = cells.flatten(2).gather(2, switches.indices().flatten(2)).view_as(y)
        unpooled = UNPOOL[axes](values, switches, overlap="sum")
        assert (unpooled * cells).sum() == (values * gathered).sum()


def test_the_overlap_rules(device):
    x = torch.tensor([[0.0, 5.0, 0.0, 0.0]], device=device)
    _, switches = max_pool1d(x, 3, 1)
    nan = float("nan")
    for values, last, total, largest in [
        ((3, 2), 2, 5, 3),
        ((-3, -2), -2, -5, -2),
        ((2, nan), nan, nan, nan),
        ((nan, 2), 2, nan, nan),
        ((-float("inf"), -float("inf")), -float("inf"), -float("inf"), -float("inf")),
    ]:
        y = torch.tensor([values], dtype=torch.float32, device=device)
        for overlap, expected in zip(OVERLAPS, (last, total, largest), strict=True):
            unpooled = max_unpool1d(y, switches, overlap=overlap)
            torch.testing.assert_close(
                unpooled.cpu(),
                torch.tensor([[0, expected, 0, 0]]).float(),
                rtol=0,
                atol=0,
                equal_nan=True,
            )


def test_16_bit_sums_are_rounded_once(device):
    # Four windows share the middle cell. Each sum rounded to bfloat16: 256, 257 -> 256, 256, 256.
    x = torch.zeros(1, 3, 3, device=device, dtype=torch.bfloat16)
    x[0, 1, 1] = 1
    y, switches = max_pool2d(x, 2, 1)
    y = torch.tensor([[[256.0, 1.0], [1.0, 1.0]]], device=device, dtype=torch.bfloat16)
    # 259 lies between 258 and 260, whose significand is even.
    assert max_unpool2d(y, switches, overlap="sum")[0, 1, 1] == 260


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_every_16_bit_value_is_kept(device, dtype):
    values = torch.arange(-(2**15), 2**15, device=device).short().view(dtype).view(1, 1, -1)
    switches = Switches(
        torch.zeros(values.shape, dtype=torch.uint8, device=device),
        PoolGeometry((2,), (2,), (0,), (1,), False),
        (2 * values.numel(),),
    )
    for overlap in OVERLAPS:
        unpooled = max_unpool1d(values, switches, overlap=overlap)
        # A sum begins with +0, and +0 + -0 is +0.
        kept = values + 0 if overlap == "sum" else values
        assert same_bits(unpooled[..., ::2], kept)
        assert not unpooled[..., 1::2].any()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(device, threads):
    torch.set_num_threads(threads)
    # 3 * 17 * 61 rows: shares begin and end within a plane.
    for geometry in [(2, 2), (3, 2, 1), (5, 3, 2), (3, 4)]:
        x = torch.randint(-3, 4, (3, 17, 61, 63), device=device).float()
        _, switches = max_pool2d(x, *geometry)
        y = nasty(switches.offsets.shape, torch.float32, device)
        for each in formats(y, 2):
            assert_unpools_as_reference(2, each, switches)


# Of each way to unpool: small planes in groups, pairs, slices of planes, of pixels and of volumes.
WAYS = {
    "groups": ((1, 70, 7, 7), (3, 2, 1)),
    "a group and a plane": ((3, 11, 28, 28), (3, 1, 1)),
    "pairs": ((1, 3, 34, 17), (2, 2)),
    "pairs and a column": ((2, 3, 35, 67), (2, 2)),
    "pairs of rows of three": ((1, 2, 31, 40), ((3, 2), (3, 2))),
    "slices": ((1, 2, 130, 131), (3, 2, 1)),
    "far slices": ((1, 2, 300, 9), ((2, 2), (7, 2))),
    "pixels": ((2, 40, 60, 61), (3, 2, 1)),
    "volumes": ((1, 2, 24, 40, 31), (3, 1, 1)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_way(device, dtype, way):
    shape, geometry = WAYS[way]
    axes = len(shape) - 2
    torch.set_num_threads(3)
    _, switches = OURS[axes](torch.randint(-3, 4, shape, device=device).to(dtype), *geometry)
    y = nasty(switches.offsets.shape, dtype, device)
    arguments = switches.input_size, *switches.pooling.arguments
    for each in formats(y, axes):
        assert_unpools_as_reference(axes, each, switches)
    # Of all that is wrong nothing is put anywhere.
    wrong = torch.full_like(switches.offsets, switches.pooling.taps)
    assert not library.max_unpool(y, wrong, *arguments, 0, False).any()
    with pytest.raises(ValueError, match="a switch must stand for a cell"):
        library.max_unpool(y, wrong, *arguments, 0, True)


def test_deterministic_mode(device):
    torch.use_deterministic_algorithms(True)
    try:
        x = torch.randn(2, 3, 9, 9, device=device, requires_grad=True)
        y, switches = max_pool2d(x, 3, 2)
        for overlap in OVERLAPS:
            max_unpool2d(y, switches, overlap=overlap).sum().backward(retain_graph=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert x.grad.count_nonzero() > 0


def test_empty_batch(device):
    y, switches = max_pool2d(torch.empty(0, 3, 9, 9, device=device), 3, 2)
    for overlap in OVERLAPS:
        assert max_unpool2d(y, switches, overlap=overlap).shape == (0, 3, 9, 9)
    assert_unpools_as_reference(2, y, switches)


def test_the_reference_adds_infinities_and_signalling_nans_in_silence():
    y, switches = max_pool1d(torch.tensor([[0.0, 5.0, 0.0]]), 2, 1)
    # The next number above infinity is a NaN that signals.
    signalling = (torch.tensor(float("inf")).view(torch.int32) + 1).view(torch.float32)
    for other in (torch.tensor(-float("inf")), signalling):
        y = torch.stack([torch.tensor(float("inf")), other])[None]
        for overlap in ("sum", "max"):
            assert reference_unpool(y, switches, overlap)[0, 1].isnan() or other.isneginf()


def test_stride_far_beyond_the_input(device):
    y, switches = max_pool1d(torch.arange(5.0, device=device).view(1, 5), 3, 2**39)
    assert max_unpool1d(y, switches).tolist() == [[0, 0, 2, 0, 0]]
    y, switches = max_pool1d(torch.arange(9.0, device=device).view(1, 9), 2, 7)
    assert max_unpool1d(y, switches).tolist() == [[0, 1, 0, 0, 0, 0, 0, 0, 8]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64], ids=str)
def test_integers_by_the_reference(device, dtype):
    x = torch.randint(0, 9, (2, 3, 7, 8), device=device).to(dtype)
    y, switches = max_pool2d(x, 3, 2, 1)
    for overlap in OVERLAPS:
        unpooled = max_unpool2d(y, switches, overlap=overlap)
        assert unpooled.dtype == dtype
        assert torch.equal(unpooled.double(), max_unpool2d(y.double(), switches, overlap=overlap))


def tampered(switches, position, value):
    offsets = switches.offsets.clone()
    offsets[position] = value
    return Switches(offsets, switches.pooling, switches.input_size)


@pytest.mark.parametrize("padding", [0, 1])
def test_offsets_beyond_the_window(device, padding):
    x = torch.randn(2, 3, 9, 10, device=device)
    y, switches = max_pool2d(x, 3, 2, padding)
    for overlap, value in itertools.product(OVERLAPS, (9, 255)):
        for layout in formats(y, 2):
            with pytest.raises(
                ValueError, match=f"must stand for a cell of the input, got {value}"
            ):
                max_unpool2d(layout, tampered(switches, (1, 2, 3, 2), value), overlap=overlap)


def test_offsets_into_the_padding(device):
    y, switches = max_pool2d(torch.randn(2, 3, 9, 9, device=device), 3, 2, 1)
    for position, value in [((0, 0, 0, 2), 0), ((1, 2, 3, 0), 3), ((0, 1, 4, 4), 8)]:
        for layout in formats(y, 2):
            with pytest.raises(ValueError, match=f"must stand for a cell .* got {value} in window"):
                max_unpool2d(layout, tampered(switches, position, value))
    # A window inside may have its maximum there.
    max_unpool2d(y, tampered(switches, (0, 0, 1, 1), 0))


def test_negative_wide_offsets(device):
    y, switches = max_pool1d(torch.randn(2, 900, device=device), 300, 2)
    with pytest.raises(ValueError, match="must stand for a cell of the input, got -1"):
        max_unpool1d(y, tampered(switches, (1, 7), -1))


def test_wrong_switches_that_are_not_validated_are_left_out(device):
    y, switches = max_pool1d(torch.ones(2, 900, device=device), 300, 2)
    for offset in (-1, -2, -32768, 300, 32767):
        wrong = torch.full_like(switches.offsets, offset)
        arguments = wrong, switches.input_size, *switches.pooling.arguments
        for dtype, overlap in itertools.product(DTYPES, range(3)):
            assert not library.max_unpool(y.to(dtype), *arguments, overlap, False).any()


def test_messages_are_the_references(device):
    y, switches = max_pool2d(torch.randn(2, 3, 9, 9, device=device), 3, 2, 1)
    wrong = tampered(switches, (1, 0, 0, 0), 77)
    with pytest.raises(ValueError, match="got 77 in window 0 of a plane") as ours:
        max_unpool2d(y, wrong)
    with pytest.raises(ValueError, match="got 77") as theirs:
        reference_unpool(y, wrong, "last")
    assert str(ours.value) == str(theirs.value)


def misfits():
    x = torch.randn(2, 3, 9, 9)
    y, switches = max_pool2d(x, 3, 2)
    half = switches.pooling, (8, 8)
    yield y[:1], switches, ValueError, "switches must have the input's size"
    yield y, Switches(switches.offsets, *half), ValueError, "this pooling gives an output of .3, 3."
    yield y, Switches(switches.offsets.short(), switches.pooling, (9, 9)), ValueError, "must be "
    yield y.bool(), switches, TypeError, "max_unpool2d: input must be .* or an integer type, got"
    yield y, switches.indices(), TypeError, "must be relustat.Switches, got Tensor"
    yield y, max_pool1d(x[0], 2)[1], ValueError, "must be of a 2-D pooling, got a 1-D one"
    yield y[0, 0], switches, ValueError, "input must be 3-D or 4-D, got 2-D"
    yield None, switches, TypeError, "input must be a tensor, got NoneType"


@pytest.mark.parametrize(("y", "switches", "error", "message"), list(misfits()))
def test_misfits(y, switches, error, message):
    with pytest.raises(error, match=message):
        max_unpool2d(y, switches)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_a_size_near_the_largest_integer(device, ceil_mode):
    """It belongs to no tensor; its number of windows is right all the same."""
    _, switches = max_pool1d(torch.randn(2, 3, 9, device=device), 2, 1, 1)
    arguments = [2**63 - 2], [2], [2], [1], [1], ceil_mode
    message = rf"this pooling gives an output of \[{2**62}\], got an input of \[2, 3, 10\]"
    with pytest.raises(ValueError, match=message):
        library.max_unpool(
            torch.randn(2, 3, 10, device=device), switches.offsets, *arguments, 0, True
        )


def test_bad_overlap(device):
    y, switches = max_pool2d(torch.randn(2, 3, 9, 9, device=device), 3, 2)
    with pytest.raises(ValueError, match="overlap must be 'last', 'sum' or 'max', got 'mean'"):
        max_unpool2d(y, switches, overlap="mean")


def test_pooling_what_was_unpooled_gives_the_pooled_map(device):
    """S2: after a ReLU, unpooling loses nothing that pooling again would see."""
    x = torch.relu(torch.randn(4, 16, 55, 55, device=device))
    for geometry in [(3, 2), (2, 2), (3, 2, 1), (5, 3, 2)]:
        y, switches = max_pool2d(x, *geometry)
        for overlap in ("last", "max"):
            unpooled = max_unpool2d(y, switches, overlap=overlap)
            again, switches_again = max_pool2d(unpooled, *geometry)
            assert torch.equal(again, y)
            alive = y > 0
            assert torch.equal(switches_again.indices()[alive], switches.indices()[alive])
