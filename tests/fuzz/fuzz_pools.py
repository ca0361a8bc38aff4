"""Fuzzers of pooling and unpooling: against PyTorch and the reference, bit for bit."""

import pickle
import re

import pytest
import torch
from counting_calls import any_call, check_bits, threads_of
from fuzzed_tensors import any_input, filled, laid_out
from hypothesis import note
from oracle import numpy_of
from pool_cases import OURS, THEIRS

import relustat
from relustat import Switches, reference
from relustat.functional import counting_relu
from relustat.ops.max_pool import OVERLAPS

RELU_POOLS = {axes: getattr(relustat.functional, f"relu_max_pool{axes}d") for axes in (1, 2, 3)}
UNPOOLS = {axes: getattr(relustat.functional, f"max_unpool{axes}d") for axes in (1, 2, 3)}
THEIR_UNPOOLS = {axes: getattr(torch.nn.functional, f"max_unpool{axes}d") for axes in (1, 2, 3)}
LAYOUTS = ("contiguous", "channels_last", "channels_last", "permuted", "strided", "negative")
# Ties, both zeros, NaN and infinities: few numbers, the first of the palette.
FEW = bytes((0, 1, 2, 3, 4, 5, 6, 0, 1, 6, 6, 3, 9, 2))
LARGE = {1: (3, 70, 300), 2: (2, 40, 33, 31), 3: (2, 5, 13, 17, 19)}


def any_geometry(choices):
    """The axes of a pooling, its numbers, and the shape of an input."""
    axes = 1 + choices.below(3)
    kernel = [1 + choices.below(5) for _ in range(axes)]
    stride = [1 + choices.below(4) for _ in range(axes)]
    padding = [choices.below(k // 2 + 1) for k in kernel]
    dilation = [1 + choices.one_in(4) for _ in range(axes)]
    sizes = [1 + choices.below(12 if axes < 3 else 6) for _ in range(axes)]
    batch = [choices.below(3), 1 + choices.below(4)]
    shape = (*batch[choices.one_in(4) :], *sizes)
    if choices.one_in(64):
        shape = LARGE[axes]
    return axes, (kernel, stride, padding, dilation, choices.below(2) == 1), shape


def any_pooled(choices, shape):
    """An input of these sizes; of few different numbers in half of the cases."""
    given = any_input(choices, shape, layouts=LAYOUTS)
    if choices.below(2):
        few = bytes(FEW[byte % len(FEW)] for byte in given.text)
        given = type(given)(shape, given.dtype, few, given.layout, given.detail)
    return given


def any_gradient(choices, like):
    text = choices.bytes(1 + choices.below(20))
    layout = choices.of(("contiguous", "permuted", "expanded", "channels_last"))
    return laid_out(filled(like.shape, like.dtype, text), layout, choices.bits(1))


def is_refused(function, refusal, *arguments):
    """Asserts that a function raises the reference's error."""
    with pytest.raises(ValueError, match=re.escape(str(refusal).partition(": ")[2])):
        function(*arguments)


def fuzz_max_pool(choices):
    axes, geometry, shape = any_geometry(choices)
    given, threads = any_pooled(choices, shape), 1 + choices.below(3)
    note((axes, geometry, given, threads))
    x = given.made()
    try:
        y_of_reference, offsets = reference.max_pool(x, *geometry)
    except ValueError as refusal:
        is_refused(OURS[axes], refusal, x, *geometry)
        return
    with threads_of(threads if x.numel() > 2000 else 0):
        leaf = x.requires_grad_()
        y, switches = OURS[axes](leaf, *geometry)
    check_bits(y.detach(), y_of_reference)
    assert y.stride() == y_of_reference.stride() == switches.offsets.stride()
    assert torch.equal(switches.offsets, offsets)
    # Of contiguous planes: PyTorch's channels_last_3d indices are wrong where all is -inf.
    plain = given.values.clone().requires_grad_()
    expected, indices = THEIRS[axes](plain, *geometry, return_indices=True)
    check_bits(y.detach(), expected.detach())
    assert torch.equal(switches.indices(), indices)
    check_switches(switches, x, indices, geometry, choices)
    upstream = any_gradient(choices, y)
    (gradient,) = torch.autograd.grad(y, leaf, upstream)
    if x.dtype in (torch.float32, torch.float64):
        check_bits(gradient, torch.autograd.grad(expected, plain, upstream.contiguous())[0])
    elif upstream.numel():
        # PyTorch rounds each sum.
        arguments = switches.input_size, *geometry, OVERLAPS.index("sum")
        check_bits(gradient, reference.max_unpool(upstream, offsets, *arguments))


def check_switches(switches, x, indices, geometry, choices):
    again = Switches.from_indices(indices, switches.input_size, *geometry)
    assert again == switches
    way = choices.below(8)
    if way == 1:
        assert pickle.loads(pickle.dumps(switches)) == switches
    elif way == 2 and x.dim() == switches.pooling.axes + 2:
        at = choices.below(len(switches) + 1)
        assert Switches.cat([switches[:at], switches[at:]]) == switches


def fuzz_max_unpool(choices):
    axes, geometry, shape = any_geometry(choices)
    given, threads = any_pooled(choices, shape), 1 + choices.below(3)
    overlap = choices.of(OVERLAPS)
    note((axes, geometry, given, overlap, threads))
    try:
        y, switches = OURS[axes](given.made(), *geometry)
    except ValueError:
        return
    if choices.one_in(4):  # which are validated
        switches = Switches(switches.offsets.clone(), switches.pooling, switches.input_size)
    y = any_pooled(choices, tuple(y.shape))
    note(y)
    values = y.made().requires_grad_()
    with threads_of(threads if values.numel() > 2000 else 0):
        unpooled = UNPOOLS[axes](values, switches, overlap=overlap)
    arguments = switches.input_size, *switches.pooling.arguments, OVERLAPS.index(overlap)
    detached = values.detach()
    expected = reference.max_unpool(detached, switches.offsets, *arguments)
    check_bits(unpooled.detach(), expected)
    assert unpooled.stride() == expected.stride()
    if overlap == "last" and geometry[3] == [1] * axes and unpooled.numel():
        check_against_torchs(axes, y.values, switches, expected)
    upstream = any_gradient(choices, unpooled)
    (gradient,) = torch.autograd.grad(unpooled, values, upstream)
    check_bits(
        gradient,
        reference.max_unpool_backward(upstream, detached, switches.offsets, *arguments[1:]),
    )


def check_against_torchs(axes, y, switches, expected):
    geometry = switches.kernel_size, switches.stride, switches.padding
    size = expected.shape[-axes:]
    try:
        # With more of them it is chance which value comes last.
        with threads_of(1):
            theirs = THEIR_UNPOOLS[axes](y, switches.indices(), *geometry, output_size=size)
    except (ValueError, RuntimeError):  # sizes that no pooling without ceil_mode leads to
        return
    check_bits(expected, theirs)


def fuzz_relu_max_pool(choices):
    axes, geometry, shape = any_geometry(choices)
    call = any_call(choices, shape=shape)
    note((axes, geometry, call))
    ours, theirs = call.counters(), call.counters()
    x = call.input.made()
    pool = RELU_POOLS[axes]
    try:
        y_of_reference, offsets = reference.max_pool(torch.relu(x), *geometry)
    except ValueError as refusal:
        is_refused(lambda: pool(x, ours, *geometry, mask=call.mask), refusal)
        assert ours.stats.calls == 0
        return
    leaf = x.detach().requires_grad_(call.mode == "grad")
    with threads_of(call.threads), torch.inference_mode(call.mode == "inference"):
        y, switches = pool(leaf, ours, *geometry, mask=call.mask)
    check_bits(y.detach(), y_of_reference)
    assert y.stride() == y_of_reference.stride() == switches.offsets.stride()
    assert torch.equal(switches.offsets, offsets)
    model = call.model(False)
    model.count(x.detach(), numpy_of(x.resolve_neg()) <= 0, None, call.unit_dims, call.kept)
    model.check(ours.stats)
    if call.mode != "grad":
        return
    plain = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    rectified = counting_relu(plain, theirs, mask=call.mask)
    assert theirs.stats == ours.stats
    upstream = any_gradient(choices, y)
    gradients = [
        torch.autograd.grad(output, given, upstream)[0]
        for output, given in ((y, leaf), (OURS[axes](rectified, *geometry)[0], plain))
    ]
    check_bits(*gradients)
