"""The inputs that PyTorch tests its own ReLU and pools with: the same results, exact counts."""

import functools
import itertools

import pytest
import torch
from optional import needs
from oracle import DTYPES, assert_counts, same_bits
from torch import nn

import relustat
from relustat import CountingReLU

needs("expecttest", whole_file=True)

from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

# The import forbids all of this process to set flags of torch.backends.
torch.backends.__allow_nonbracketed_mutation_flag = True

OURS = {
    nn.ReLU: CountingReLU,
    nn.MaxPool1d: relustat.MaxPool1d,
    nn.MaxPool2d: relustat.MaxPool2d,
    nn.MaxPool3d: relustat.MaxPool3d,
}
MODULES = {info.module_cls: info for info in module_db if info.module_cls in OURS}
OPS = {op.name.removeprefix("nn.functional."): op for op in op_db}
POOLS = {"max_pool1d": nn.MaxPool1d, "max_pool2d": nn.MaxPool2d, "max_pool3d": nn.MaxPool3d}
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def outcome(module, x, **options):
    """The outputs and the gradient of x, or the error."""
    x = x.detach().requires_grad_(x.requires_grad)
    # What is written over may be no leaf.
    given = x * 1 if getattr(module, "inplace", False) else x
    try:
        outputs = module(given, **options)
    except (RuntimeError, ValueError, TypeError) as error:
        return error
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    if x.requires_grad:
        torch.manual_seed(1)
        outputs[0].backward(torch.randn_like(outputs[0]))
        outputs.append(x.grad)
    return outputs


def assert_same(ours, theirs):
    assert isinstance(theirs, list), theirs
    assert isinstance(ours, list), ours
    for tensor, other in zip(ours, theirs, strict=True):
        assert tensor.dtype == other.dtype
        assert tensor.shape == other.shape
        if tensor.is_floating_point():
            assert tensor.stride() == other.stride()
            assert same_bits(tensor.detach(), other.detach())
        else:
            assert torch.equal(tensor, other)


def assert_counted(relu, x):
    if x.numel() == 0:
        assert relu.stats.calls == 0
        return
    x = x.detach().reshape(1) if x.dim() == 0 else x.detach()
    unit_dim = 1 if x.dim() in (2, 4, 5) else x.dim() - 1
    assert_counts(relu.stats, x, relu.counters.bins, unit_dim)


def samples(kind, device, dtype, training):
    info = MODULES[kind]
    make = functools.partial(info.module_inputs_func, info, device, dtype)
    for sample in make(requires_grad=True, training=training):
        arguments = sample.constructor_input.args, sample.constructor_input.kwargs
        (x,) = sample.forward_input.args
        yield arguments, x


def layouts(x):
    yield x
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if x.dim() in formats:
        converted = x.detach().to(memory_format=formats[x.dim()])
        yield converted.requires_grad_(x.requires_grad)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", OURS)
def test_module_samples(device, kind, dtype, training):
    for (args, kwargs), sample in samples(kind, device, dtype, training):
        for x in layouts(sample):
            ours, theirs = OURS[kind](*args, **kwargs), kind(*args, **kwargs)
            ours.train(training)
            theirs.train(training)
            if x.element_size() == 2 and kind is not nn.ReLU:
                # Sums of 16-bit gradients are rounded otherwise.
                x = x.detach()
            assert_same(outcome(ours, x), outcome(theirs, x))
            if kind is nn.ReLU:
                assert_counted(ours, x)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", [*DTYPES, *INTEGERS], ids=str)
def test_relu_samples(device, dtype, inplace):
    """Scalars, empty and non-contiguous tensors, large and small numbers, infinities and NaN."""
    for sample in OPS["relu"].reference_inputs(device, dtype, dtype.is_floating_point):
        x = sample.input
        if x.numel() > 100_000:  # large for NumPy, which counts them
            continue
        ours = CountingReLU(inplace)
        assert_same(outcome(ours, x), outcome(nn.ReLU(inplace), x))
        assert_counted(ours, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("pool", POOLS)
def test_pool_samples(device, pool, dtype):
    """Combinations of kernel size, stride, padding, dilation, ceil_mode and layout."""
    theirs = POOLS[pool]
    samples = OPS[pool].sample_inputs(device, dtype, requires_grad=dtype == torch.float32)
    # Each fifth, for time: of each argument there are two or three values.
    for sample in itertools.islice(samples, 0, None, 5):
        ours = OURS[theirs](**sample.kwargs)
        assert_same(outcome(ours, sample.input), outcome(theirs(**sample.kwargs), sample.input))


@pytest.mark.parametrize("return_indices", [False, True])
@pytest.mark.parametrize("pool", POOLS)
def test_what_torchs_pools_refuse_is_refused(device, pool, return_indices):
    theirs = POOLS[pool]
    refused = 0
    for wrong in OPS[pool].error_inputs(device):
        x, kwargs = wrong.sample_input.input, dict(wrong.sample_input.kwargs)
        kwargs["return_indices"] = return_indices
        if isinstance(outcome(theirs(**kwargs), x), list):
            continue
        result = outcome(OURS[theirs](**kwargs), x)
        # But without a channel, there is nothing that could be wrong.
        assert isinstance(result, ValueError) or result[0].numel() == 0, kwargs
        refused += isinstance(result, ValueError)
    assert refused >= 6
