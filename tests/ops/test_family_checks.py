"""Bad input to the relatives of ReLU: an error that says the rule, and nothing counted."""

import math
import re

import pytest
import torch
from family_cases import FUSED
from oracle import same_bits, samples
from torch import nn

import relustat
from relustat import Activation, Counters, LinearBins, reference
from relustat.functional import count_activation, counting_activation
from relustat.ops import family, library


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: relustat.CountingHardtanh(1, -1), "the lower knee must be below the upper one"),
        (lambda: relustat.CountingHardtanh(2, 2), "got 2.0 and 2.0"),
        (
            lambda: relustat.CountingHardtanh(math.nan, 2),
            "the lower knee must be a number, got nan",
        ),
        (lambda: relustat.CountingLeakyReLU(math.inf), "the slope must be finite, got inf"),
        (lambda: relustat.CountingLeakyReLU(math.nan), "the slope must be finite, got nan"),
        (lambda: relustat.CountingThreshold(math.nan, 0), "must be numbers, got nan and 0"),
        (lambda: family.smooth("GELU", -1e-3), "near_zero must be at least 0, got -0.001"),
        (lambda: Counters(activation=Activation("X", 2, 1)), "must be below the upper one"),
        (lambda: Counters(activation=Activation("X", 0, 1, 0.1)), "knees or near_zero, not both"),
    ],
)
def test_numbers_that_no_activation_has(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_counters_of_another_activation():
    module = relustat.CountingReLU6()
    other = Counters(activation=family.leaky_relu().activation)
    with pytest.raises(ValueError, match=r"counters of LeakyReLU .* for ReLU6"):
        counting_activation(torch.ones(2), other, module.member)


def test_inputs_of_other_kinds():
    module = relustat.CountingReLU6()
    for x in (torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.complex64), 3):
        with pytest.raises((TypeError, AttributeError)):
            module(x)
    assert module.stats.calls == 0
    module.enabled = False
    assert same_bits(module(torch.ones(2, dtype=torch.int32).float()), torch.ones(2))


def test_slopes_that_do_not_fit():
    module = relustat.CountingPReLU(3)
    with pytest.raises(RuntimeError):
        module(torch.randn(2, 4, 5))
    with pytest.raises(RuntimeError):
        module(torch.randn(2, 3, 5, dtype=torch.float64))
    assert module.stats.calls == 0


def test_an_output_must_be_there_just_if_it_is_looked_at():
    silu, relu6 = family.smooth("SiLU", 0.1), family.relu6()
    x = torch.ones(2)
    with pytest.raises(ValueError, match="an activation without a knee needs its output"):
        count_activation(x, None, Counters(activation=silu.activation), silu)
    with pytest.raises(ValueError, match="got ReLU6"):
        count_activation(x, x, Counters(activation=relu6.activation), relu6)
    with pytest.raises(ValueError, match="output must have the input's size"):
        count_activation(x, torch.ones(3), Counters(activation=silu.activation), silu)


def test_kernels_and_reference_raise_the_same(device):
    x = torch.randn(4, 3, device=device)
    counters = Counters(LinearBins(0, 1, 5), activation=family.relu6().activation)
    words, edges = counters.words_for(3, x.device), counters.edges_on(x.device)
    fixed = words, edges, 1, 2
    slopes = torch.ones(3, device=device)
    fused = [
        (x, words, edges, 5, 2, 1, 0.0, 6.0),
        (x, words[:-1].clone(), edges, 1, 2, 1, 0.0, 6.0),
        (x, *fixed, 0, 0.0, 6.0),
        (x, *fixed, 9, 0.0, 6.0),
        (x, *fixed, 1, 6.0, 0.0),
        (x, *fixed, 1, 0.0, math.nan),
        (x, *fixed, 2, math.inf, 0.0),
        (x, *fixed, 3, math.nan, 0.0),
        (x, *fixed, 5, 0.1, 0.0),
        (x, *fixed, 2, 0.1, 0.0),  # without an upper knee the words are too many
        (x, *fixed, 1, 0.0, 6.0, slopes),
    ]
    for arguments in fused:
        compare(library.counting_activation, reference.counting_activation, arguments)
    without = words[: -words.numel() + 6 + 9 + 8].clone()
    compare(
        library.counting_activation,
        reference.counting_activation,
        (x, without, edges, 1, 2, 2, 0.1, 0.0, torch.ones(2, device=device)),
    )
    for arguments in [
        (x, x, *fixed, 1, 0.0, 6.0),
        (x, None, without, edges, 1, 2, 5, 0.1, 0.0),
        (x, None, without, edges, 1, 2, 5, -0.1, 0.0),
        (x, x.double(), without, edges, 1, 2, 5, 0.1, 0.0),
    ]:
        compare(library.count_activation, reference.count_activation, arguments)
    assert not words[1:].any()


def compare(kernel, oracle, arguments):
    said = []
    for function in (kernel, oracle):
        with pytest.raises((ValueError, IndexError)) as raised:
            function(*arguments)
        said.append(str(raised.value).split("\n")[0].split("Exception raised")[0])
    # C++ and Python write dtypes and sizes in their own ways.
    kernel_said, oracle_said = (re.sub(r"got .*", "", each) for each in said)
    assert kernel_said == oracle_said


@pytest.mark.parametrize("name", FUSED)
def test_the_reference_leaves_the_same_words(device, name):
    member = FUSED[name].made().member
    how = member.kind, member.first, member.second
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        x = samples(dtype, device, (7, 60))
        mask = torch.rand(60, device=device) < 0.7
        blocks = torch.tensor([3, 1], device=device)
        words = []
        for ops in (library, reference):
            counters = Counters(unit_dim=0, every=2, activation=member.activation)
            mine = counters.words_for(7, x.device), counters.edges_on(x.device), 0, counters.binning
            for _ in range(3):
                y = ops.counting_activation(x, *mine, *how, None, mask, blocks)
                assert same_bits(y, FUSED[name].plain(x))
            in_place = x.clone()
            ops.counting_activation_(in_place, *mine, *how, None, None)
            assert same_bits(in_place, FUSED[name].plain(x))
            ops.count_activation(x, None, *mine, *how, None, None)
            words.append(mine[0])
        assert torch.equal(*words)


def test_negative_views(device):
    # The values of such a view are the negatives of those in memory.
    z = torch.randn(4, 6, dtype=torch.complex64, device=device).conj()
    for view in (z.imag, z.imag.T):
        assert view.is_neg()
        values = view.clone()
        module = relustat.CountingReLU6(unit_dim=1)
        assert same_bits(module(view), nn.functional.relu6(values))
        in_place = relustat.CountingReLU6(inplace=True, unit_dim=1)
        member = family.smooth("Tanh", 0.1)
        counters = Counters(unit_dim=1, activation=member.activation)
        count_activation(view, torch.tanh(view), counters, member)
        in_place(view)
        assert same_bits(view.clone(), nn.functional.relu6(values))
        assert module.stats == in_place.stats
        assert module.stats.inactive == int((values <= 0).sum())
        assert counters.stats.inactive == int((values.tanh().abs() <= 0.1).sum())


@pytest.mark.parametrize(
    ("counting", "plain", "dtype"),
    [
        (relustat.CountingThreshold(1.0, 3e38), nn.Threshold(1.0, 3e38), torch.float16),
        (relustat.CountingHardtanh(-1.0, 3e38), nn.Hardtanh(-1.0, 3e38), torch.float16),
        (relustat.CountingHardtanh(-1e300, 1.0), nn.Hardtanh(-1e300, 1.0), torch.float32),
        (relustat.CountingLeakyReLU(1e300), nn.LeakyReLU(1e300), torch.float32),
    ],
)
def test_numbers_that_the_inputs_type_has_not(device, counting, plain, dtype):
    x = torch.ones(3, device=device, dtype=dtype)
    with pytest.raises(RuntimeError) as theirs:
        plain(x)
    with pytest.raises(RuntimeError) as mine:
        counting(x)
    assert str(mine.value).split("\n")[0] == str(theirs.value).split("\n")[0]
    assert counting.stats.calls == 0


def test_knees_that_are_one_number_in_the_inputs_type():
    module = relustat.CountingHardtanh(1.0, 1.001)
    module(torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.bfloat16))
    stats = module.stats
    assert stats.unit_inactive.tolist() == [1, 0, 1]
    assert stats.unit_saturated.tolist() == [1, 1, 0]


@pytest.mark.parametrize("swapped", [False, True])
def test_numbers_that_are_changed_are_computed_and_not_counted(swapped):
    def changed(make, plain, name, value, x):
        module = relustat.swap(plain(), activations="all") if swapped else make()
        module(x)
        setattr(module, name, value)
        other = plain()
        setattr(other, name, value)
        with pytest.warns(UserWarning, match="computes another one now; it is not counted"):
            assert same_bits(module(x), other(x))
        counters = module.counters
        assert counters.stats.calls == 1

    x = torch.tensor([[5.0, -1.0, 4.0]])
    changed(relustat.CountingReLU6, nn.ReLU6, "max_val", 3.0, x)
    changed(relustat.CountingHardtanh, nn.Hardtanh, "min_val", 0.5, x)
    changed(relustat.CountingLeakyReLU, nn.LeakyReLU, "negative_slope", math.inf, x)
    # Another slope is counted as before.
    module = relustat.swap(nn.LeakyReLU(), activations="all")
    module(x)
    module.negative_slope = 0.5
    assert module(x)[0, 1] == -0.5
    assert module.counters.stats.calls == 2
