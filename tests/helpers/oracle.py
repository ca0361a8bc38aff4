"""What the counts must be, by NumPy alone: shares no code with the package."""

import numpy as np
import torch

from relustat import EdgeBins, LinearBins, LogBins

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]

BINS = {
    "log": LogBins(),
    "log-coarse": LogBins(per_octave=1, min_exponent=-2, max_exponent=3),
    "linear": LinearBins(-3, 3, 200),
    "linear-off-zero": LinearBins(-70, 40, 200),
    "linear-far": LinearBins(1000, 1001, 64),
    "linear-narrow": LinearBins(1, 1.0001, 800),
    "linear-one": LinearBins(-1, 1, 1),
    "edges": EdgeBins([-5, -1, -0.3, 0, 1e-3, 0.7, 2, 2.5]),
    "edges-denormal": EdgeBins([-1e-40, 0, 1e-40, 1e-38, 1]),
    "none": None,
}


def numpy_of(x):
    x = x.detach().cpu()
    # Exact: float32 holds all bfloat16 and float16 numbers.
    return (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).numpy()


def neighbours(x):
    """The next numbers of x's dtype below and above each."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    bits = x.view(integers)
    return torch.cat([(bits - 1).view(x.dtype), (bits + 1).view(x.dtype)])


def nasty_values(dtype, edges):
    """Every edge, what lies beside it, and what floating point has besides numbers."""
    limits = torch.finfo(dtype)
    # A number between 0 and the smallest normal one.
    denormal = limits.smallest_normal / 4
    special = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), limits.max, -limits.max]
    special += [limits.smallest_normal, -limits.smallest_normal, denormal, -denormal, 1.0, -1.0]
    values = torch.tensor([*special, *edges.tolist()], dtype=torch.float64).to(dtype)
    return torch.cat([values, neighbours(values)])


# A signalling NaN, which neighbours() makes of an infinity, warns when NumPy converts it.
@np.errstate(invalid="ignore")
def assert_counts(stats, x, bins, unit_dim, calls=1):
    """Every count of ``calls`` calls with ``x``, exactly."""
    values = numpy_of(x)
    units = np.moveaxis(values, unit_dim, 0).reshape(values.shape[unit_dim], -1)
    zeros = (units <= 0).sum(axis=1)
    assert stats.calls == calls
    assert stats.elements == calls * values.size
    assert stats.unit_zeros.tolist() == (calls * zeros).tolist()
    assert stats.unit_elements.tolist() == [calls * units.shape[1]] * units.shape[0]
    assert stats.unit_dead_calls.tolist() == (calls * (zeros == units.shape[1])).tolist()
    assert stats.nans == calls * int(np.isnan(values).sum())
    if bins is not None:
        assert_histogram(stats.histogram, values, bins.edges, calls)


@np.errstate(invalid="ignore")
def assert_histogram(histogram, values, edges, calls=1):
    expected, _ = np.histogram(values, bins=edges)
    assert histogram.counts().tolist() == (calls * expected).tolist()
    assert histogram.underflow == calls * int((values < edges[0]).sum())
    assert histogram.overflow == calls * int((values > edges[-1]).sum())
    assert histogram.nan == calls * int(np.isnan(values).sum())


def same_bits(a, b):
    """Equality that tells -0.0 from 0.0, and not one NaN from another."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    a_bits, b_bits = (torch.where(x.isnan(), 0, x.contiguous().view(integers)) for x in (a, b))
    return a.dtype == b.dtype and torch.equal(a_bits, b_bits) and torch.equal(a.isnan(), b.isnan())


def samples(dtype, device, shape, edges=None):
    """Normal values, some of them replaced by nasty ones."""
    x = (2 * torch.randn(shape, dtype=torch.float64)).to(dtype)
    nasty = nasty_values(dtype, torch.tensor([] if edges is None else edges))
    flat = x.view(-1)
    positions = torch.randperm(len(flat))[: min(len(nasty), len(flat) // 2)]
    flat[positions] = nasty[torch.randperm(len(nasty))[: len(positions)]]
    return x.to(device)
