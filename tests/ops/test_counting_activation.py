"""The relatives of ReLU against NumPy and PyTorch: every count exact, every output bit torch's."""

import copy

import numpy as np
import pytest
import torch
from family_cases import FUSED, IN_PLACE, SMOOTH, activity_of, assert_activity, by_unit, knee_in
from memory_layouts import LAYOUTS
from oracle import BINS, DTYPES, assert_histogram, numpy_of, same_bits, samples
from torch import nn

import relustat
from relustat import Counters, LinearBins, LogBins
from relustat.functional import count_activation
from relustat.ops import family

# Knees lie among the edges, so that samples have them and their neighbours.
KNEES = np.array([-1.0, 0.3, 0.7, 1.0, 6.0])


def counted(case, x, **options):
    module = case.made(**options).to(x.device)
    before = x.clone()
    y = module(x)
    expected = case.plain(before.clone())
    assert same_bits(y, expected)
    assert y.stride() == expected.stride()
    return module.stats


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_counts_equal_numpys(device, dtype, name, layout):
    case = FUSED[name]
    for bins in (LogBins(), LinearBins(-3, 3, 200), BINS["edges"], None):
        x = LAYOUTS[layout](samples(dtype, device, (6, 7, 9, 16), KNEES))
        stats = counted(case, x, bins=bins)
        assert_activity(stats, *activity_of(case, x, 1))
        if bins is not None:
            assert_histogram(stats.histogram, numpy_of(x), bins.edges)


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_every_pattern_of_sixteen_bits(device, dtype, name):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype).to(device)
    for shape in ((64, 1024), (16, 64, 64)):
        stats = counted(FUSED[name], x.view(shape))
        assert_activity(stats, *activity_of(FUSED[name], x.view(shape), 1 if len(shape) < 3 else 2))


@pytest.mark.parametrize("name", [*FUSED, "prelu"])
def test_strides_of_single_elements(device, name):
    """A dimension of size 1 may have any stride; each of PyTorch's ops gives its own."""
    made = relustat.CountingPReLU() if name == "prelu" else FUSED[name].made()
    plain = nn.PReLU() if name == "prelu" else FUSED[name].plain
    made, plain = made.to(device), plain.to(device)
    for x in (
        torch.randn(2, 1)[::2],
        torch.randn(1, 2, 4).transpose(0, 1)[:1],
        torch.randn(2, 5, 4, 4)[::2],
        torch.randn(2, 1, 4).transpose(0, 1),
    ):
        x = x.to(device)
        assert made(x).stride() == plain(x).stride()


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (2, 4, 3, 3)])
def test_slopes_of_channels_that_are_counted_from_the_end(device, shape):
    plain = nn.PReLU(4).to(device)
    plain.weight.data.copy_(torch.linspace(-1, 2, 4))
    module = relustat.CountingPReLU(4, unit_dim=1 - len(shape)).to(device)
    module.load_state_dict(plain.state_dict())
    x = torch.randn(shape, device=device)
    assert same_bits(module(x), plain(x))
    assert module.counters.units_of(x) == (1, 4)
    assert module.stats.unit_inactive.tolist() == (by_unit(x, 1) <= 0).sum(axis=1).tolist()


LARGE = {
    "rows": lambda x: x,
    "short rows": lambda x: x.view(32, 64, 37),
    "columns": lambda x: x.view(16, 64, 2, 37).to(memory_format=torch.channels_last),
    "many columns": lambda x: x.view(16, 64 * 74),
}


@pytest.mark.parametrize("layout", LARGE)
@pytest.mark.parametrize("per_unit", [False, True])
@pytest.mark.parametrize("name", ["relu6", "leaky", "threshold", "squared"])
def test_large_inputs(device, name, per_unit, layout):
    for dtype in (torch.float32, torch.bfloat16):
        x = LARGE[layout](samples(dtype, device, (16, 64, 74), KNEES))
        stats = counted(FUSED[name], x, unit_histograms=per_unit, unit_dim=1)
        assert_activity(stats, *activity_of(FUSED[name], x, 1))
        assert_histogram(stats.histogram, numpy_of(x), LogBins().edges)
        if per_unit:
            for unit in (0, x.size(1) - 1):
                expected, _ = np.histogram(numpy_of(x)[:, unit], bins=LogBins().edges)
                assert stats.unit_histograms[unit].tolist() == expected.tolist()


@pytest.mark.parametrize("elements", [1, 127, 128, 129, 257, 1000])
@pytest.mark.parametrize("shape", [(-1,), (1, 1, -1), (-1, 1)], ids=str)
def test_remainders_of_spans(device, shape, elements):
    x = samples(torch.float32, device, (elements,), KNEES).view(shape)
    for bins in (LogBins(), None):
        for case in FUSED.values():
            assert_activity(counted(case, x, bins=bins, unit_dim=0), *activity_of(case, x, 0))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "sliced"])
@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_in_place(device, dtype, name, layout):
    case = IN_PLACE[name]
    x = LAYOUTS[layout](samples(dtype, device, (6, 7, 9, 16), KNEES))
    activity = activity_of(case, x, 1)
    expected = case.plain(x.clone())
    module = case.made()
    assert module(x) is x
    assert same_bits(x, expected)
    assert_activity(module.stats, *activity)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "sliced", "expanded_batch"])
@pytest.mark.parametrize("slopes", [1, 7])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_slopes_that_are_learnt(device, dtype, slopes, layout):
    plain = nn.PReLU(slopes).to(device, dtype)
    with torch.no_grad():
        plain.weight.copy_(torch.linspace(-0.5, 1.3, slopes))
    for unit_dim in ("auto", 2, (1, 2)):
        module = relustat.CountingPReLU(slopes, unit_dim=unit_dim).to(device, dtype)
        module.load_state_dict(plain.state_dict())
        x = LAYOUTS[layout](samples(dtype, device, (6, 7, 9, 16)))
        assert same_bits(module(x), plain(x))
        with np.errstate(invalid="ignore"):
            if unit_dim == (1, 2):
                values = numpy_of(x).transpose(1, 2, 0, 3).reshape(63, -1)
            else:
                values = by_unit(x, 1 if unit_dim == "auto" else unit_dim)
            assert_activity(module.stats, values <= 0, None)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@np.errstate(invalid="ignore")
def test_smooth_ones_are_counted_beside_their_calls(device, dtype, name):
    for near_zero in (0.0, 1e-3, 0.1):
        member = family.smooth(name, near_zero)
        counters = Counters(activation=member.activation, unit_histograms=True)
        x = samples(dtype, device, (6, 7, 9, 16))
        for layout in ("contiguous", "channels_last", "sliced"):
            laid_out = LAYOUTS[layout](x)
            before, y = laid_out.clone(), SMOOTH[name](laid_out)
            counters.reset()
            count_activation(laid_out, y, counters, member, unit_dim=1)
            most = knee_in(dtype, near_zero, is_rounded=False)
            outputs = by_unit(y, 1)
            assert_activity(counters.stats, np.abs(outputs) <= most, None)
            assert_histogram(counters.stats.histogram, numpy_of(laid_out), LogBins().edges)
            assert same_bits(laid_out, before)


def test_an_output_in_another_layout(device):
    member = family.smooth("SiLU", 0.1)
    counters = Counters(activation=member.activation)
    x = samples(torch.float32, device, (4, 8, 6, 6)).to(memory_format=torch.channels_last)
    y = nn.functional.silu(x).contiguous()
    count_activation(x, y, counters, member)
    assert_activity(counters.stats, np.abs(by_unit(y, 1)) <= np.float32(0.1), None)


@pytest.mark.parametrize("name", ["relu6", "leaky", "threshold", "squared"])
def test_what_is_masked_is_computed_and_not_counted(device, name):
    case = FUSED[name]
    for layout in ("contiguous", "channels_last"):
        x = LAYOUTS[layout](samples(torch.float32, device, (6, 40, 9, 16), KNEES))
        mask = torch.rand(6, 9, 16, device=device) < 0.6
        for bins in (LogBins(), None):
            module = case.made(bins=bins)
            y = relustat.functional.counting_activation(
                x, module.counters, module.member, mask=mask
            )
            assert same_bits(y, case.plain(x))
            kept = mask.cpu().numpy().ravel()
            assert_activity(module.stats, *activity_of(case, x, 1), kept)
    nothing = torch.zeros_like(mask)
    before = module.stats
    relustat.functional.counting_activation(x, module.counters, module.member, mask=nothing)
    assert module.stats == before


@pytest.mark.parametrize("name", FUSED)
def test_without_an_output_the_same_is_counted(device, name):
    case = FUSED[name]
    module = case.made(unit_histograms=True)
    for layout in ("contiguous", "channels_last", "transposed", "sliced"):
        x = LAYOUTS[layout](samples(torch.float32, device, (6, 7, 9, 16), KNEES))
        counters = Counters(activation=module.member.activation, unit_histograms=True)
        count_activation(x, None, counters, module.member)
        module.reset()
        module(x)
        assert counters.stats == module.stats


def test_units_that_are_dead_saturated_or_always_on(device):
    module = relustat.CountingReLU6().to(device)
    x = torch.tensor([[-1.0, 6.0, 3.0, 7.0], [-2.0, 9.0, 4.0, 1.0]], device=device)
    module(x)
    module(x)
    stats = module.stats
    assert stats.dead_units.tolist() == [0]
    assert stats.saturated_units.tolist() == [1]
    assert stats.always_on_units.tolist() == [1, 2, 3]
    assert stats.dead_for(2).tolist() == [0]
    assert (stats.zeros, stats.inactive, stats.saturated) == (4, 4, 6)
    assert (stats.zero_fraction, stats.saturated_fraction) == (0.25, 0.375)


def test_zeros_are_asked_for_only_where_there_are_some():
    module = relustat.CountingLeakyReLU()
    module(torch.tensor([[-1.0, 2.0]]))
    with pytest.raises(ValueError, match="zeros: the outputs of inactive inputs must be 0, got"):
        _ = module.stats.zeros
    with pytest.raises(ValueError, match="ask unit_inactive, which counts input <= 0"):
        _ = module.stats.unit_zeros
    assert np.isnan(module.stats.zero_fraction)
    assert (module.stats.inactive_fraction, module.stats.activation_rate) == (0.5, 0.5)


def test_one_call_in_every(device):
    module = relustat.CountingReLU6(every=3).to(device)
    x = samples(torch.float32, device, (4, 5))
    for _ in range(7):
        assert same_bits(module(x), nn.functional.relu6(x))
    assert_activity(module.stats, *activity_of(FUSED["relu6"], x, 1), calls=3)
    module.enabled = False
    assert same_bits(module(x), nn.functional.relu6(x))
    assert module.stats.calls == 3


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_shares(device, threads):
    torch.set_num_threads(threads)
    for name in ("relu6", "leaky"):
        x = samples(torch.float32, device, (37, 64, 31, 9), KNEES)
        for layout in (x, x.to(memory_format=torch.channels_last)):
            stats = counted(FUSED[name], layout)
            assert_activity(stats, *activity_of(FUSED[name], layout, 1))


@pytest.mark.parametrize("name", ["relu6", "leaky", "threshold"])
def test_blocks_of_inactive_units(device, name):
    case = FUSED[name]
    for dtype in (torch.float32, torch.bfloat16):
        x = samples(dtype, device, (50, 8), KNEES)
        module = case.made(zero_blocks=4)
        module(x)
        inactive, _ = activity_of(case, x, 1)
        blocks = inactive.T.reshape(50, 2, 4)
        assert (module.stats.blocks, module.stats.zero_blocks) == (100, blocks.all(axis=2).sum())


def test_outputs_near_zero_in_blocks(device):
    member = family.smooth("GELU", 0.05)
    counters = Counters(activation=member.activation, zero_blocks=2)
    x = samples(torch.float32, device, (300, 4))
    y = nn.functional.gelu(x)
    count_activation(x, y, counters, member)
    near = (np.abs(numpy_of(y)) <= np.float32(0.05)).reshape(300, 2, 2)
    assert counters.stats.zero_blocks == near.all(axis=2).sum()


def test_empty_and_scalar_inputs(device):
    for case in FUSED.values():
        module = case.made()
        assert module(torch.zeros(0, 3, device=device)).shape == (0, 3)
        assert module.stats.calls == 0
        assert same_bits(
            module(torch.tensor(0.5, device=device)), case.plain(torch.tensor(0.5, device=device))
        )
        assert module.stats.elements == 1


@pytest.mark.parametrize("name", FUSED)
def test_modules_keep_their_counts_when_copied(name, tmp_path):
    module = FUSED[name].made()
    module(torch.randn(4, 5))
    torch.save(module, tmp_path / "module.pt")
    loaded = torch.load(tmp_path / "module.pt", weights_only=False)
    for other in (copy.deepcopy(module), loaded):
        assert other.stats == module.stats
        assert other.stats.activation == module.member.activation
    assert module.state_dict() == FUSED[name].plain.state_dict()
    assert isinstance(module, type(FUSED[name].plain)) or name == "squared"
