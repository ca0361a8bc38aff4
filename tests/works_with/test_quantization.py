"""Quantisation-aware training of swapped and of watched models, and quantised tensors."""

import copy

import pytest
import torch
from torch import nn

import relustat
from relustat import CountingReLU

tq = pytest.importorskip("torch.ao.quantization", reason="this PyTorch has no quantisation")
quantize_fx = pytest.importorskip("torch.ao.quantization.quantize_fx")

TO_FUSE = [["1", "2", "3"], ["5", "6"], ["8", "9"]]


def net():
    return nn.Sequential(
        tq.QuantStub(),
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True), nn.Flatten()),
        *(nn.Linear(36, 5), nn.ReLU()),
        tq.DeQuantStub(),
    )


def images():
    return torch.randn(4, 3, 12, 12)


def prepare(model, fuse=False):
    """In place: fake quantisation of weights and activations."""
    model.train().qconfig = tq.get_default_qat_qconfig(torch.backends.quantized.engine)
    if fuse:
        tq.fuse_modules_qat(model, TO_FUSE, inplace=True)
    return tq.prepare_qat(model, inplace=True)


def trained_step(model, x):
    output = model(x)
    output.square().sum().backward()
    return [output.detach(), *(weight.grad for weight in model.parameters())]


def assert_same(ours, theirs):
    for tensor, other in zip(ours, theirs, strict=True):
        assert torch.equal(tensor, other)


def calls_of(model):
    return [each.counters.stats.calls for each in model.modules() if hasattr(each, "counters")]


def calls(watch):
    return {name: stats.calls for name, stats in watch.stats.items()}


@pytest.mark.parametrize("swap_first", [False, True])
def test_swapped_models_train_and_count(swap_first):
    plain, x = net(), images()
    model = copy.deepcopy(plain)
    expected = trained_step(prepare(plain), x)
    model = prepare(relustat.swap(model)) if swap_first else relustat.swap(prepare(model))
    assert_same(trained_step(model, x), expected)
    assert calls_of(model) == [1, 1, 1]


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("watch_first", [False, True])
def test_watched_models_train_and_count(fuse, watch_first):
    plain, x = net(), images()
    model = copy.deepcopy(plain)
    expected = trained_step(prepare(plain, fuse), x)
    if not watch_first:
        prepare(model, fuse)
    with relustat.watch(model) as watch:
        if watch_first:
            prepare(model, fuse)
        assert_same(trained_step(model, x), expected)
    assert sorted(calls(watch).values()) == [1, 1, 1]
    if not fuse:
        assert list(watch.stats) == ["3", "6", "9"]
    elif not watch_first:
        assert list(watch.stats) == ["1.relu", "5.relu", "8.relu"]
    assert torch._C._len_torch_function_stack() == 0
    model(x)
    assert sorted(calls(watch).values()) == [1, 1, 1]


def test_swapped_models_are_fused_as_plain_ones():
    plain, x = net(), images()
    model = relustat.swap(copy.deepcopy(plain))
    assert_same(trained_step(prepare(model, fuse=True), x), trained_step(prepare(plain, True), x))
    assert [each.now for each in relustat.swapped(model)] == ["pools by switches"]


def test_fx_quantisation_takes_swapped_modules_for_plain_ones():
    plain, x = net()[1:-1], images()
    swapped = relustat.swap(copy.deepcopy(plain))
    mapping = tq.get_default_qat_qconfig_mapping(torch.backends.quantized.engine)
    models = [quantize_fx.prepare_qat_fx(each.train(), mapping, (x,)) for each in (swapped, plain)]
    assert_same(*(trained_step(each, x) for each in models))
    assert "relustat" not in models[0].code
    assert calls_of(swapped) == [0, 0, 0]
    watched = copy.deepcopy(models[1])
    with relustat.watch(watched) as watch:
        watched(x)
    assert list(calls(watch).values()) == [1, 1, 1]
    converted = [quantize_fx.convert_fx(each.eval()) for each in models]
    assert torch.equal(converted[0](x), converted[1](x))


def test_converted_models_give_the_plain_ones_numbers_and_say_that_they_are_not_counted():
    plain, x = net(), images()
    model = relustat.swap(copy.deepcopy(plain))
    for each in (plain, model):
        prepare(each)(x)
    quantised = tq.convert(plain.eval())
    ours = tq.convert(model.eval())
    expected = quantised(x)
    with pytest.warns(UserWarning, match=r"does not count a Tensor of torch\.quint8"):
        assert torch.equal(ours(x), expected)
    assert calls_of(ours) == [1, 1, 1]  # of the call before
    with relustat.watch(quantised) as watch:
        assert torch.equal(quantised(x), expected)
    assert watch.stats == {}
    warning = "3: not counted, its input was a Tensor of torch.quint8, torch.strided"
    assert warning in watch.report().warnings


def test_fused_quantised_modules_are_named():
    model, x = net(), images()
    prepare(model, fuse=True)(x)
    quantised = tq.convert(model.eval())
    fused = [name for name, each in quantised.named_modules() if "ConvReLU" in type(each).__name__]
    assert fused
    with relustat.watch(quantised) as watch:
        quantised(x)
    assert watch.stats == {}
    for name in fused:
        expected = f"{name}: not counted, it computes a ReLU within a larger op"
        assert expected in watch.report().warnings


def test_a_counting_relu_that_is_not_enabled_takes_what_a_relu_takes():
    relu = CountingReLU()
    relu.enabled = False
    x = torch.randn(2, 3)
    quantised = torch.quantize_per_tensor(x, 0.1, 8, torch.quint8)
    assert torch.equal(relu(quantised).int_repr(), nn.ReLU()(quantised).int_repr())
    assert torch.equal(relu(x.to_sparse()).to_dense(), nn.ReLU()(x))
    assert relu.stats.calls == 0
