"""swap(fuse=True): which pairs run in one pass, why others do not, and that nobody can tell."""

import copy
import importlib
import linecache
import pickle

import pytest
import torch
import torch.nn.functional as F
from models import ResNet, snapshot
from torch import nn
from torch.utils.checkpoint import checkpoint

import relustat
from relustat import Report, swap, swapped, unswap
from relustat.nn.pending_relu import PendingReLU


def vgg(inplace=True):
    layers = []
    for channels, width in ((3, 8), (8, 8)):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace)]
        layers += [nn.Conv2d(width, 8, 3, padding=1), nn.ReLU(inplace), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


class LeNet(nn.Module):
    """One ReLU and one pool, called in several lines."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 8, 5)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)
        self.fc = nn.Linear(8 * 5 * 5, 10)

    def forward(self, x):
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        return self.relu(self.fc(x.flatten(1)))


class UNet(nn.Module):
    """The encoder's map is pooled, and read again by the decoder."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        skip = self.relu(self.down(x))
        deep = F.interpolate(self.pool(skip), scale_factor=2)
        return self.up(torch.cat([skip, deep], 1))


class SkipsOverInPlace(nn.Module):
    """What the ReLU writes over is read again."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(1)

    def forward(self, x):
        x = self.conv(x)
        return self.pool(self.relu(x)) + x


class WritesOverAView(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(self.relu(self.conv(x)[:, :2]))


class TwoPools(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.one, self.other = nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1)

    def forward(self, x):
        x = self.relu(self.conv(x))
        return self.one(x), self.other(x)


class KeepsItsName(nn.Module):
    """An attribute says whether another layer reads the map."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)
        self.returns_all = False

    def forward(self, x):
        x = self.relu(self.conv(x))
        y = self.pool(x)
        return (y, x) if self.returns_all else y


class KeepsAnAttribute(nn.Module):
    """What the ReLU writes over, and what it gives, have a second name."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)
        self.relu, self.relu_ = nn.ReLU(), nn.ReLU(inplace=True)
        self.conv_, self.pool_ = nn.Conv2d(4, 4, 3), nn.MaxPool2d(2)

    def forward(self, x):
        self.kept = self.relu(self.conv(x))
        x = self.pool(self.kept)
        self.before = x = self.conv_(x)
        x = self.relu_(x)
        x = self.pool_(x)
        return x + self.before.mean() + self.kept.mean()


class WritesOverItBetween(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        x = self.conv(x)
        y = self.relu(x)
        x.detach().mul_(-2)
        return self.pool(y)


class Helper(nn.Module):
    """Several lines of another method, as in torchvision's ResNet; one of them two lines long."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.tail = nn.Module()
        self.tail.conv, self.tail.relu = nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)
        self.tail.pool = nn.MaxPool2d(2)

    def _features(self, x):
        x = self.conv1(x)
        x = self.bn1(x)
        x = self.relu(x)
        x = self.maxpool(x)
        if x is not None:
            x = self.tail.pool(self.tail.relu(self.tail.conv(x)))
        return x

    def forward(self, x):
        return torch.flatten(self._features(x), 1)


class OnlyInEval(nn.Module):
    """In training another layer reads the map."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        x = self.relu(self.conv(x))
        return (self.pool(x), x.mean()) if self.training else self.pool(x)


class Branches(nn.Module):
    """What its forward does depends on the numbers."""

    def __init__(self):
        super().__init__()
        self.features = vgg()
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        if x.sum() > 1e9:
            return x
        return self.pool(self.relu(self.features(x)))


class FunctionalReLU(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(F.relu(self.conv(x)))


def fused(model):
    """The pairs that run in one pass."""
    return {each.path: each.one_pass_with for each in swapped(model) if each.one_pass_with}


def why_two_passes(model):
    return {each.path: each.why_two_passes for each in swapped(model) if each.why_two_passes}


def in_one_pass(y):
    """How many nodes of an autograd graph are the one pass."""
    seen, left = set(), [y.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [parent for parent, _ in node.next_functions]
    return sum("ReluMaxPool" in node.name() for node in seen)


def tensors(result):
    return list(result) if isinstance(result, tuple) else [result]


def assert_same(plain, model, x, run=lambda model, x: model(x)):
    """Outputs, gradients and counts are those of the plain model and of one that is not fused."""
    counted = swap(copy.deepcopy(plain))
    results = []
    for each in (plain, counted, model):
        each.zero_grad()
        given = x.clone().requires_grad_()
        outputs = tensors(run(each, given))
        sum(output.square().sum() for output in outputs).backward()
        results.append([*outputs, given.grad, *(p.grad for p in each.parameters())])
    for other in results[1:]:
        assert len(other) == len(results[0])
        assert all(map(torch.equal, results[0], other))
    assert Report.of(model).to_dict() == Report.of(counted).to_dict()


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


MAY_BE_READ = "x may still be read after it"
WRITES_OVER = "its ReLU writes over an input that others may see"
LEFT = [
    (UNet, {"pool": "skip may still be read after it"}),
    (SkipsOverInPlace, {"pool": WRITES_OVER}),
    (WritesOverAView, {"pool": WRITES_OVER}),
    (TwoPools, {"one": MAY_BE_READ, "other": MAY_BE_READ}),
    (OnlyInEval, {"pool": MAY_BE_READ}),
    (KeepsItsName, {"pool": MAY_BE_READ}),
    (
        KeepsAnAttribute,
        {"pool": "its input is not the result of a call", "pool_": WRITES_OVER},
    ),
    (WritesOverItBetween, {"pool": "the line before does not compute its input, y"}),
    (FunctionalReLU, {"pool": "its input comes from F.relu, no module"}),
    (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU()),
        {"1": "its input comes from a Conv2d, not from an nn.ReLU"},
    ),
    (lambda: nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(2)), {"1": WRITES_OVER}),
    (lambda: nn.Sequential(nn.MaxPool2d(2)), {"0": "it is the first of its Sequential"}),
    (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Identity(), nn.MaxPool2d(2)),
        {"3": "its input comes from a Identity, not from an nn.ReLU"},
    ),
    (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), type("Mine", (nn.ReLU,), {})(), nn.MaxPool2d(2)),
        {"2": "its ReLU is not swapped"},
    ),
]


@pytest.mark.parametrize(("kind", "reasons"), LEFT)
def test_what_is_not_certain_is_left(device, kind, reasons):
    plain = kind().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {}
    assert why_two_passes(model) == reasons
    if not isinstance(plain, nn.Sequential) or len(plain) > 2:
        assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device))


def test_pairs_in_any_method(device):
    plain = Helper().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {
        "relu": ("maxpool",),
        "maxpool": ("relu",),
        "tail.relu": ("tail.pool",),
        "tail.pool": ("tail.relu",),
    }
    x = torch.randn(2, 3, 32, 32, device=device)
    assert_same(plain, model, x)
    assert in_one_pass(model(x)) == 2


def test_a_relu_that_writes_over_its_input_from_now_on(device):
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(1)

        def forward(self, x):
            x = self.conv(x)
            return self.pool(self.relu(x)) + x

    plain = Sums().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert len(fused(model)) == 2
    x = torch.randn(2, 3, 9, 9, device=device)
    assert_same(plain, model, x)
    plain.relu.inplace = model.relu.inplace = True
    assert why_two_passes(model) == {"pool": WRITES_OVER}
    model.relu.counters.reset()
    assert_same(plain, model, x)


def test_a_forward_without_source():
    names = {"nn": nn}
    exec(  # noqa: S102
        "class Made(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)\n"
        "    def forward(self, x):\n"
        "        return self.pool(self.relu(x))\n",
        names,
    )
    model = swap(names["Made"](), fuse=True)
    assert fused(model) == {}
    assert why_two_passes(model) == {"pool": "the source of Made.forward cannot be read"}
    model(torch.randn(1, 2, 4, 4))
    assert model.relu.counters.stats.calls == 1


def test_a_source_that_has_changed(tmp_path, monkeypatch):
    """The text of today is not that of the code that runs."""
    text = (
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.relu, self.pool, self.last = nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()\n"
        "    def forward(self, x):\n"
        "        return self.pool(self.relu(x))\n"
    )
    file = tmp_path / "module_that_changes.py"
    file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    kind = importlib.import_module("module_that_changes").Net
    assert len(fused(swap(kind(), fuse=True))) == 2
    other = tmp_path / "module_that_changes_too.py"
    other.write_text(text.replace("self.pool(self.relu(x))", "self.last(self.relu(x))"))
    kind = importlib.import_module("module_that_changes_too").Net
    other.write_text(text)
    linecache.checkcache()
    model = swap(kind(), fuse=True)
    assert fused(model) == {}
    assert why_two_passes(model) == {"pool": "the source of Net.forward cannot be read"}


def test_a_forward_that_depends_on_numbers(device):
    plain = Branches().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert set(fused(model)) == {
        "relu",
        "pool",
        *(f"features.{layer}" for layer in (3, 4, 8, 9)),
    }
    assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device))


def test_nothing_is_run():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.calls, self.kept = vgg(), 0, None
            self.register_buffer("steps", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            self.steps += 1
            self.kept = self.features(x + torch.rand(1))
            return self.kept

    model = Counts()
    model.features[2].eval()
    before, random = snapshot(model), torch.get_rng_state()
    modes = [module.training for module in model.modules()]
    swap(model, fuse=True)
    assert (model.calls, model.kept, model.steps.item()) == (0, None, 0)
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    assert len(fused(model)) == 4
    assert snapshot(unswap(model)) == before


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
    assert why_two_passes(model) == {"tail.0": "it is the first of its Sequential"}
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
        with pytest.raises(ValueError, match="^max_pool2d: the output would be empty") as raised:
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
        (neighbours,) = other.relu._relustat_swapped.neighbours.values()
        assert neighbours.pools == (other.maxpool,)
        other.conv1.register_forward_hook(lambda *_: None)
        assert fused(other) == {}
    # The convolution before it is not in it.
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
