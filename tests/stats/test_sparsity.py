"""Hot units, thresholds and dormant units, against what the numbers themselves say."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import relustat
from relustat import LinearBins, LogBins
from relustat.functional import count_activation, relu_stats
from relustat.ops import Counters, family
from relustat.stats.output_sizes import output_sizes

FUNCTIONS = {
    "ReLU": F.relu,
    "ReLU6": F.relu6,
    "SquaredReLU": lambda x: F.relu(x).square(),
    "SiLU": F.silu,
    "GELU": F.gelu,
    "Mish": F.mish,
    "Hardswish": F.hardswish,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
}
BINS = {"linear": LinearBins(-6, 9, 300), "log": LogBins(), "coarse": LinearBins(-1.1, 3, 4)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_output_sizes_are_those_of_pytorchs_function(name):
    edges = np.concatenate([[-40.0], np.linspace(-6.3, 7.1, 68), [40.0]])
    smallest, largest = output_sizes("test", name, edges)
    for slot, (left, right) in enumerate(zip([-1e3, *edges], [*edges, 1e3], strict=True)):
        x = torch.linspace(left, right, 4001, dtype=torch.float64)
        sizes = FUNCTIONS[name](x).abs()
        # What lies between two of the points: no slope is above 20 within these edges.
        between = 20 * (right - left) / 4000
        assert smallest[slot] <= sizes.min() + 1e-12
        assert largest[slot] >= sizes.max() - 1e-12
        if 0 < slot < len(edges):
            assert smallest[slot] >= sizes.min() - between
            assert largest[slot] <= sizes.max() + between


def test_a_share_is_the_decimal_that_is_written():
    """The nearest float to 0.1 is above a tenth, and one unit in ten would not be enough."""
    x = torch.ones(1, 10)
    _, stats = relu_stats(x)
    for tenths in range(1, 11):
        assert stats.hot_units(tenths / 10).tolist() == list(range(tenths))


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=12),
    st.sampled_from([1e-9, 0.1, 0.25, 0.5, 0.8, 0.99, 1]),
)
def test_hot_units_are_the_fewest(active, coverage):
    x = torch.full((20, len(active)), -1.0)
    for unit, count in enumerate(active):
        x[:count, unit] = 1
    _, stats = relu_stats(x)
    assert stats.unit_active.tolist() == active
    assert stats.unit_frequencies.tolist() == [count / 20 for count in active]
    hot = stats.hot_units(coverage).tolist()
    assert hot == sorted(range(len(active)), key=lambda unit: (-active[unit], unit))[: len(hot)]
    covered = [active[unit] for unit in hot]
    enough = Fraction(str(coverage)) * sum(active)
    assert sum(covered) >= enough
    assert not hot or sum(covered[:-1]) < enough


def counted(name, x, bins, **options):
    member = family.smooth(name, 1e-3)
    if name in ("ReLU", "ReLU6", "SquaredReLU"):
        members = {"ReLU6": family.relu6(), "SquaredReLU": family.squared_relu()}
        if name == "ReLU":
            return relu_stats(x, bins, **options)[1]
        member = members[name]
        counters = Counters(bins, activation=member.activation, **options)
        relustat.functional.counting_activation(x, counters, member)
        return counters.stats
    counters = Counters(bins, activation=member.activation, **options)
    count_activation(x, FUNCTIONS[name](x), counters, member)
    return counters.stats


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_thresholds_hold_what_they_say(name, bins):
    x = torch.randn(64, 50, generator=torch.Generator().manual_seed(3)).clamp(-6, 3)
    stats = counted(name, x, BINS[bins])
    sizes = FUNCTIONS[name](x.double()).abs()
    thresholds = []
    for sparsity in (0, 0.1, 0.5, 0.9, 1):
        found = stats.output_threshold(sparsity)
        share = (sizes <= found.threshold * (1 + 1e-12)).double().mean().item()
        assert sparsity <= found.at_least <= share <= found.at_most
        thresholds.append(found.threshold)
        if bins == "linear":
            # A bin is 0.05 wide, and no slope is above 2 but the square's.
            exact = sizes.flatten().kthvalue(max(math.ceil(sparsity * x.numel()), 1)).values
            assert found.threshold <= exact + 0.05 * (2 if name != "SquaredReLU" else 7)
    assert thresholds == sorted(thresholds)


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("tau", [0, 0.025, 0.1, 1])
def test_dormant_units_are_those_of_redo(bins, tau):
    x = torch.randn(200, 30, generator=torch.Generator().manual_seed(5))
    x = (x * torch.logspace(-3, 0, 30) - torch.linspace(0, 2, 30)).clamp(max=2.9)
    _, stats = relu_stats(x, BINS[bins], unit_histograms=True)
    means = F.relu(x.double()).mean(0)
    scores = (means / means.mean()).numpy()
    found = stats.dormant_units(tau)
    assert (found.least <= scores + 1e-9).all()
    assert (scores <= found.most + 1e-9).all()
    dormant = set(np.nonzero(scores <= tau)[0].tolist())
    surely, perhaps = set(found.units.tolist()), set(found.unsure.tolist())
    assert surely <= dormant <= surely | perhaps
    assert not surely & perhaps
    assert found.ratio == len(surely) / 30
    if bins == "log":
        assert len(perhaps) <= 2


def test_dormant_units_of_silence_and_of_what_is_beyond_the_bins():
    bins = LinearBins(0, 1, 10)
    _, silent = relu_stats(-torch.ones(3, 4), bins, unit_histograms=True)
    assert silent.dormant_units().units.tolist() == [0, 1, 2, 3]
    _, beyond = relu_stats(torch.tensor([[5.0, 0.5, -1.0]]), bins, unit_histograms=True)
    found = beyond.dormant_units(0.1)
    assert found.units.tolist() == [2]
    assert found.unsure.tolist() == [1]
    assert found.least.tolist() == [pytest.approx(3 / 1.6), 0, 0]
    assert found.most.tolist() == [3, pytest.approx(3 * 0.6 / 1.6), 0]
    _, nothing = relu_stats(torch.ones(0, 4), bins, unit_histograms=True)
    assert nothing.hot_units().tolist() == []


def test_nans_are_active_and_never_left_out():
    x = torch.tensor([[math.nan, 1.0], [-1.0, 1.0]])
    _, stats = relu_stats(x, LinearBins(0, 2, 4), unit_histograms=True)
    assert stats.unit_active.tolist() == [1, 2]
    assert stats.output_threshold(0.75).at_least == 0.75
    _, only = relu_stats(torch.tensor([[math.nan, 1.0]]), LinearBins(0, 2, 4), unit_histograms=True)
    found = only.dormant_units(0)
    assert (found.units.tolist(), found.unsure.tolist()) == ([], [0, 1])
    with pytest.raises(ValueError, match=r"output_threshold: a share of 0\.8 must lie within"):
        stats.output_threshold(0.8)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, "a half", None, True])
def test_what_is_no_share_is_an_error(value):
    _, stats = relu_stats(torch.ones(2, 2), LinearBins(0, 2, 4), unit_histograms=True)
    for ask, rule in (
        (stats.hot_units, r"hot_units: coverage must be a share in \[0, 1\], got"),
        (stats.output_threshold, r"output_threshold: sparsity must be a share in \[0, 1\], got"),
    ):
        with pytest.raises(ValueError, match=rule):
            ask(value)
    if value != 1.1:
        with pytest.raises(ValueError, match="dormant_units: tau must be at least 0, got"):
            stats.dormant_units(value)


def test_what_cannot_be_told_is_an_error():
    _, zeros_only = relu_stats(torch.ones(2, 2), None)
    _, plain = relu_stats(torch.ones(2, 2), LinearBins(0, 2, 4))
    _, high = relu_stats(torch.full((2, 2), 3.0), LinearBins(0, 2, 4))
    _, nothing = relu_stats(torch.ones(0, 2), LinearBins(0, 2, 4))
    with pytest.raises(ValueError, match="hot_units: coverage must be above 0, got 0"):
        plain.hot_units(0)
    with pytest.raises(ValueError, match="output_threshold: needs bins, got bins=None"):
        zeros_only.output_threshold(0.5)
    with pytest.raises(ValueError, match="output_threshold: outputs must have been counted"):
        nothing.output_threshold(0.5)
    with pytest.raises(ValueError, match=r"got more outputs of inputs above 2, or of NaN"):
        high.output_threshold(0.5)
    with pytest.raises(ValueError, match="dormant_units: needs the histograms of units, got"):
        plain.dormant_units()
    two = plain + relu_stats(torch.ones(2, 3), LinearBins(0, 2, 4))[1]
    for ask in (two.hot_units, two.dormant_units):
        rule = f"{ask.__name__}: units are told apart only within one width"
        with pytest.raises(ValueError, match=rule):
            ask()
    x = torch.ones(2, 2)
    leaky = Counters(LinearBins(0, 2, 4), activation=family.leaky_relu().activation)
    relustat.functional.counting_activation(x, leaky, family.leaky_relu())
    with pytest.raises(ValueError, match=r"the activation must be one of ReLU, .*, got LeakyReLU"):
        leaky.stats.output_threshold(0.5)
