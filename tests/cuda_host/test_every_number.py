"""The fast ways of the CUDA kernels to find bins, for every number there is.

float16 and bfloat16: always. float32 takes minutes: make test PYTEST_ARGS="-m exhaustive".
"""

import cuda_kernels
import pytest
import torch
from cuda_kernels import DTYPES, Case
from cuda_relu_calls import Call, check
from oracle import BINS

from relustat import LinearBins, LogBins

LOG_BINS = {
    "default": LogBins(),
    "few": LogBins(per_octave=4, min_exponent=-2, max_exponent=1),
    "many": LogBins(per_octave=16, min_exponent=-10, max_exponent=12),
    "one": LogBins(per_octave=1, min_exponent=-2, max_exponent=3),
    "most": LogBins(per_octave=64, min_exponent=-10, max_exponent=12),
}
LINEAR_BINS = {name: bins for name, bins in BINS.items() if isinstance(bins, LinearBins)}
LINEAR_BINS["relu6"] = LinearBins(-6, 6, 256)
LINEAR_BINS["tenths"] = LinearBins(-1, 2, 30)
ALL = LOG_BINS | LINEAR_BINS


def look(dtype, bins, parts):
    """Of the numbers that are not NaN: those that get a wrong slot, and those that are slow."""
    edges = torch.tensor(bins.edges, dtype=torch.float32)
    cases = [
        Case(
            cuda_kernels.EVERY_NUMBER,
            [DTYPES.index(dtype), bins.binning, len(bins), begin, end],
            [edges, torch.zeros(2, dtype=torch.int64)],
            [0, 0],
        )
        for begin, end in parts
    ]
    return torch.stack([buffers[1] for buffers in cuda_kernels.run(cases)]).sum(0).tolist()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_slots_of_all_16_bit_numbers(dtype, name):
    wrong, _ = look(dtype, ALL[name], [(0, 1 << 16)])
    assert wrong == 0


def test_most_numbers_take_the_fast_way():
    assert look(torch.bfloat16, LogBins(), [(0, 1 << 16)])[1] < 1 << 15
    assert look(torch.float16, LinearBins(-4, 4, 200), [(0, 1 << 16)])[1] == 1


@pytest.mark.parametrize("name", ["default", "few", "most", "linear", "relu6"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_with_all_16_bit_patterns(dtype, name):
    patterns = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(dtype)
    check(
        [
            Call((4, 2, 1 << 13), dtype, ALL[name], values=patterns, unit_histograms=per_unit)
            for per_unit in (False, True)
        ]
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ALL)
def test_slots_of_all_float32_numbers(name):
    step = 1 << 28
    wrong, slow = look(torch.float32, ALL[name], [(i * step, (i + 1) * step) for i in range(16)])
    print(f"{name}: {slow / 2**32:.2%} slow")
    assert wrong == 0
