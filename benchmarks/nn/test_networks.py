"""Whole networks with every ReLU counted, against the same network plain. Results are checked."""

import copy
import functools

import pytest
import torch
from harness.instruments import Counts, Fused, Monitorch, NumPyHooks, Swapped, Watched
from harness.networks import digits, lenet, noise, photographs, resnet18, vgg16
from torch import nn

pytestmark = pytest.mark.network

INSTRUMENTS = {
    "watch": Watched,
    "swap": Swapped,
    "fuse": Fused,
    "numpy_hooks": NumPyHooks,
    "monitorch": Monitorch,
}
ROUNDS = {"watch": 5, "swap": 5, "fuse": 5, "numpy_hooks": 3, "monitorch": 3}
# The batch, and how many times as many rounds there is time for.
FORWARD = {
    "vgg16-8x3x224x224": ("vgg16", 8, 1),
    "resnet18-8x3x224x224": ("resnet18", 8, 3),
    "lenet-256x1x28x28": ("lenet", 256, 20),
}
BACKWARD = {
    "vgg16-2x3x224x224": ("vgg16", 2, 1),
    "resnet18-8x3x224x224": ("resnet18", 8, 1),
    "lenet-256x1x28x28": ("lenet", 256, 20),
}


@pytest.fixture(scope="module")
def weights(request):
    return request.config.getoption("--weights")


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize(("network", "batch", "times"), FORWARD.values(), ids=FORWARD)
def test_network_forward(paired, weights, network, batch, times, instrument):
    plain, images = loaded(network, weights)
    x, y, counts = counted(plain, images, batch)
    measured = twin(plain)
    tool = INSTRUMENTS[instrument](measured)
    with torch.no_grad():
        assert torch.equal(measured(x), y)
    tool.check(counts)
    paired(
        lambda: measured(x),
        lambda: plain(x),
        rounds=times * ROUNDS[instrument],
        warmup_rounds=0,
        **described(network, images, instrument, "forward", batch),
    )


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize(("network", "batch", "times"), BACKWARD.values(), ids=BACKWARD)
def test_network_forward_backward(paired, weights, network, batch, times, instrument):
    plain, images = loaded(network, weights)
    plain, x = copy.deepcopy(plain).train(), images(batch)
    measured = twin(plain)
    INSTRUMENTS[instrument](measured)
    y, gradient = train_step(plain, x), first_gradient(plain)
    assert torch.equal(train_step(measured, x), y)
    assert torch.equal(first_gradient(measured), gradient)
    paired(
        lambda: train_step(measured, x),
        lambda: train_step(plain, x),
        rounds=times * ROUNDS[instrument],
        warmup_rounds=0,
        grad=True,
        **described(network, images, instrument, "forward and backward", batch),
    )


@pytest.mark.parametrize("instrument", ["watch", "swap"])
def test_network_every_100(paired, weights, instrument):
    plain, images = loaded("vgg16", weights)
    x, _, counts = counted(plain, images, 8)
    measured = twin(plain)
    tool = INSTRUMENTS[instrument](measured, every=100)
    with torch.no_grad():
        measured(x)  # the one that counts
    tool.check(counts)
    paired(
        lambda: measured(x),
        lambda: plain(x),
        rounds=5,
        warmup_rounds=0,
        **described("vgg16", images, f"{instrument}, every=100", "forward", 8),
    )


COMPILED = {
    "watch": (Watched, {}, torch.contiguous_format),
    "watch, channels_last": (Watched, {}, torch.channels_last),
    "swap without pools": (Swapped, {"pools": False}, torch.contiguous_format),
    "swap": (Swapped, {}, torch.contiguous_format),
}
STEPS = {
    "vgg16-forward": ("vgg16", "forward", 8),
    "vgg16-step": ("vgg16", "forward and backward", 2),
    "resnet18-forward": ("resnet18", "forward", 8),
    "resnet18-step": ("resnet18", "forward and backward", 8),
}


@pytest.mark.parametrize("instrument", COMPILED)
@pytest.mark.parametrize(("network", "direction", "batch"), STEPS.values(), ids=STEPS)
def test_network_compiled(paired, weights, network, direction, batch, instrument, without_caches):
    """Both are compiled by Inductor."""
    plain, images = loaded(network, weights)
    x, _, counts = counted(plain, images, batch)
    training = direction != "forward"
    kind, options, memory_format = COMPILED[instrument]
    plain = copy.deepcopy(plain).train(training).to(memory_format=memory_format)
    x = x.contiguous(memory_format=memory_format)
    measured = twin(plain)
    tool = kind(measured, **options)
    step = train_step if training else torch.nn.Module.__call__
    compiled = [torch.compile(model, fullgraph=True) for model in (measured, plain)]
    with torch.set_grad_enabled(training):
        results = [step(model, x) for model in compiled]
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)
    # Inductor's convolutions differ by rounding, and with them a few zeros. (Batch norms count
    # other numbers in training.)
    found = tool.counts()
    assert {name: each.elements for name, each in found.items()} == {
        name: each.elements for name, each in counts.items()
    }
    if not (training and network == "resnet18"):
        zeros = {name: each.zeros for name, each in counts.items()}
        assert {name: each.zeros for name, each in found.items()} == pytest.approx(zeros, rel=1e-3)
    paired(
        lambda: step(compiled[0], x),
        lambda: step(compiled[1], x),
        rounds=11 if network == "resnet18" else 5,
        grad=training,
        **described(f"{network}, compiled", images, instrument, direction, batch),
    )


@pytest.fixture
def without_caches():
    """A cache may hold code that an older version of relustat was compiled to."""
    torch._dynamo.reset()
    with torch.compiler.config.patch(force_disable_caches=True):
        yield


@functools.lru_cache(maxsize=3)
def loaded(network, weights):
    """The plain network, and images: photographs for weights that know what they see."""
    if network == "resnet18":
        return resnet18().eval(), noise
    if network == "lenet":
        return lenet().eval(), digits
    return vgg16(weights).eval(), photographs if weights else noise


def twin(model):
    """Other modules with the same weights: where these lie moves a convolution's time by 5 %."""
    return copy.deepcopy(model, {id(x): x for x in (*model.parameters(), *model.buffers())})


def train_step(model, x):
    model.zero_grad(set_to_none=True)
    y = model(x)
    y.sum().backward()
    return y


def first_gradient(model):
    return next(model.parameters()).grad


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def counted(model, images, batch):
    """The input, the plain output, and what plain hooks count of each ReLU."""
    x, counts = images(batch), {}

    def hook(module, inputs):
        zeros = int((inputs[0] <= 0).sum())
        counts[names[module]] = Counts(zeros, inputs[0].numel())

    names = {each: name for name, each in model.named_modules() if isinstance(each, nn.ReLU)}
    hooks = [relu.register_forward_pre_hook(hook) for relu in names]
    y = model(x)
    for each in hooks:
        each.remove()
    return x, y, counts


def described(network, images, instrument, direction, batch):
    return {
        "what": instrument,
        "rival": "plain",
        "network": network,
        "images": images.__name__,
        "direction": direction,
        "batch": batch,
        "note": "ImageNet weights, photographs" if images is photographs else "",
    }
