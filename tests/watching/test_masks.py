"""Masks of a watched model: what they leave out is in no count."""

import pytest
import torch
import torch.nn.functional as F
from oracle import assert_counts
from torch import nn
from torch.utils.checkpoint import checkpoint

import relustat
from relustat import LinearBins

BINS = LinearBins(-200, 200, 20)

HOWS = {
    "eager": lambda model: model,
    "compiled": lambda model: torch.compile(model, fullgraph=True, dynamic=False),
}


class Encoder(nn.Module):
    """A transformer's feed-forward part, in-place and not, and a convolution over the tokens."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(8, 16)
        self.act = nn.ReLU(inplace=True)
        self.down = nn.Linear(16, 8)
        self.conv = nn.Conv1d(8, 4, 3, padding=1)
        with torch.no_grad():
            # Small integers: sums of products are exact in any order.
            for parameter in self.parameters():
                parameter.copy_(torch.randint(-2, 3, parameter.shape))

    def inputs(self, x):
        """The inputs of the three ReLUs; the last one has its units in dimension 1."""
        up = self.up(x)
        down = self.down(F.relu(up))
        return up, down, self.conv(F.relu(down).mT)

    def forward(self, x):
        down = self.down(self.act(self.up(x)))
        return F.relu(self.conv(F.relu(down).mT)).mean(2)


def batch():
    """Tokens [batch, tokens, 8], and which of them are no padding: [batch, tokens]."""
    lengths = torch.tensor([5, 9, 1, 7])
    return torch.randint(-2, 3, (4, 9, 8)).float(), torch.arange(9) < lengths[:, None]


def check(watch, model, batches):
    """Every count of every call site, against NumPy on what the masks keep."""
    names = ["act", "relu", "relu_1"]
    assert list(watch.stats) == names
    inputs = [model.inputs(x) for x, _ in batches]
    for index, name in enumerate(names):
        kept = []
        for each, (_, mask) in zip(inputs, batches, strict=True):
            by_unit = each[index] if index == 2 else each[index].mT
            kept.append(by_unit.transpose(0, 1)[:, mask])
        parts = [relustat.functional.relu_stats(part, BINS, 0)[1] for part in kept]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.then(part)
        counted = watch.stats[name]
        assert counted == whole
        assert counted.calls_since_fired.tolist() == whole.calls_since_fired.tolist()
        assert_counts(parts[0], kept[0], BINS, 0)


@pytest.mark.parametrize("how", HOWS)
def test_a_function_gives_the_mask_of_each_batch(device, how):
    model = Encoder().to(device)
    batches = [tuple(each.to(device) for each in batch()) for _ in range(3)]
    now = {}
    with relustat.watch(model, BINS, mask=lambda *_: now["mask"]) as watch:
        called = HOWS[how](model)
        for x, mask in batches:
            now["mask"] = mask
            called(x)
    check(watch, model, batches)


def test_one_tensor_for_all_calls(device):
    model = Encoder().to(device)
    x, mask = (each.to(device) for each in batch())
    with relustat.watch(model, BINS, mask=mask) as watch:
        for _ in range(3):
            model(x)
    check(watch, model, [(x, mask)] * 3)


def test_a_function_knows_the_call_site_and_the_input():
    model = Encoder()
    x, mask = batch()
    seen = []

    def of(site, x):
        seen.append((site, tuple(x.shape), x.requires_grad, torch.is_grad_enabled()))
        # That ReLU is none of the model's.
        return None if site == "act" else (F.relu(x).sum() >= 0) & mask

    with relustat.watch(model, BINS, mask=of) as watch:
        model(x)
    shapes = {"act": (4, 9, 16), "relu": (4, 9, 8), "relu_1": (4, 4, 9)}
    assert seen == [(site, shape, True, False) for site, shape in shapes.items()]
    elements = {name: stats.elements for name, stats in watch.stats.items()}
    assert elements == {
        "act": 4 * 9 * 16,
        "relu": int(mask.sum()) * 8,
        "relu_1": int(mask.sum()) * 4,
    }


def test_a_unit_that_fires_only_in_padding_is_dead():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    x = torch.tensor([[[1.0, -1.0], [0.0, 5.0]]])
    with relustat.watch(model, mask=torch.tensor([[True, False]])) as watch:
        model(x)
    assert watch.stats["1"].dead_units.tolist() == [1]
    assert watch.report().warnings == ["1: 1 of 2 units gave only zeros in 1 call"]


def test_subclasses_and_calls_that_are_no_relu_op():
    model = nn.Sequential(nn.Linear(3, 4), nn.Threshold(0, 0), nn.Linear(4, 2))
    x, mask = torch.randn(5, 3), torch.tensor([True, False, True, True, False])
    with relustat.watch(model, BINS, mask=mask) as watch:
        model(x)
        model(nn.Parameter(x))
    assert_counts(watch.stats["1"], model[0](x)[mask], BINS, 1, calls=2)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_mask_that_changes_before_the_recomputation_changes_nothing(use_reentrant):
    model = Encoder()
    x, mask = batch()
    now, asked = {"mask": mask}, []

    def of(site, x):
        asked.append(site)
        return now["mask"]

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return checkpoint(self.model, x, use_reentrant=use_reentrant)

    with relustat.watch(Checkpointed(), BINS, mask=of) as watch:
        y = watch._model(x.requires_grad_())
        now["mask"] = torch.zeros(1, 2, 3, dtype=torch.bool)  # fits nothing
        y.sum().backward()
    tokens = int(mask.sum())
    assert [stats.elements for stats in watch.stats.values()] == [
        16 * tokens,
        8 * tokens,
        4 * tokens,
    ]
    assert asked == ["model.act", "model.relu", "model.relu_1"]


BAD = {
    "shape": (
        lambda _: torch.ones(4, 8, dtype=torch.bool),
        ValueError,
        r"\[4, 9\], .*got \[4, 8\]",
    ),
    "units": (lambda _: torch.ones(4, 9, 16, dtype=torch.bool), ValueError, r"got \[4, 9, 16\]"),
    "dtype": (lambda _: torch.ones(4, 9), ValueError, "mask must be bool, got torch.float32"),
    "device": (
        lambda _: torch.ones(4, 9, dtype=torch.bool, device="meta"),
        ValueError,
        "on the input's device, got input=cpu, mask=meta",
    ),
    "nested": (
        lambda _: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        TypeError,
        "a dense tensor of torch.bool or None, got a nested tensor of torch.float32",
    ),
    "sparse": (
        lambda _: torch.ones(4, 9).bool().to_sparse(),
        TypeError,
        "a dense tensor of torch.bool or None, got a Tensor of torch.bool, torch.sparse_coo",
    ),
    "kind": (lambda _: [True], TypeError, "a dense tensor of torch.bool or None, got list"),
}


# The compiler itself refuses to make nested and sparse tensors.
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (kind, how)
        for kind in BAD
        for how in HOWS
        if (kind, how) not in (("nested", "compiled"), ("sparse", "compiled"))
    ],
)
def test_a_mask_that_does_not_fit_is_an_error_that_names_the_call_site(kind, how):
    give, error, message = BAD[kind]
    model = Encoder()
    x, mask = batch()

    def of(site, x):
        return give(x) if site == "act" else mask

    with relustat.watch(model, mask=of) as watch:
        with pytest.raises(Exception, match=message) as raised:
            HOWS[how](model)(x)
        assert "for 'act'" in str(raised.value)
        assert how == "compiled" or type(raised.value) is error
        assert watch.stats == {}
        # The watch goes on.
        give = lambda _: mask  # noqa: E731
        model(x)
        assert watch.stats["act"].elements == 16 * int(mask.sum())


def test_a_mask_of_an_empty_batch_need_not_fit():
    """Views of nothing do not tell where units go."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 4)

        def forward(self, x):
            return torch.relu(self.layer(x).transpose(1, 2))

    model = Model()
    with relustat.watch(model, mask=lambda _, x: torch.ones(len(x), 3, dtype=torch.bool)) as watch:
        model(torch.randn(0, 3, 2))
        assert watch.stats == {}
        model(torch.randn(1, 3, 2))
    assert watch.stats["relu"].widths == (4,)


def test_what_cannot_be_a_mask_is_an_error_at_once():
    with pytest.raises(ValueError, match=r"watch: mask must be bool, got torch\.int64"):
        relustat.watch(Encoder(), mask=torch.ones(3, dtype=torch.int64))
    with pytest.raises(
        TypeError, match=r"watch: mask must be a bool tensor, or a function of .* str"
    ):
        relustat.watch(Encoder(), mask="padding")
    model = Encoder()
    with relustat.watch(model):
        pass  # nothing is left of the failed ones


def test_compiled_code_with_lengths_that_change():
    model = Encoder()
    now, tokens, padded = {}, 0, 0
    with relustat.watch(model, mask=lambda *_: now["mask"]) as watch:
        called = torch.compile(model, backend="aot_eager", fullgraph=True)
        for batch_size, length in [(4, 9), (2, 9), (3, 5), (6, 12), (3, 7)]:
            now["mask"] = torch.rand(batch_size, length) < 0.5
            called(torch.randn(batch_size, length, 8))
            tokens += int(now["mask"].sum())
            padded += batch_size * length
    assert 0 < tokens < padded
    assert [stats.elements for stats in watch.stats.values()] == [
        16 * tokens,
        8 * tokens,
        4 * tokens,
    ]


def test_a_compiled_model_that_was_watched_without_a_mask():
    model = Encoder()
    called = torch.compile(model, fullgraph=True)
    x, mask = batch()
    elements = []
    for options in ({}, {"mask": mask}, {}, {"mask": lambda *_: mask}):
        with relustat.watch(model, **options) as watch:
            called(x)
        elements.append(watch.stats["act"].elements)
    tokens = int(mask.sum())
    assert elements == [16 * 36, 16 * tokens] * 2


def test_a_mask_is_not_asked_for_where_nothing_is_counted():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    asked = []

    def of(site, x):
        asked.append(tuple(x.shape))
        return torch.tensor([True, False])

    x, other = torch.randn(2, 4), torch.randn(3, 4)
    with relustat.watch(model, mask=of) as watch:
        model(x)
        with watch.pause():
            model(other)
        watch.stop()
        model(other)
        torch.vmap(model)(other)
        torch.compile(torch.vmap(model), backend="eager", fullgraph=True)(other)
        for strict in (False, True):
            program = torch.export.export(model, (other,), strict=strict)
            called = [str(node.target) for node in program.graph.nodes]
            assert called[-2:] == ["aten.relu.default", "output"]
            assert not any("grad" in name for name in called)
    assert asked == [(2, 4)]
