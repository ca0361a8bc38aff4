"""Calls since units fired, against a list of all calls."""

import copy
import io

import numpy as np
import pytest
import torch

import relustat
from relustat import Counters, LinearBins, ReLUStats
from relustat.functional import counting_relu, relu_stats
from relustat.history import History

UNITS = 40
BINS = LinearBins(-2, 2, 8)


def calls(number, seed=0):
    """Inputs [2, units, 3]. A unit fires in a call with its own probability; the first never."""
    generator = torch.Generator().manual_seed(seed)
    often = torch.linspace(0, 0.5, UNITS)
    return [
        torch.where(
            torch.rand(UNITS, generator=generator)[:, None] < often[:, None],
            torch.randn(2, UNITS, 3, generator=generator).abs(),
            -1.0,
        )
        for _ in range(number)
    ]


def since_fired(inputs):
    """By hand: calls since each unit gave an output other than 0."""
    since = [0] * UNITS
    for x in inputs:
        fired = (x > 0).any(2).any(0).tolist()
        since = [0 if fires else n + 1 for fires, n in zip(fired, since, strict=True)]
    return since


def counted(inputs, **options):
    counters = Counters(BINS, unit_dim=1, **options)
    for x in inputs:
        counting_relu(x, counters)
    return counters.stats


def assert_same(stats, others):
    """Their order in time, too."""
    assert stats == others
    assert stats.calls_since_fired.tolist() == others.calls_since_fired.tolist()


@pytest.mark.parametrize(("bins", "unit_histograms"), [(BINS, False), (BINS, True), (None, False)])
def test_each_call(device, bins, unit_histograms):
    counters = Counters(bins, unit_dim=1, unit_histograms=unit_histograms)
    inputs = calls(30)
    for index, x in enumerate(inputs):
        counting_relu(x.to(device), counters)
        assert counters.stats.calls_since_fired.tolist() == since_fired(inputs[: index + 1])
    stats = counters.stats
    for n in (1, 2, 7, 30, 31):
        expected = [unit for unit, since in enumerate(since_fired(inputs)) if since >= n]
        assert stats.dead_for(n).tolist() == expected
    assert stats.dead_for().tolist() == []
    assert stats.calls_since_fired[0] == 30


def test_a_nan_is_an_output_other_than_0():
    assert relu_stats(torch.tensor([[float("nan"), -1.0]]))[1].calls_since_fired.tolist() == [0, 1]


def test_every_counts_the_counted_calls():
    inputs = calls(30)
    assert counted(inputs, every=4).calls_since_fired.tolist() == since_fired(inputs[::4])


def test_reset_begins_anew():
    counters = Counters(unit_dim=1)
    for x in calls(5):
        counting_relu(x, counters)
    counters.reset()
    for x in calls(3, seed=1):
        counting_relu(x, counters)
    assert counters.stats.calls_since_fired.tolist() == since_fired(calls(3, seed=1))


def test_one_after_the_other():
    inputs = calls(30)
    for cut in (0, 1, 11, 30):
        whole = counted(inputs[:cut]).then(counted(inputs[cut:]))
        assert_same(whole, counted(inputs))
        assert whole.calls_since_fired.tolist() == since_fired(inputs)
        assert whole.parts == 1


def test_side_by_side():
    first, second = calls(20), calls(12, seed=1)
    both = counted(first) + counted(second)
    expected = np.minimum(since_fired(first), since_fired(second))
    assert both.calls_since_fired.tolist() == expected.tolist()
    assert both.parts == 2
    assert (both + Counters(BINS).stats).parts == 2
    assert_same(both, counted(second) + counted(first))


def test_differences_are_what_came_after():
    counters = Counters(BINS, unit_dim=1)
    inputs, snapshots = calls(30), [counters.stats]
    for x in inputs:
        counting_relu(x, counters)
        snapshots.append(counters.stats)
    for first, last in [(0, 30), (3, 4), (10, 25), (29, 30)]:
        between = snapshots[last] - snapshots[first]
        assert between.calls_since_fired.tolist() == since_fired(inputs[first:last])
        assert_same(snapshots[first].then(between), snapshots[last])


def test_sums_of_ranks_subtract():
    ranks = [calls(24), calls(24, seed=1)]
    whole = counted(ranks[0]) + counted(ranks[1])
    before = counted(ranks[0][:10]) + counted(ranks[1][:10])
    after = counted(ranks[0][10:]) + counted(ranks[1][10:])
    assert_same(before.then(whole - before), whole)
    assert_same(whole - before, after)


def test_counts_of_one_unit_on_two_devices_lie_side_by_side():
    counters = Counters(BINS, unit_dim=1)
    inputs = calls(6)
    for x in inputs:
        counting_relu(x, counters)
    words = counters.words_for(UNITS, torch.device("cpu"))
    for others in (torch.zeros_like(words), words.clone()):
        both = copy.deepcopy(counters)
        key = UNITS, torch.device("cpu")
        both._replace_words([(UNITS, others), (UNITS, both._words[key])])
        assert both.stats.calls_since_fired.tolist() == since_fired(inputs)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_recomputation_is_no_call(use_reentrant):
    relu = relustat.CountingReLU(unit_dim=1)
    inputs = calls(8)
    for x in inputs:
        x.requires_grad_()
        y = torch.utils.checkpoint.checkpoint(relu, x * 1, use_reentrant=use_reentrant)
        y.sum().backward()
    assert relu.stats.calls_since_fired.tolist() == since_fired(inputs)


def test_compiled(device):
    relu = relustat.CountingReLU(unit_dim=1)
    compiled = torch.compile(relu, fullgraph=True)
    inputs = calls(8)
    for x in inputs:
        compiled(x.to(device))
    assert relu.stats.calls_since_fired.tolist() == since_fired(inputs)


def test_files_and_dicts_keep_it(tmp_path):
    stats = counted(calls(9)) + counted(calls(9, seed=1))
    stats.save(tmp_path / "stats.npz")
    for again in (ReLUStats.load(tmp_path / "stats.npz"), ReLUStats.from_dict(stats.to_dict())):
        assert_same(again, stats)
        assert again.parts == 2


def test_the_history_keeps_it(tmp_path):
    inputs = calls(30)
    history = History(limit=3)
    for epoch in range(10):
        history.add(epoch, {"relu": counted(inputs[3 * epoch : 3 * epoch + 3])})
    history.save(tmp_path / "history.npz")
    for each in (history, History.load(tmp_path / "history.npz")):
        assert_same(each.total("relu"), counted(inputs))
        assert each.spans[-1].stats["relu"].calls_since_fired.tolist() == since_fired(inputs[27:])


def test_what_version_0_1_wrote_has_it_where_it_is_known():
    state = counted(calls(5)).to_dict()
    for counts in state["widths"].values():
        del counts["since_fired"]
    stats = ReLUStats.from_dict(state)
    expected = np.where(stats.unit_dead_calls == 5, 5, 0)
    assert stats.calls_since_fired.tolist() == expected.tolist()


def test_stats_that_version_0_1_pickled_can_be_read():
    (counts,) = counted(calls(5)).by_width.values()
    state = {name: each for name, each in vars(counts).items() if name != "since_fired"}
    again = object.__new__(type(counts))
    again.__setstate__(state)
    assert again == counts
    assert again.since_fired.tolist() == np.where(counts.dead_calls == 5, 5, 0).tolist()


@pytest.mark.parametrize("unit_histograms", [False, True])
def test_a_module_that_version_0_1_pickled_goes_on(unit_histograms):
    relu = relustat.CountingReLU(bins=BINS, unit_dim=1, unit_histograms=unit_histograms)
    inputs = calls(5)
    for x in inputs:
        relu(x)
    counters = relu.counters
    state = counters.__getstate__()
    ((units, words),) = state["_words"]
    old = torch.cat([words[:4], words[6 : 6 + 2 * units], words[6 + 3 * units :]])
    del state["_loaded"], state["zero_blocks"]
    counters.__setstate__({**state, "_words": [(units, old)]})
    stats = relu.stats
    assert stats.unit_zeros.tolist() == counted(inputs).unit_zeros.tolist()
    assert stats.histogram == counted(inputs).histogram
    fired = stats.unit_dead_calls < 5
    assert stats.calls_since_fired.tolist() == np.where(fired, 0, 5).tolist()
    relu(torch.full((2, UNITS, 3), -1.0))
    assert relu.stats.calls_since_fired.tolist() == np.where(fired, 1, 6).tolist()
    file = io.BytesIO()
    torch.save(relu, file)
    file.seek(0)
    assert torch.load(file, weights_only=False).stats == relu.stats


def test_equality_knows_no_order():
    first, second = calls(20), calls(12, seed=1)
    assert counted(first) + counted(second) == counted([*first, *second])
    assert counted(first).then(counted(second)) == counted([*second, *first])


@pytest.mark.parametrize("calls", [0, -1, 1.5, True, "9"])
def test_dead_for_needs_a_number_of_calls(calls):
    with pytest.raises(ValueError, match="dead_for: calls must be an integer of at least 1, got"):
        relu_stats(torch.ones(1, 2))[1].dead_for(calls)


def test_counts_that_disagree_are_no_stats():
    state = counted(calls(5)).to_dict()
    state["widths"][str(UNITS)]["since_fired"][1] = 6
    with pytest.raises(ValueError, match="calls since a unit fired must be at most its dead ones"):
        ReLUStats.from_dict(state)
