"""Max-pooling against PyTorch's, bit for bit, and switches against its indices."""

import itertools
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from oracle import DTYPES, same_bits
from pool_cases import CHANNELS_LAST, GEOMETRIES, OURS, SIZES, THEIRS, formats, nasty, poolings

from relustat import Switches, reference
from relustat.functional import max_pool1d, max_pool2d


def has_hollow_windows(sizes, geometry):
    """Whether some window sees padding only: -inf at an index of its own making, to PyTorch."""
    ones = torch.ones(1, 1, *sizes)
    return bool((THEIRS[len(sizes)](ones, *geometry) == -float("inf")).any())


def assert_pools_as_torch(axes, x, geometry):
    y, switches = OURS[axes](x, *geometry)
    expected = THEIRS[axes](x, *geometry)
    assert same_bits(y, expected)
    assert y.stride() == expected.stride() == switches.offsets.stride()
    # Of contiguous planes: PyTorch's channels_last_3d indices are wrong where a window is all -inf.
    _, indices = THEIRS[axes](x.contiguous(), *geometry, return_indices=True)
    assert torch.equal(switches.indices(), indices)
    assert Switches.from_indices(indices, x.shape[-axes:], *geometry) == switches


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_torch(device, axes, dtype):
    compared = 0
    for size, geometry in itertools.product(SIZES, GEOMETRIES):
        x = nasty((2, 3, *size[-axes:]), dtype, device)
        try:
            THEIRS[axes](x, *geometry, return_indices=True)
        except RuntimeError:
            with pytest.raises(ValueError, match="the output would be empty"):
                OURS[axes](x, *geometry)
            continue
        if has_hollow_windows(size[-axes:], geometry):
            with pytest.raises(ValueError, match="every window must hold a cell"):
                OURS[axes](x, *geometry)
            continue
        for each in formats(x, axes):
            assert_pools_as_torch(axes, each, geometry)
            compared += 1
        assert_pools_as_torch(axes, x[0], geometry)
    assert compared > 200


@pytest.mark.parametrize("channels", [1, 3, 4, 8, 17, 33, 64])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_channels_last_of_any_width(device, dtype, channels):
    for geometry in [(2, 2, 0, 1, False), (3, 2, 1, 1, True), (3, 1, 1, 2, False)]:
        x = nasty((2, channels, 9, 10), dtype, device)
        assert_pools_as_torch(2, x.to(memory_format=torch.channels_last), geometry)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(device, threads):
    torch.set_num_threads(threads)
    for x in formats(nasty((4, 16, 57, 61), torch.float32, device), 2):
        for geometry in [(2, 2, 0, 1, False), (3, 2, 1, 1, False), (7, 3, 3, 1, True)]:
            assert_pools_as_torch(2, x, geometry)


# Small planes are pooled in groups: fewer than a group, a group, and one more.
@pytest.mark.parametrize("planes", [1, 15, 31, 32, 33, 70])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_small_planes_in_groups(device, dtype, planes):
    for size in ((1, 1), (3, 4), (7, 7), (13, 28)):
        x = nasty((1, planes, *size), dtype, device)
        for geometry in [(2, 2, 1, 1, True), (3, 2, 1, 1, False), (3, 1, 1, 1, False)]:
            assert_pools_as_torch(2, x, geometry)


@settings(deadline=None, max_examples=200)
@given(poolings())
def test_equals_torch_and_reference_hypothetically(pooling):
    axes, geometry, shape, dtype, channels_last = pooling
    x = nasty(shape, dtype)
    if channels_last and axes in CHANNELS_LAST:
        x = x.contiguous(memory_format=CHANNELS_LAST[axes])
    try:
        slow_y, slow_offsets = reference.max_pool(x, *geometry)
    except ValueError as refusal:
        with pytest.raises(ValueError, match=re.escape(str(refusal))):
            OURS[axes](x, *geometry)
        return
    y, switches = OURS[axes](x, *geometry)
    if x.numel() > 0:
        assert_pools_as_torch(axes, x, geometry)
    assert same_bits(y, slow_y)
    assert y.stride() == slow_y.stride()
    assert torch.equal(switches.offsets, slow_offsets)


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [((16, 16), torch.uint8), ((1, 257), torch.int16), ((181, 181), torch.int16)],
)
def test_large_windows(device, kernel, dtype):
    x = nasty((1, 2, 190, 300), torch.float32, device)
    for each in formats(x, 2):
        _, switches = max_pool2d(each, kernel, 5)
        assert switches.offsets.dtype == dtype
        assert_pools_as_torch(2, each, (kernel, 5))


def test_size_one_windows_switches_are_zero(device):
    _, switches = max_pool2d(torch.randn(2, 3, 4, 4, device=device), 1)
    assert not switches.offsets.any()


def test_empty_batch(device):
    y, switches = max_pool2d(torch.empty(0, 3, 9, 9, device=device), 3, 2)
    assert y.shape == switches.offsets.shape == (0, 3, 4, 4)
    assert switches.indices().shape == (0, 3, 4, 4)


def test_slices_and_expanded_inputs(device):
    x = nasty((4, 6, 20, 22), torch.float32, device)
    for each in (x[:, ::2], x[..., ::2], x[:1].expand(3, -1, -1, -1), x.transpose(2, 3)):
        assert_pools_as_torch(2, each, (3, 2, 1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64], ids=str)
def test_integers_by_the_reference(device, dtype):
    x = torch.randint(0, 9, (2, 3, 7, 8), device=device).to(dtype)
    y, switches = max_pool2d(x, 3, 2, 1)
    expected, indices = F.max_pool2d(x.double(), 3, 2, 1, return_indices=True)
    assert y.dtype == dtype
    assert torch.equal(y.double(), expected)
    assert torch.equal(switches.indices(), indices)


def test_denormals_are_compared_in_any_mode(device):
    x = torch.tensor([[[0.0, 1e-40, 2e-40, 1e-41]]], device=device)
    torch.set_flush_denormal(True)
    try:
        _, switches = max_pool1d(x, 2)
    finally:
        torch.set_flush_denormal(False)
    assert switches.offsets.tolist() == [[[1, 0]]]


@pytest.mark.parametrize(
    ("axes", "shape", "arguments", "message"),
    [
        (2, (1, 4, 4), (3, 2, 2), "padding must be at most half the kernel size, got padding=2, k"),
        (2, (1, 4, 4), (3, 2, -1), "padding must be at most half the kernel size, got padding=-1"),
        (2, (1, 4, 4), (3, 0), "must be positive, got kernel_size=3, stride=0, dilation=1"),
        (2, (1, 4, 4), (0,), "must be positive, got kernel_size=0"),
        (2, (1, 4, 4), (2, 2, 0, -1), "must be positive, got kernel_size=2, stride=2, dilation=-1"),
        (2, (1, 4, 4), (9,), "the output would be empty, got an input of 4 cells"),
        (1, (1, 9), (3, 1, 2, 2), "padding must be at most half the kernel size, got padding=2, k"),
        (1, (2, 0), (2, 1, 1), "every window must hold a cell of the input, got none in window 0"),
        (1, (2, 0), (2,), "the output would be empty, got an input of 0 cells"),
        (2, (1, 4, 4), ((200, 200), 2), "the output would be empty, got an input of 4 cells"),
        (
            2,
            (1, 300, 300),
            ((200, 200), 2),
            "at most 32767 cells, got kernel_size=.200, 200",
        ),
        (1, (1, 1 << 17), (1 << 16,), "kernel_size must be at most 32767"),
        (1, (1, 2), (2, 1, 1, 3), "every window must hold a cell"),
        (2, (4, 4), (2,), "input must be 3-D or 4-D, got 2-D of size .4, 4"),
        (2, (1, 1, 1, 4, 4), (2,), "input must be 3-D or 4-D, got 5-D"),
        (2, (1, 4, 4), ((2, 2, 2),), r"kernel_size must be an int or 2 of them, got \(2, 2, 2\)"),
        (2, (1, 4, 4), (2.0,), "kernel_size must be an int or 2 of them"),
        (2, (1, 4, 4), (2, "2"), "stride must be an int or 2 of them"),
    ],
)
def test_bad_geometry(device, axes, shape, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        OURS[axes](torch.zeros(shape, device=device), *arguments)


def test_what_counts_as_an_int(device):
    x = torch.randn(2, 3, 9, 9, device=device)
    expected = max_pool2d(x, 3, 2, 1)
    for three, two in ((np.int64(3), np.int32(2)), (torch.tensor(3), torch.tensor([2, 2])[0])):
        for geometry in [
            (three, two, 1),
            ((three, 3), [two, two], (1,)),
            (torch.Size([3, 3]), 2, 1),
        ]:
            y, switches = max_pool2d(x, *geometry)
            assert torch.equal(y, expected[0])
            assert switches == expected[1]
            assert all(type(number) is int for number in switches.stride)
    for stride in (None, (), []):
        assert max_pool2d(x, 3, stride)[1].stride == (3, 3)


def test_numbers_of_earlier_calls_make_no_others_right():
    x = torch.randn(1, 5, 5)
    for kernel, stride in ((1, 1), ((2, 2), (1, 1))):
        max_pool2d(x, kernel, stride)
    for kernel, stride in ((1.0, 1), (True, 1), ((2.0, 2), (1, 1)), ((2, 2), (True, 1))):
        with pytest.raises(ValueError, match="must be an int or 2 of them"):
            max_pool2d(x, kernel, stride)
    with pytest.raises(TypeError, match="ceil_mode must be True or False, got 0"):
        max_pool2d(x, 1, 1, 0, 1, 0)


def test_bools_are_no_numbers():
    x = torch.randn(1, 5, 5)
    with pytest.raises(ValueError, match="kernel_size must be an int or 2 of them, got True"):
        max_pool2d(x, True)
    with pytest.raises(TypeError, match="ceil_mode must be True or False, got 'False'"):
        max_pool2d(x, 2, ceil_mode="False")


def test_layouts_without_a_kernel():
    for x in (
        torch.eye(4)[None].to_sparse(),
        torch.quantize_per_tensor(torch.randn(1, 4, 4), 0.1, 8, torch.quint8),
        torch.nested.nested_tensor([torch.randn(1, 4, 4)]),
    ):
        with pytest.raises(TypeError, match="max_pool2d: input must be a dense tensor, got"):
            max_pool2d(x, 2)


@pytest.mark.parametrize("x", [None, [1.0], np.zeros((1, 4, 4))])
def test_no_tensor(x):
    with pytest.raises(TypeError, match="max_pool2d: input must be a tensor, got"):
        max_pool2d(x, 2)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool, torch.float8_e4m3fn], ids=str)
def test_dtypes_without_an_order(device, dtype):
    with pytest.raises(TypeError, match=f"or an integer type, got {dtype}"):
        max_pool2d(torch.zeros(1, 4, 4, device=device).to(dtype), 2)
