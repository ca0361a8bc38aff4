"""swap(fuse=True): nobody can tell that a ReLU and its pool run in one pass."""

import copy
import pickle

import pytest
import torch
from fused_models import assert_same, fused, in_one_pass, why_two_passes
from models import ResNet, snapshot
from pooled_models import LeNet, vgg
from torch import nn
from torch.utils.checkpoint import checkpoint

import relustat
from relustat import Report, swap, unswap
from relustat.nn.pending_relu import PendingReLU


@pytest.mark.parametrize("inplace", [False, True])
def test_neighbours_in_a_sequential(device, inplace):
    plain = vgg(inplace).to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {"3": ("4",), "4": ("3",), "8": ("9",), "9": ("8",)}
    assert why_two_passes(model) == {}
    x = torch.randn(2, 3, 20, 20, device=device)
    assert in_one_pass(model(x)) == 2
    for module in model.modules():
        if hasattr(module, "counters"):
            module.counters.reset()
    assert_same(plain, model, x)


def test_single_readers_in_a_forward(device):
    plain = ResNet().to(device).train()
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {"relu": ("maxpool",), "maxpool": ("relu",)}
    assert_same(plain, model, torch.randn(2, 3, 32, 32, device=device))
    assert in_one_pass(model(torch.randn(2, 3, 32, 32, device=device))) == 1


def test_one_relu_in_several_lines(device):
    plain = LeNet().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {"relu": ("pool",), "pool": ("relu",)}
    x = torch.randn(2, 3, 32, 32, device=device)
    assert_same(plain, model, x)
    assert in_one_pass(model(x)) == 2


HOOKS = [
    lambda module, saw: module.register_forward_hook(lambda _, __, y: saw.append(y.clone())),
    lambda module, saw: module.register_forward_pre_hook(lambda _, x: saw.append(x[0].clone())),
    lambda module, saw: module.register_full_backward_hook(
        lambda _, x, y: saw.extend(each.clone() for each in (*x, *y))
    ),
    lambda module, saw: module.register_full_backward_pre_hook(
        lambda _, y: saw.extend(each.clone() for each in y)
    ),
]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("place", [2, 3, 4])
def test_hooks_see_what_they_would(device, place, hook):
    """On the producer, the ReLU and the pool, registered after swap."""
    # Autograd forbids to write over what a backward hook sees.
    plain = vgg(inplace=hook in HOOKS[:2]).to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    x = torch.randn(2, 3, 20, 20, device=device)
    saw = []
    for each in (plain, model):
        seen = []
        handle = hook(each[place], seen)
        each(x.clone().requires_grad_()).sum().backward()
        handle.remove()
        saw.append(seen)
    assert len(saw[0]) == len(saw[1]) > 0
    for expected, seen in zip(*saw, strict=True):
        assert type(seen) is torch.Tensor
        assert torch.equal(expected, seen)
    assert in_one_pass(model(x)) == 2


def test_a_hook_on_a_producer_sees_what_the_relu_writes(device):
    """In place: it keeps the tensor, and looks at it later."""
    plain = vgg().to(device).eval()
    model = swap(copy.deepcopy(plain), fuse=True)
    kept = []
    for each in (plain, model):
        each[2].register_forward_hook(lambda _, __, y: kept.append(y))
        with torch.no_grad():
            each(torch.ones(1, 3, 20, 20, device=device))
    assert (kept[0] >= 0).all()
    assert torch.equal(*kept)


def test_a_global_hook(device):
    plain = vgg().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    x = torch.randn(2, 3, 20, 20, device=device)
    saw = []
    handle = nn.modules.module.register_module_forward_hook(lambda _, __, y: saw.append(y.clone()))
    try:
        plain(x)
        expected, saw[:] = list(saw), []
        model(x)
    finally:
        handle.remove()
    assert all(map(torch.equal, expected, saw))


def test_after_a_hook_the_list_says_so():
    model = swap(vgg(), fuse=True)
    handle = model[3].register_forward_hook(lambda *_: None)
    assert fused(model) == {"8": ("9",), "9": ("8",)}
    assert why_two_passes(model) == {"4": "a hook sees what is between them"}
    handle.remove()
    assert len(fused(model)) == 4


@pytest.mark.parametrize("inplace", [False, True])
def test_layers_called_one_by_one(device, inplace):
    """As where features are collected: the same lines call all layers."""
    plain = vgg(inplace).to(device)
    model = swap(copy.deepcopy(plain), fuse=True)

    def collect(model, x):
        features = []
        for layer in model:
            x = layer(x)
            features.append(x)
        return tuple(feature * 1 for feature in features)

    assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device), collect)


@pytest.mark.parametrize("inplace", [False, True])
def test_slices(device, inplace):
    plain = vgg(inplace).to(device)
    model = swap(copy.deepcopy(plain), fuse=True)

    def up_to_the_relu(model, x):
        middle = model[:4](x)
        assert type(middle) is torch.Tensor
        return middle * 2, model[4:](middle)

    assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device), up_to_the_relu)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_block_that_ends_between_the_two(device, use_reentrant):
    """Backward hooks and checkpoints of blocks see the ReLU's own output and gradient."""

    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
            self.tail = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))

        def forward(self, x):
            return checkpoint(self.tail, self.stem(x), use_reentrant=use_reentrant)

    plain = Blocks().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {}
    assert why_two_passes(model) == {"tail.0": "no module is right before it"}
    for each in (plain, model):
        each.stem.register_full_backward_hook(lambda *_: None)
    assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device))


def test_a_shape_that_the_pool_refuses(device):
    """The ReLU has counted, as it has in two passes."""
    plain = vgg().to(device)
    x = torch.randn(2, 3, 1, 1, device=device)
    counted, model = swap(copy.deepcopy(plain)), swap(copy.deepcopy(plain), fuse=True)
    errors = []
    for each in (counted, model):
        with pytest.raises(ValueError, match=r"^max_pool2d: the output would be empty") as raised:
            each(x)
        errors.append(str(raised.value))
    assert errors[0] == errors[1]
    assert Report.of(model).to_dict() == Report.of(counted).to_dict()


def test_a_sequential_that_changes(device):
    plain = vgg().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    for each in (plain, model):
        each.insert(4, nn.Hardtanh(0, 1))
        each[-1] = nn.AvgPool2d(2)
    assert fused(model) == {}
    assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device))


def test_copies_and_pickles(device):
    plain = vgg().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    x = torch.randn(2, 3, 20, 20, device=device)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same(plain, other, x)
        assert in_one_pass(other(x)) == 2
        assert fused(other) == fused(model)


def test_copies_and_pickles_of_other_forwards(device):
    plain = ResNet().to(device).eval()
    model = swap(copy.deepcopy(plain), fuse=True)
    x = torch.randn(2, 3, 32, 32, device=device)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same(plain, other, x)
        assert in_one_pass(other(x)) == 1
        other.conv1.register_forward_hook(lambda *_: None)
        assert fused(other) == {}
    # No other module is in it.
    assert len(pickle.dumps(model.relu)) < len(pickle.dumps(swap(nn.ReLU()))) + 2000


def test_unswap_and_swap_again(device):
    model = vgg().to(device)
    before = snapshot(model)
    swap(model)
    assert fused(model) == {}
    counters = model[3].counters
    swap(model, fuse=True)
    assert model[3].counters is counters
    assert len(fused(model)) == 4
    assert snapshot(unswap(model)) == before
    with pytest.raises(ValueError, match=r"^swap: fuse=True needs pools=True, got pools=False"):
        swap(model, fuse=True, pools=False)
    assert snapshot(model) == before


def test_a_pool_that_is_not_swapped_any_more(device):
    model = swap(vgg(), fuse=True).to(device)
    unswap(model[4])
    assert fused(model) == {"8": ("9",), "9": ("8",)}
    assert relustat.swapped(model)[2].now == "as before"
    x = torch.randn(2, 3, 20, 20, device=device)
    assert in_one_pass(model(x)) == 1


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("cut", [3, 4, 5])
def test_checkpointing(device, cut, use_reentrant):
    """A cut at any place of the pair."""
    plain = vgg(inplace=False).to(device)
    model = swap(copy.deepcopy(plain), fuse=True)

    def run(model, x):
        return model[cut:](checkpoint(model[:cut], x, use_reentrant=use_reentrant))

    assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device), run)


def test_under_modes_and_transforms(device):
    plain = vgg().to(device).eval()
    model = swap(copy.deepcopy(plain), fuse=True)
    x = torch.randn(2, 3, 20, 20, device=device)
    expected = plain(x)
    with relustat.watch(model) as watch:
        assert torch.equal(model(x), expected)
    assert watch.stats["3"].elements == model[3].counters.stats.elements
    traced = torch.jit.trace(model, x, check_trace=False)
    assert torch.equal(traced(x), expected)
    parameters = dict(model.named_parameters())
    assert torch.equal(torch.func.functional_call(model, parameters, (x,)), expected)
    if device == "cpu":
        torch.testing.assert_close(torch.func.vmap(model)(x[None])[0], expected)
        exported = torch.export.export(model, (x,)).module()
        assert torch.equal(exported(x), expected)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model(x), plain(x))


@pytest.mark.parametrize("training", [False, True])
def test_compiled(device, training):
    """The compiler sees two ops, and is told nothing of pairs."""
    model = swap(vgg().to(device), fuse=True)
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(2, 3, 20, 20, device=device)
    with torch.set_grad_enabled(training):
        y = compiled(x)
        expected = model(x)
    torch.testing.assert_close(y, expected)
    assert model[3].counters.stats.calls == 2
    assert model[3].counters.stats.elements == 2 * 2 * 8 * 20 * 20


READERS = [
    lambda x: x + 1,
    lambda x: torch.cat([x, x]),
    lambda x: x.detach().cpu().numpy(),
    lambda x: x.shape,
    lambda x: x[0],
    lambda x: (x.sum(), x.dtype),
    lambda x: pickle.loads(pickle.dumps(x.detach())),
    repr,
    lambda x: copy.deepcopy(x.detach()),
    lambda x: list(x),
    lambda x: x.add_(1),
]


@pytest.mark.parametrize("read", READERS)
def test_any_reader_gets_the_output(device, read):
    relu = swap(nn.ReLU()).to(device)
    x = torch.randn(2, 3, 4, 4, device=device)
    pending = PendingReLU.of(x, relu._relustat_swapped)
    assert relu.counters.stats.calls == 0
    result, expected = read(pending), read(torch.relu(x))
    assert str(result) == str(expected)
    assert relu.counters.stats.calls == 1
    assert torch.equal(pending * 1, torch.relu(x) + (read is READERS[-1]))
    assert relu.counters.stats.calls == 1
    assert pending.take_input(lambda _: True) is None


def test_a_second_reader_counts_nothing(device):
    relu = swap(nn.ReLU()).to(device)
    x = torch.randn(2, 3, 4, 4, device=device)
    pending = PendingReLU.of(x, relu._relustat_swapped)
    assert torch.equal(pending.take_input(lambda _: True), x)
    assert relu.counters.stats.calls == 0  # the one who takes it counts
    assert torch.equal(pending * 1, torch.relu(x))
    assert relu.counters.stats.calls == 0
