"""The reference against NumPy, and the kernels against the reference, word for word."""

import numpy as np
import pytest
import torch
from oracle import BINS, DTYPES, assert_counts, nasty_values, same_bits

from relustat import Counters, LinearBins, reference
from relustat.functional import relu_stats
from relustat.ops import library
from relustat.ops.reference.counts import find_slots

INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize(
    ("bins", "unit_histograms"),
    [(bins, False) for bins in BINS] + [(bins, True) for bins in BINS if bins != "none"],
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_kernel_leaves_the_same_words(device, dtype, bins, unit_histograms):
    bins = BINS[bins]
    nasty = nasty_values(dtype, torch.tensor(bins.edges if bins else []))
    x = torch.cat([torch.randn(6 * len(nasty)).to(dtype), nasty]).view(7, -1).to(device)
    words = []
    for ops in (library, reference):
        counters = Counters(bins, unit_dim=0, unit_histograms=unit_histograms, every=2)
        arguments = counters.words_for(7, x.device), counters.edges_on(x.device), 0
        binning = counters.binning
        outputs = [ops.counting_relu(x, *arguments, binning) for _ in range(3)]
        in_place = x.clone()
        ops.counting_relu_(in_place, *arguments, binning)
        words.append(arguments[0])
        assert all(same_bits(output, torch.relu(x)) for output in (*outputs, in_place))
    assert torch.equal(*words)
    assert words[0][:4].tolist() == [2, 4, 2, 2 * x.numel()]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_count(device, dtype):
    limits = torch.iinfo(dtype)
    x = torch.randint(max(limits.min, -9), 9, (5, 6, 7), device=device).to(dtype)
    x[0, 0, 0], x[0, 0, 1] = limits.min, limits.max
    for bins in (LinearBins(-3, 3, 6), BINS["log"], BINS["edges"], None):
        y, stats = relu_stats(x, bins, unit_dim=1)
        assert torch.equal(y, torch.relu(x))
        assert_counts(stats, x, bins, unit_dim=1)
        in_place = x.clone()
        counters = Counters(bins, unit_dim=1)
        reference.counting_relu_(
            in_place,
            counters.words_for(6, x.device),
            counters.edges_on(x.device),
            1,
            counters.binning,
        )
        assert torch.equal(in_place, y)
        assert counters.stats == stats


def test_slots_are_numpys_bins():
    edges = LinearBins(0, 1, 4).edges
    values = np.array([-1, 0, 0.25, 0.3, 1, 1.1, np.nan, np.inf, -np.inf])
    assert find_slots(values, edges).tolist() == [0, 1, 2, 2, 4, 5, 6, 5, 0]


def test_devices_without_a_kernel_have_the_reference():
    for name in (f"relustat::{op}" for op in reference.__all__):
        for key in ("CUDA", "MPS", "XPU", "PrivateUse1"):
            assert torch._C._dispatch_has_computed_kernel_for_dispatch_key(name, key)


def test_fallback_warns_once():
    counters = Counters()
    x = torch.randn(3, 4)
    arguments = counters.words_for(4, x.device), counters.edges_on(x.device), 1, 3
    library._warn_no_kernel.cache_clear()
    fallback = library._serving(reference.counting_relu)
    with pytest.warns(UserWarning, match="no kernel for cpu; the reference serves on the CPU"):
        fallback(x, *arguments)
    fallback(x, *arguments)
    library._serving(reference.counting_relu_)(x, *arguments)
    assert counters.stats.calls == 3


def test_fallback_tells_how_to_get_cuda_kernels():
    library._warn_no_kernel.cache_clear()
    with pytest.warns(UserWarning, match="no kernel for cuda.*build relustat with a CUDA build of"):
        library._warn_no_kernel("cuda")


def test_header_is_the_same_in_cpp():
    # counters.h's words, seen from outside.
    counters = Counters(None, every=5)
    x = torch.tensor([[-1.0, 2.0, float("nan")]])
    words = counters.words_for(3, x.device)
    for _ in range(6):
        library.counting_relu(x, words, counters.edges_on(x.device), 1, 0)
    assert words.tolist() == [5, 6, 2, 6, 0, 0, *[2, 0, 0], *[2, 0, 0], *[2, 0, 0], 2]
