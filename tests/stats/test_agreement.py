"""What counts must fulfil, on every road by which they come in; and what legal counts may hold."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch

from relustat import Counters, LinearBins, LogBins, ReLUStats, Report
from relustat.functional import counting_activation, counting_relu
from relustat.history import History
from relustat.ops import family
from relustat.report.merge_files import merge_files
from relustat.stats import npz
from relustat.stats.unit_counts import UnitCounts

BINS = LinearBins(-2, 2, 4)
# [calls, samples, units]: the first unit never fires, the second in the first call only, the third
# has a NaN.
INPUTS = torch.tensor(
    [
        [[-1.0, -1.5, 1.0, 0.5], [-1.0, 1.5, 3.0, 0.5]],
        [[-1.0, -1.5, 1.0, 0.5], [-3.0, -1.5, float("nan"), -0.5]],
    ]
)


def counted(member=None, **options):
    if member is not None:
        options["activation"] = member.activation
    counters = Counters(**{"bins": BINS, **options})
    for x in INPUTS:
        if member is None:
            counting_relu(x, counters)
        else:
            counting_activation(x, counters, member)
    return counters


def width_of(state):
    return state["widths"]["4"]


def changed(state, **counts):
    state = copy.deepcopy(state)
    width_of(state).update(counts)
    return state


STATE = counted().stats.to_dict()
NO_BINS = counted(bins=None).stats.to_dict()
OF_UNITS = counted(unit_histograms=True).stats.to_dict()
BLOCKS = counted(zero_blocks=2).stats.to_dict()
CLAMP = counted(family.relu6()).stats.to_dict()

WRONG = {
    "a sum that wraps to 0": (changed(STATE, zeros=[2**62] * 4), "zeros must be at most"),
    "histograms that wrap": (
        changed(STATE, slots=[[2**62, 2**62, 2**62, 2**62, 0, 0, 16]]),
        "all elements must be in the histogram",
    ),
    "histograms of units that wrap": (
        changed(OF_UNITS, slots=[[2**63 - 1, 2**63 - 1, 6, 0, 0, 0, 0]] * 4),
        "all elements must be in the histogram",
    ),
    "elements of another unit": (
        changed(
            OF_UNITS,
            slots=[
                [0, 1, 3, 0, 0, 0, 0],
                [0, 3, 0, 0, 1, 0, 1],
                [0, 0, 0, 0, 1, 1, 1],
                [4, *[0] * 6],
            ],
        ),
        "all elements must be in the histogram",
    ),
    "NaNs without bins": (changed(NO_BINS, slots=[[17]]), "all elements must be in the histogram"),
    "elements without bins": (changed(NO_BINS, elements=2**62), "dead in all calls must have only"),
    "elements without units": (changed(NO_BINS, elements=17), "multiple of units"),
    "no elements": (changed(NO_BINS, elements=0), "an element in each call"),
    "negative elements": (changed(STATE, elements=-16), "multiple of units"),
    "more calls than elements": (changed(STATE, calls=5), "an element in each call"),
    "more dead calls than calls": (changed(STATE, dead_calls=[3, 1, 0, 0]), "dead calls must be"),
    "dead calls without zeros": (changed(STATE, dead_calls=[2, 1, 1, 0]), "must have a zero"),
    "live calls without outputs": (
        changed(STATE, dead_calls=[1, 1, 0, 0], since_fired=[1, 1, 0, 0]),
        "must have another output",
    ),
    "dead in all calls with outputs": (
        changed(STATE, dead_calls=[2, 2, 0, 0]),
        "dead in all calls must have only zeros",
    ),
    "since fired": (changed(STATE, since_fired=[2, 2, 0, 0]), "since a unit fired"),
    "more blocks than elements": (changed(BLOCKS, blocks=17), "blocks must be at most"),
    "more zero blocks than blocks": (changed(BLOCKS, zero_blocks=9), "blocks must be at most"),
    "fewer blocks than positions": (changed(BLOCKS, blocks=7), "must have its blocks"),
    "zero blocks without zeros": (
        changed(BLOCKS, blocks=16, zero_blocks=9),
        "a block of zeros must",
    ),
    "blocks without a size": (changed(STATE, blocks=8), "blocks must have a size"),
    "fewer zeros than the histogram": (
        changed(STATE, zeros=[4, 3, 0, 0]),
        "what the histogram has up to 0",
    ),
    "more zeros than the histogram": (
        changed(OF_UNITS, zeros=[4, 3, 1, 1]),
        "what the histogram has up to 0",
    ),
    "zeros and NaNs": (
        changed(NO_BINS, zeros=[4, 4, 4, 4], dead_calls=[2] * 4, since_fired=[2] * 4, slots=[[1]]),
        "NaN must be neither",
    ),
    "saturated": (changed(CLAMP, saturated=[0, 0, 5, 0]), "saturated must be at most"),
    "saturated and NaNs": (changed(CLAMP, saturated=[4, 4, 4, 4]), "NaN must be neither"),
    "zeros in columns": (changed(STATE, zeros=[[4], [3], [0], [1]]), r"zeros must be \[4\]"),
    "histograms in a row": (
        changed(STATE, slots=width_of(STATE)["slots"][0]),
        r"slots must be \[1 or 4, slots\]",
    ),
    "a shard of none": ({**STATE, "shard": [2, 2]}, "shard must be one of 2"),
    "a block of none": ({**STATE, "block": 0}, "block must be at least 1"),
    "a width with a sign": ({**STATE, "widths": {"+4": width_of(STATE)}}, "as a number"),
}


def report_of(state):
    return {"version": 1, "call_sites": {"fc": state}}


def history_of(state):
    history = History()
    history.add(0, {"fc": counted().stats})
    whole = history.to_dict()
    for width in state["widths"].values():
        width.update(epochs=1, dead_epochs=[1, 0, 0, 0], deaths=[0] * 4, revivals=[0] * 4)
        width.update(dead=[1, 0, 0, 0])
    whole["windows"][0]["call_sites"]["fc"] = state
    return whole


@pytest.mark.parametrize("kind", WRONG)
def test_by_every_road(kind, tmp_path):
    state, rule = WRONG[kind]
    for read, described in (
        (ReLUStats.from_dict, state),
        (Report.from_dict, report_of(state)),
        (History.from_dict, history_of(copy.deepcopy(state))),
    ):
        with pytest.raises(ValueError, match=rule):
            read(described)
        with pytest.raises(ValueError, match=rule):
            read(json.loads(json.dumps(described)))
    npz.save(tmp_path / "stats.npz", {"": state})
    # The archive refuses what has another shape.
    rule = f"{rule}|damaged"
    for load in (ReLUStats.load, Report.load, lambda path: merge_files([path])):
        with pytest.raises(ValueError, match=rule):
            load(tmp_path / "stats.npz")
    npz.save_history(tmp_path / "history.npz", history_of(copy.deepcopy(state)))
    with pytest.raises(ValueError, match=rule):
        History.load(tmp_path / "history.npz")


@pytest.mark.parametrize("kind", ["a sum that wraps to 0", "more calls than elements"])
def test_pickles_are_checked_too(kind):
    state, rule = WRONG[kind]
    width = {
        name: np.array(each) if isinstance(each, list) else each
        for name, each in width_of(state).items()
    }
    (right,) = counted().stats.by_width.values()
    wrong = copy.copy(right)
    wrong.__dict__.update(width)
    with pytest.raises(ValueError, match=rule):
        pickle.loads(pickle.dumps(wrong))


def words_of(counters):
    ((units, words),) = counters.saved().items()
    return units, words


@pytest.mark.parametrize(
    ("position", "value", "rule"),
    [
        (1, -1, "no count may be negative"),
        (1, 1, "without a call that was seen"),
        (2, 0, "without a call that was seen"),
        (2, 5, "without a call that was seen"),
        (3, 2**62, "counts must agree"),
        (6, 2**62, "zeros must be at most"),
        (10, 3, "dead calls must be at most"),
        (18, 2**63 - 1, "all elements must be in the histogram"),
    ],
)
def test_counters_that_are_loaded(position, value, rule):
    counters = counted()
    before = counters.stats
    units, words = words_of(counters)
    words[position] = value
    with pytest.raises(ValueError, match=rule):
        counters.load({units: words})
    assert counters.stats == before


def test_counters_of_another_size_are_not_unpickled():
    counters = counted()
    state = counters.__getstate__()
    ((units, words),) = state["_words"]
    for wrong in (words[:-1], words.double()):
        with pytest.raises(ValueError, match=r"counters of 4 units must be int64 \[25\]"):
            Counters.__new__(Counters).__setstate__({**state, "_words": [(units, wrong)]})


def test_histories():
    history = History(limit=4)
    for epoch, sign in enumerate([1.0, -1.0, 1.0, 1.0]):
        counters = Counters(BINS)
        counting_relu(torch.tensor([[sign], [-1.0]]), counters)
        history.add(epoch, {"fc": counters.stats})
    whole = history.to_dict()

    def units(span):
        return whole["windows"][span]["call_sites"]["fc"]["widths"]["1"]

    for span, change, rule in [
        (0, {"epochs": 2}, "an epoch must have calls"),
        (0, {"epochs": -(2**63)}, "UnitLifetimes: counts must agree"),
        (1, {"deaths": [0]}, "dead or alive until it is revived or dies"),
        (2, {"revivals": [0]}, "dead or alive until it is revived or dies"),
        (3, {"revivals": [1]}, "dead or alive until it is revived or dies"),
    ]:
        before = dict(units(span))
        units(span).update(change)
        with pytest.raises(ValueError, match=rule):
            History.from_dict(whole)
        units(span).update(before)
    assert History.from_dict(whole) == history


def test_groups_of_groups_without_end():
    state = report_of(STATE)
    for _ in range(100_000):
        state = {**report_of(STATE), "groups": {"a": state}}
    with pytest.raises(ValueError, match="a group must have no groups of its own"):
        Report.from_dict(state)
    while state.get("groups"):  # it would be freed by recursion
        state = state.pop("groups")["a"]


SPECIAL = torch.tensor([-0.0, 0.0, 1e-45, -1e-45, 6.0, -1.0, float("inf"), -float("inf")])
MEMBERS = [
    None,
    family.relu6(),
    family.hardtanh(-0.1, 0.1),
    family.hardtanh(0.1, 0.1 + 1e-9),  # one number in bfloat16
    family.leaky_relu(),
    family.threshold(0.1, 0.0),
    family.squared_relu(),
]


@pytest.mark.parametrize("seed", range(40))
def test_what_is_counted_is_never_refused(seed, device):
    """Any calls, counted by any options, and any of their sums and differences."""
    random = np.random.default_rng(seed)
    member = MEMBERS[seed % len(MEMBERS)]
    activation = {} if member is None else {"activation": member.activation}
    bins = [BINS, LogBins(), None, LinearBins(-2, 0, 3), LinearBins(0, 2, 3), LinearBins(1, 2, 1)]
    options = {
        "bins": bins[seed % len(bins)],
        "unit_dim": 1,
        "unit_histograms": bool(seed % 2) and bins[seed % len(bins)] is not None,
        "every": 1 + seed % 3,
        "zero_blocks": [None, 1, 3][seed // 2 % 3],
        **activation,
    }
    dtype = [torch.float32, torch.float64, torch.bfloat16, torch.float16][seed % 4]

    def add_calls(counters):
        for _ in range(random.integers(0, 6)):
            shape = tuple(random.integers(0, 5, size=3))
            x = torch.from_numpy(random.normal(size=shape)).to(dtype)
            x = torch.where(torch.rand(shape) < 0.3, SPECIAL[random.integers(8)].to(dtype), x)
            x[torch.rand(shape) < 0.1] = torch.nan
            if random.random() < 0.3:
                x = -x.abs()
            mask = torch.from_numpy(random.random((shape[0], shape[2])) < 0.5)
            mask = mask.to(device) if random.random() < 0.5 else None
            if member is None:
                counting_relu(x.to(device), counters, mask=mask)
            else:
                counting_activation(x.to(device), counters, member, mask=mask)

    counters, other = (Counters(**options) for _ in range(2))
    add_calls(counters)
    early = counters.stats
    add_calls(counters)
    add_calls(other)
    late = counters.stats
    for stats in (early, late, other.stats, late - early, early + other.stats, late.then(early)):
        assert ReLUStats.from_dict(json.loads(json.dumps(stats.to_dict()))) == stats
    again = Counters(**options)
    again.load(counters.saved())
    assert again.stats == late
    history = History(limit=2)
    for epoch, stats in enumerate((early, late - early, other.stats)):
        history.add(epoch, {"fc": stats})
    assert History.from_dict(history.to_dict()) == history


def test_an_empty_width():
    none = np.zeros(0, dtype=np.int64)
    assert UnitCounts(0, 0, none, none, none, np.zeros((1, 7), dtype=np.int64)).calls == 0
