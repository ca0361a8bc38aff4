"""Autocast, gradient scaling, every floating dtype: PyTorch's results and exact counts."""

import copy

import pytest
import torch
from oracle import DTYPES, assert_counts, same_bits
from torch import nn

import relustat
from relustat import CountingReLU

HALVES = [torch.bfloat16, torch.float16]
POOLS = [nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d]


def net():
    """Under autocast, both 16-bit and float32 inputs come to its ReLUs and pools."""
    return nn.Sequential(
        *(nn.ReLU(), nn.MaxPool2d(2, 1)),
        *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten()),
        *(nn.Linear(36, 5), nn.ReLU()),
    )


def recording(model):
    """Copies of all inputs of ReLUs, in the order of the calls."""
    seen = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    return seen


def assert_same_gradients(model, other):
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert same_bits(ours.grad, theirs.grad)


def counted(model, x, run, watched):
    """What ``run`` returns, and the statistics of each ReLU."""
    if watched:
        with relustat.watch(model) as watch:
            output = run(model, x)
        return output, list(watch.stats.values())
    relustat.swap(model)
    output = run(model, x)
    return output, [each.counters.stats for each in model if hasattr(each, "counters")]


def in_autocast(dtype):
    def run(model, x):
        with torch.autocast(x.device.type, dtype):
            output = model(x)
        output.square().sum().backward()
        return output

    return run


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_autocast(device, dtype, watched):
    plain = net().to(device)
    model = copy.deepcopy(plain)
    seen = recording(plain)
    x = torch.randn(2, 3, 14, 14, device=device)
    expected = in_autocast(dtype)(plain, x)
    output, stats = counted(model, x, in_autocast(dtype), watched)
    assert same_bits(output, expected)
    assert {each.dtype for each in seen} == {torch.float32, dtype}
    assert_same_gradients(model, plain)
    for each, counts in zip(seen, stats, strict=True):
        assert_counts(counts, each, counts.bins, unit_dim=1)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_models_of_every_dtype(device, dtype, watched):
    plain = net().to(device, dtype)
    model = copy.deepcopy(plain)
    seen = recording(plain)
    x = torch.randn(2, 3, 14, 14, device=device, dtype=dtype)

    def run(model, x):
        output = model(x)
        output.square().sum().backward()
        return output

    expected = run(plain, x)
    output, stats = counted(model, x, run, watched)
    assert same_bits(output, expected)
    assert {each.dtype for each in seen} == {dtype}
    assert_same_gradients(model, plain)
    for each, counts in zip(seen, stats, strict=True):
        assert_counts(counts, each, counts.bins, unit_dim=1)


@pytest.mark.parametrize("every", [1, 2])
def test_gradient_scaler(device, every):
    """A scale so large that the first step overflows and is skipped: its calls count, too."""
    plain = net().to(device)
    start = copy.deepcopy(plain)
    models = [plain, relustat.swap(copy.deepcopy(plain), every=every)]
    x = torch.randn(5, 2, 3, 14, 14, device=device)
    scales = []
    for model in models:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler(device, init_scale=2.0**30, backoff_factor=2.0**-20)
        for batch in x:
            optimizer.zero_grad()
            with torch.autocast(device, torch.float16):
                loss = model(batch).square().mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [2.0**10, 2.0**10]
    assert not torch.equal(plain[2].weight, start[2].weight)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, models[1].state_dict()[name]), name
    calls = [each.counters.stats.calls for each in models[1] if hasattr(each, "counters")]
    assert calls == [-(-5 // every)] * 4


def test_one_module_takes_all_dtypes(device):
    relu = CountingReLU()
    x = torch.randn(2, 3, 4, device=device)
    for dtype in DTYPES:
        assert same_bits(relu(x.to(dtype)), torch.relu(x.to(dtype)))
    single = [relustat.functional.relu_stats(x.to(dtype))[1] for dtype in DTYPES]
    assert relu.stats == sum(single[1:], single[0])
    assert relu.stats.calls == 4


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("return_indices", [False, True])
@pytest.mark.parametrize("kind", POOLS)
def test_pools_under_autocast_have_pytorchs_dtype(device, kind, return_indices, dtype):
    theirs = kind(2, return_indices=return_indices)
    ours = relustat.swap(copy.deepcopy(theirs))
    for given in DTYPES:
        x = torch.randn((2, 3, 6, 6, 6)[: 3 + POOLS.index(kind)], device=device).to(given)
        with torch.autocast(device, dtype):
            results = ours(x), theirs(x)
        if return_indices:
            assert torch.equal(results[0][1], results[1][1])
            results = results[0][0], results[1][0]
        assert results[0].dtype == results[1].dtype
        assert same_bits(*results)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_unpooling_under_autocast(device, dtype):
    """Unlike ``nn.MaxUnpool2d`` of 16-bit inputs there, it keeps the dtype of its input."""
    conv = nn.Conv2d(3, 4, 3).to(device)
    pool, unpool = relustat.MaxPool2d(3, 2, return_switches=True), relustat.MaxUnpool2d()
    x = torch.randn(2, 3, 11, 11, device=device)
    with torch.autocast(device, dtype):
        y, switches = pool(conv(x))
        restored = unpool(y, switches)
    assert y.dtype == restored.dtype == dtype
    expected = torch.nn.functional.max_unpool2d(y.float(), switches.indices(), 3, 2)
    assert torch.equal(restored.float(), expected)
    restored.sum().backward()
    assert conv.weight.grad.dtype == torch.float32
