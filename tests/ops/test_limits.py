"""Counts at the ends of int64, many units and bins, and every float32 number."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import BINS, assert_counts, same_bits, samples

import relustat
from relustat import Counters, EdgeBins, LinearBins
from relustat.functional import counting_activation, counting_relu, relu_max_pool2d, relu_stats
from relustat.ops import family, reference
from relustat.ops.counting_activation import count_activation
from relustat.stats.counter_layout import CALLS, ELEMENTS, EVERY, TICKS

MOST = 2**63 - 1
RELU6, SILU = family.relu6(), family.smooth("SiLU", 1e-3)


def of_reference(op):
    def call(x, counters):
        edges = counters.edges_on(x.device)
        return op(x, counters.words_for(1, x.device), edges, x.dim(), counters.binning)

    return call


def compiled(x, counters):
    return torch.compile(lambda x: counting_relu(x, counters), backend="aot_eager")(x)


# Each with the activation that its counters are of.
CALLS_OF = {
    "op": (counting_relu, None),
    "in place": (lambda x, counters: counting_relu(x, counters, inplace=True), None),
    "autograd": (lambda x, counters: counting_relu(x.requires_grad_(), counters), None),
    "compiled": (compiled, None),
    "pooled": (lambda x, counters: relu_max_pool2d(x, counters, 2), None),
    "relative": (lambda x, counters: counting_activation(x, counters, RELU6), RELU6),
    "relative in place": (
        lambda x, counters: counting_activation(x, counters, RELU6, inplace=True),
        RELU6,
    ),
    "beside": (lambda x, counters: count_activation(x, F.silu(x), counters, SILU), SILU),
    "reference": (of_reference(reference.counting_relu), None),
    "reference in place": (of_reference(reference.counting_relu_), None),
}


def nearly_full(activation, room, every=1):
    """Counters of one unit with all their counts in the first bin."""
    options = {} if activation is None else {"activation": activation.activation}
    counters = Counters(LinearBins(0, 4, 4), unit_dim=(), every=every, **options)
    words = counters.words_for(1, torch.device("cpu"))
    histogram = len(words) - 7
    words[[TICKS, CALLS, ELEMENTS, histogram + 1]] = torch.tensor([every, 1, *2 * [MOST - room]])
    return counters


@pytest.mark.parametrize("name", CALLS_OF)
def test_a_call_that_fills_the_counters_is_the_last(name):
    call, activation = CALLS_OF[name]
    counters = nearly_full(activation, room=16)
    call(torch.full((1, 1, 4, 4), 2.5), counters)
    stats = counters.stats
    assert stats.elements == MOST
    assert stats.histogram.counts().tolist() == [MOST - 16, 0, 16, 0]
    x = torch.full((1, 1, 1, 1), -2.5) if name != "pooled" else torch.full((1, 1, 2, 2), -2.5)
    before = counters.saved()
    with pytest.raises(OverflowError, match=r"^Counters: counts must stay below 2\*\*63, got 9"):
        call(x, counters)
    assert torch.equal(counters.saved()[1], before[1])
    assert (x == -2.5).all()


def test_calls_that_are_not_counted_need_no_room():
    counters = nearly_full(None, room=0)
    counters.enabled = False
    assert counting_relu(torch.ones(3), counters).tolist() == [1, 1, 1]
    assert counters.stats.elements == MOST
    counters.reset()
    counters.enabled = True
    counting_relu(torch.ones(3), counters)
    assert counters.stats.elements == 3


def test_the_number_of_calls_seen_stays_below_2_to_the_63(device):
    counters = Counters(None, every=2**40)
    counters.words_for(3, torch.device(device))[TICKS] = MOST
    with pytest.raises(OverflowError, match="below 2"):
        counting_relu(torch.ones(1, 3, device=device), counters)


def test_counts_that_threads_or_a_device_made_too_large_are_not_read(device):
    counters = Counters(None)
    counting_relu(torch.ones(1, 3, device=device), counters)
    words = counters.words_for(3, torch.device(device))
    words[ELEMENTS] = -(2**63) + 5
    for read in (lambda: counters.stats, counters.saved):
        with pytest.raises(OverflowError, match=r"Counters: .* got more elements; reset\(\) them"):
            read()
    counters.reset()
    assert words[EVERY] == 1
    assert counters.stats.calls == 0


@pytest.mark.parametrize("inplace", [False, True])
def test_65536_units_and_10000_bins(device, inplace):
    bins = LinearBins(-5, 5, 10_000)
    x = samples(torch.float32, device, (3, 65_536), bins.edges)
    before = x.clone()
    counters = Counters(bins)
    y = counting_relu(x, counters, inplace=inplace)
    assert_counts(counters.stats, before, bins, unit_dim=1)
    assert same_bits(y, F.relu(before))


def test_the_most_bins_of_each_unit(device):
    bins = EdgeBins(np.arange(relustat.stats.bins.MAX_BINS + 1, dtype=np.float32) / 8192 - 4)
    x = samples(torch.float32, device, (50, 7), bins.edges)
    counters = Counters(bins, unit_histograms=True)
    counting_relu(x, counters)
    histograms = counters.stats.unit_histograms
    assert histograms.shape == (7, len(bins))
    for unit in range(7):
        expected, _ = np.histogram(x[:, unit].cpu().numpy(), bins=bins.edges)
        assert (histograms[unit] == expected).all()


@pytest.mark.parametrize("name", BINS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_every_16_bit_number(device, dtype, name):
    x = torch.arange(2**16, device=device).to(torch.int16).view(dtype).view(2**13, 8)
    y, stats = relu_stats(x, BINS[name])
    assert_counts(stats, x, BINS[name], unit_dim=1)
    assert same_bits(y, F.relu(x))


# Chunks of one size are counted one by one, of the other in tables and by threads.
@pytest.mark.exhaustive
@pytest.mark.parametrize("chunk", [2**14, 2**22])
@pytest.mark.parametrize("name", BINS)
def test_every_float32_number(name, chunk):
    bins = BINS[name]
    edges = np.zeros(0) if bins is None else bins.edges
    within = torch.arange(chunk, dtype=torch.int32)
    for begin in range(-(2**31), 2**31, chunk):
        # Numbers of one sign, in order: NaNs at the end. So edges are found among them.
        x = (within + begin).view(torch.float32)
        y, stats = relu_stats(x, bins, unit_dim=())
        numbers = x[: chunk - int(x.isnan().sum())].numpy()
        rectified = F.relu(x).view(torch.int32)
        assert torch.equal(y.view(torch.int32)[: len(numbers)], rectified[: len(numbers)])
        assert y[len(numbers) :].isnan().all()
        assert stats.nans == chunk - len(numbers)
        assert stats.zeros == (len(numbers) if begin < 0 else int((numbers == 0).sum()))
        if bins is not None:
            ordered = numbers[::-1] if begin < 0 else numbers
            from_edge = len(ordered) - np.searchsorted(ordered, edges, side="left")
            counts = -np.diff(from_edge)
            last = np.searchsorted(ordered, edges[-1], side="right")
            counts[-1] += last - (len(ordered) - from_edge[-1])
            assert stats.histogram.counts().tolist() == counts.tolist()
            assert stats.histogram.underflow == len(ordered) - from_edge[0]
            assert stats.histogram.overflow == len(ordered) - last
