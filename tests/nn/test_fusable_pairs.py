"""Which pairs swap(fuse=True) finds, and why it leaves others."""

import copy
import importlib
import linecache

import pytest
import torch
from fused_models import assert_same, fused, in_one_pass, why_two_passes
from models import snapshot
from pooled_models import (
    Branches,
    FunctionalReLU,
    Helper,
    KeepsAnAttribute,
    KeepsItsName,
    LeNet,
    OnlyInEval,
    SkipsOverInPlace,
    TwoPools,
    UNet,
    WritesOverAView,
    WritesOverItBetween,
    vgg,
)
from torch import Tensor, nn

from relustat import swap, unswap

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
        {"1": "its input comes from Conv2d, not from an nn.ReLU"},
    ),
    (lambda: nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(2)), {"1": WRITES_OVER}),
    (lambda: nn.Sequential(nn.MaxPool2d(2)), {"0": "no module is right before it"}),
    (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Identity(), nn.MaxPool2d(2)),
        {"3": "its input comes from Identity, not from an nn.ReLU"},
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
    exec(
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


class Annotated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)

    def forward(self, x: Tensor, scale: float = 2.0, *, shift: "float | None" = None) -> Tensor:
        x = self.conv(x)
        x = self.relu(x)
        x = self.pool(x)
        return x * scale + (shift or 0)


class InOneLine(nn.Module):
    """Two calls of the ReLU in a line, of which one has a pool behind it."""

    def __init__(self, relu):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), relu, nn.MaxPool2d(2)

    def forward(self, x):
        h = self.conv(x)
        a = self.pool(self.relu(self.conv(x))); self.relu(h)  # fmt: skip  # noqa: E702
        return a.sum() + h.sum()


class ByAnotherName(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        act, x = self.relu, self.conv(x)
        return self.pool(self.relu(x)).sum() + act(x).sum()


class InATry(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        x = self.conv(x)
        try:
            x = self.relu(x)
            return self.pool(x)
        finally:
            self.kept = x


class OfAnother(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        self, x = self, self.conv(x)
        return self.pool(self.relu(x))


def test_annotations_and_defaults(device):
    plain = Annotated().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {"relu": ("pool",), "pool": ("relu",)}
    x = torch.randn(2, 3, 20, 20, device=device)
    assert_same(plain, model, x)
    assert in_one_pass(model(x)) == 1


@pytest.mark.parametrize(
    "kind",
    [
        lambda: InOneLine(nn.ReLU(inplace=True)),
        lambda: InOneLine(nn.ReLU()),
        ByAnotherName,
        InATry,
        OfAnother,
    ],
)
def test_what_else_a_line_may_do(device, kind):
    plain = kind().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {}
    assert len(why_two_passes(model)) == 1
    assert_same(plain, model, torch.randn(2, 3, 20, 20, device=device))


def test_a_pool_that_another_module_replaces(device):
    """The line is the same, and what it calls is not."""
    plain = LeNet().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    plain.pool, model.pool = nn.AvgPool2d(2), nn.AvgPool2d(2)
    for each in (plain, model):
        each.pool.register_full_backward_hook(lambda *_: None)
    assert fused(model) == {}
    assert_same(plain, model, torch.randn(2, 3, 32, 32, device=device))


def test_one_relu_of_two_owners(device):
    """Only one of them has a pool that is swapped."""

    def two():
        first, second = Annotated(), Annotated()
        second.conv, second.pool, second.relu = nn.Conv2d(4, 4, 3), nn.AvgPool2d(2), first.relu
        return nn.Sequential(first, second)

    plain = two().to(device)
    model = swap(copy.deepcopy(plain), fuse=True)
    assert fused(model) == {"0.relu": ("0.pool",), "0.pool": ("0.relu",)}
    x = torch.randn(2, 3, 30, 30, device=device)
    assert_same(plain, model, x)
    assert in_one_pass(model(x)) == 1
