"""Groups of calls and of samples, which add up to the whole."""

import functools
import operator
import sys
import threading

import pytest
import torch
from torch import nn

import relustat
from relustat import LinearBins, Report
from relustat.functional import relu_stats

BINS = LinearBins(-40, 40, 20)

HOWS = {
    "eager": lambda model: model,
    "compiled": lambda model: torch.compile(
        model, backend="aot_eager", fullgraph=True, dynamic=False
    ),
}
WITH_INDUCTOR = {**HOWS, "inductor": torch.compile}


def net():
    """With small integers as weights: sums of products are exact in any order."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 5), nn.ReLU())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-3, 4, parameter.shape))
    return model


def batch(*sizes):
    return torch.randint(-3, 4, (*sizes, 6)).float()


def inputs_of(model, x):
    """The inputs of both ReLUs."""
    first = model[0](x)
    return {"1": first, "3": model[2](torch.relu(first))}


def assert_adds_up(report):
    """Counts of elements; calls add up, too, if no call has several groups."""
    for site, stats in report.stats.items():
        parts = [each.stats[site] for each in report.groups.values() if site in each.stats]
        whole = functools.reduce(operator.add, parts)
        assert whole.elements == stats.elements
        assert whole.unit_zeros.tolist() == stats.unit_zeros.tolist()
        assert whole.histogram == stats.histogram
        yield whole.calls, stats.calls


@pytest.mark.parametrize("how", HOWS)
def test_blocks(how):
    model = net()
    called = HOWS[how](model)
    batches = [("cat", batch(4)), ("dog", batch(3)), ("cat", batch(4))]
    with relustat.watch(model, BINS) as watch:
        for name, x in batches:
            with watch.group(name):
                called(x)
    report = watch.report()
    assert list(report.groups) == ["cat", "dog"]
    assert all(whole == calls for whole, calls in assert_adds_up(report))
    cats = [relu_stats(inputs_of(model, x)["1"], BINS)[1] for _, x in batches[::2]]
    assert report.groups["cat"].stats["1"] == cats[0].then(cats[1])
    assert report.groups["dog"].stats["1"].elements == 24
    assert "groups: cat, dog: each has a report in .groups" in str(report)
    assert report.to_dict()["groups"]["dog"] == report.groups["dog"].to_dict()


def test_a_block_that_is_open_has_what_came_so_far():
    model = net()
    with relustat.watch(model) as watch:
        model(torch.randn(4, 6))
        with watch.group("a"):
            assert watch.report().groups["a"].stats == {}
            model(torch.randn(4, 6))
            assert watch.report().groups["a"].stats["1"].calls == 1
            watch.reset()
            assert watch.report().groups["a"].stats == {}
            model(torch.randn(4, 6))
        assert watch.report().groups["a"].stats["1"].calls == 1
        with pytest.raises(RuntimeError, match="shapes"), watch.group("b"):
            model(model(torch.randn(4, 6)))
        assert watch.report().groups["b"].stats["1"].calls == 1


def test_a_dead_unit_of_one_group():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    with relustat.watch(model) as watch:
        for name, x in [("a", [1.0, -1.0]), ("b", [1.0, 1.0]), ("a", [1.0, -1.0])]:
            with watch.group(name):
                model(torch.tensor([x]))
    groups = watch.report().groups
    assert groups["a"].warnings == ["1: 1 of 2 units gave only zeros in 2 calls"]
    assert groups["a"].stats["1"].calls_since_fired.tolist() == [0, 2]
    assert groups["b"].warnings == []
    assert watch.stats["1"].calls_since_fired.tolist() == [0, 1]


def test_blocks_that_are_none():
    watch = relustat.watch(net())
    group = watch.group
    message = "one group can be open at a time, got 'b' within 'a'"
    with group("a"), pytest.raises(ValueError, match=message):
        group("b").__enter__()
    with pytest.raises(TypeError, match="the name of a group must be a str, got 3"):
        group(3).__enter__()
    with group("b"):
        pass
    watch.close()


LABELS = torch.tensor([3, 0, 3, 7, 0, 0, 3, 3])


@pytest.mark.parametrize("how", WITH_INDUCTOR)
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_labels_of_samples(device, how, dtype):
    model = net().to(device)
    x, labels = batch(8).to(device), LABELS.to(device, dtype)
    with relustat.watch(model, BINS, groups=lambda *_: labels) as watch:
        called = WITH_INDUCTOR[how](model)
        for _ in range(2):
            called(x)
    report = watch.report()
    assert list(report.groups) == ["0", "3", "7"]
    assert list(assert_adds_up(report)) == [(6, 2), (6, 2)]
    for label in (0, 3, 7):
        stats = report.groups[str(label)].stats
        assert stats["1"].elements == 2 * 8 * int((label == LABELS).sum())
        for site, values in inputs_of(model, x).items():
            part = relu_stats(values[labels == label], BINS)[1]
            assert stats[site] == part.then(part)


@pytest.mark.parametrize("how", HOWS)
def test_labels_of_positions(how):
    """As those of experts, which are given to tokens."""
    model = net()
    x, experts = batch(4, 7), torch.randint(0, 3, (4, 7))
    with relustat.watch(model, BINS, groups=lambda *_: experts) as watch:
        HOWS[how](model)(x)
    report = watch.report()
    assert list(assert_adds_up(report)) == [(3, 1), (3, 1)]
    for expert in range(3):
        counted = report.groups[str(expert)].stats["1"]
        assert counted.elements == 8 * int((experts == expert).sum())
        values = model[0](x)[experts == expert]
        assert counted == relu_stats(values, BINS)[1]


def test_labels_and_a_mask():
    model = net()
    x, mask = batch(8, 5), torch.rand(8, 5) < 0.6
    positions = torch.randint(0, 3, (8, 5))
    for labels in (LABELS, positions):
        with relustat.watch(model, BINS, mask=mask, groups=lambda *_: labels) as watch:  # noqa: B023
            model(x)
        list(assert_adds_up(watch.report()))
        values = model[0](x)
        for name, report in watch.report().groups.items():
            of_label = (
                (labels == int(name)) if labels.dim() == 2 else (labels == int(name))[:, None]
            )
            assert report.stats["1"] == relu_stats(values[of_label & mask], BINS)[1]


def test_labels_of_images_and_of_chosen_sites():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.ReLU())
    x, labels = torch.randn(8, 3, 6, 6), LABELS
    with relustat.watch(model, BINS, groups=lambda _, x: labels if x.dim() == 4 else None) as watch:
        model(x)
    groups = watch.report().groups
    assert {tuple(each.stats) for each in groups.values()} == {("1",)}
    for label in (0, 3, 7):
        expected = relu_stats(model[0](x)[labels == label], BINS)[1]
        assert groups[str(label)].stats["1"] == expected


def test_only_the_calls_that_are_counted_have_groups():
    model = net()
    with relustat.watch(model, BINS, every=3, groups=lambda *_: LABELS) as watch:
        for _ in range(7):
            model(torch.randn(8, 6))
        watch.stop()
        model(torch.randn(8, 6))
    assert watch.stats["1"].calls == 3
    assert list(assert_adds_up(watch.report())) == [(9, 3), (9, 3)]


@pytest.mark.parametrize("how", HOWS)
def test_a_recomputation_has_no_groups(how):
    model = net()

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.model, x, use_reentrant=False)

    whole = Checkpointed()
    with relustat.watch(whole, BINS, groups=lambda *_: LABELS) as watch:
        HOWS[how](whole)(torch.randn(8, 6, requires_grad=True)).sum().backward()
    assert list(assert_adds_up(watch.report())) == [(3, 1), (3, 1)]


def test_a_label_that_is_named_as_a_block():
    model = net()
    with relustat.watch(model, groups=lambda *_: LABELS) as watch, watch.group("3"):
        model(torch.randn(8, 6))
    groups = watch.report().groups
    assert list(groups) == ["3", "0", "label 3", "7"]
    assert groups["3"].stats["1"].elements == 64
    assert groups["label 3"].stats["1"].elements == 32


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("head", "options"),
    [(lambda x: x.squeeze(-1), {}), (lambda x: x.repeat(1, 5), {"unit_dim": ()})],
    ids=["a value for each sample", "one unit"],
)
def test_labels_of_calls_that_are_one_unit(how, head, options):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 1)

        def forward(self, x):
            return torch.relu(head(self.layer(x)))

    model = Head()
    with relustat.watch(model, groups=lambda *_: LABELS, **options) as watch:
        HOWS[how](model)(torch.randn(8, 6))
    (counts,) = {tuple(each.stats) for each in watch.report().groups.values()}
    assert counts == ("relu",)
    elements = watch.stats["relu"].elements
    parts = {name: each.stats["relu"].elements for name, each in watch.report().groups.items()}
    assert parts == {
        str(label): elements // 8 * int((label == LABELS).sum()) for label in (0, 3, 7)
    }


def test_a_call_that_fails_is_in_no_group():
    class Weight(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 4))

        def forward(self):
            return self.weight.relu_()

    model = Weight()
    with relustat.watch(model, groups=lambda *_: torch.tensor([0, 0, 1]), zero_blocks=2) as watch:
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            model()
        with torch.no_grad():
            model()
    (stats,) = watch.stats.values()
    assert (stats.calls, stats.elements, stats.blocks) == (1, 12, 6)
    groups = watch.report().groups
    assert {name: sum(s.elements for s in g.stats.values()) for name, g in groups.items()} == {
        "0": 8,
        "1": 4,
    }


def test_threads_whose_calls_take_turns():
    model = net()
    x = torch.randn(8, 6)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with relustat.watch(model, every=3, zero_blocks=4, groups=lambda *_: LABELS) as watch:
            threads = [
                threading.Thread(target=lambda: [model(x) for _ in range(15)]) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                for stats in watch.stats.values():
                    assert stats.blocks == stats.elements // stats.widths[0] * 2
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert watch.stats["1"].calls == 20
    list(assert_adds_up(watch.report()))


def test_reset_forgets_labels():
    model = net()
    with relustat.watch(model, groups=lambda *_: LABELS) as watch:
        model(torch.randn(8, 6))
        watch.reset()
        assert watch.report().groups == {}


BAD = {
    "too few": (torch.arange(7), ValueError, r"one label for each sample, .* got \[7\] on cpu"),
    "of units": (torch.zeros(8, 8, dtype=torch.int64), ValueError, r"got \[8, 8\]"),
    "floats": (torch.zeros(8), TypeError, "integers or None, got a Tensor of torch.float32"),
    "a list": ([0] * 8, TypeError, "a dense tensor of integers or None, got list, for '1'"),
    "elsewhere": (
        torch.zeros(8, dtype=torch.int64, device="meta"),
        ValueError,
        r"got \[8\] on meta, for '1', whose input is \[8, 8\] on cpu",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_labels_that_do_not_fit_are_an_error_before_anything_is_counted(kind):
    labels, error, message = BAD[kind]
    model = net()
    with relustat.watch(model, groups=lambda *_: labels) as watch:
        with pytest.raises(error, match=message):
            model(torch.randn(8, 6))
        assert watch.stats == watch.report().groups == {}
    with pytest.raises(TypeError, match=r"groups must be a function of .*, got Tensor"):
        relustat.watch(model, groups=LABELS)


def test_a_report_without_groups_has_none():
    assert Report({}).groups == {}
    assert "groups" not in Report({}).to_dict()


def test_compiled_code_with_sizes_that_change():
    model = net()
    now, counted = {}, dict.fromkeys(range(3), 0)
    for positions in (False, True):
        with relustat.watch(model, BINS, groups=lambda *_: now["labels"]) as watch:
            called = torch.compile(model, backend="aot_eager", fullgraph=True)
            for batch_size, length in [(4, 9), (2, 9), (3, 5), (6, 12), (3, 7)]:
                sizes = (batch_size, length) if positions else (batch_size,)
                now["labels"] = torch.randint(0, 3, sizes)
                called(torch.randn(batch_size, length, 6))
                for label in counted:
                    of_label = int((now["labels"] == label).sum())
                    counted[label] += of_label * 8 * (1 if positions else length)
        list(assert_adds_up(watch.report()))
        groups = watch.report().groups
        assert {int(name): each.stats["1"].elements for name, each in groups.items()} == counted
        counted = dict.fromkeys(counted, 0)


def test_groups_by_module():
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    with relustat.watch(model) as watch, watch.group("a"):
        model(model(batch(4)))
    report = watch.report()
    assert report.by_module().groups["a"].stats == report.by_module().stats
    assert list(report.by_module().groups["a"].stats) == ["1"]
