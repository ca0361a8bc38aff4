"""What counting means, in plain torch and NumPy: slow, obvious, and nothing compiled.

The tests hold every kernel to this module. It also counts for integer dtypes and for devices that
have no kernel; it copies the input to the host to do so.
"""

from __future__ import annotations

import math
import threading

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from relustat._torch_internals import is_in_backward
from relustat.stats.bins import BINNING_LOG, BINNING_NONE, MAX_BINS
from relustat.stats.counter_layout import CALLS, ELEMENTS, EVERY, TICKS, CounterLayout

from .max_pool import max_pool, max_unpool, max_unpool_backward, numpy_of

__all__ = [
    "activation_hash",
    "counting_relu",
    "counting_relu_",
    "max_pool",
    "max_unpool",
    "max_unpool_backward",
]

# Calls from several threads may share counters.
_one_at_a_time = threading.Lock()


def find_slots(
    values: npt.NDArray[np.generic], edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """The slot of each value: 0 underflow, 1 to n the bins, n + 1 overflow, n + 2 NaN."""
    bins = len(edges) - 1
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        last = values == edges[-1]
        slots = np.searchsorted(edges, values, side="right")
    slots[last] = bins
    slots[np.isnan(values)] = bins + 2
    return slots


def counting_relu(
    x: Tensor, counters: Tensor, edges: Tensor, unit_dim: int, binning: int
) -> Tensor:
    """``torch.relu(x)``, and what it counted added to ``counters``.

    Args:
        x: any real dtype, any shape.
        counters: int64 [words] as :class:`CounterLayout` lays them out, on the input's device.
        edges: float32 [bins + 1], or empty.
        unit_dim: the dimension of ``x`` whose indices are the units; ``x.dim()``: all of ``x`` is
            one unit.
        binning: how a kernel would look for the bins; here only whether there are any.
    """
    check(x, counters, edges, unit_dim, binning)
    output = torch.relu(x)
    _count(x.detach(), output.detach(), counters, edges, unit_dim)
    return output


def counting_relu_(x: Tensor, counters: Tensor, edges: Tensor, unit_dim: int, binning: int) -> None:
    """:func:`counting_relu` written over its input."""
    check(x, counters, edges, unit_dim, binning)
    before = x.detach().clone()
    torch.relu_(x)
    _count(before, x.detach(), counters, edges, unit_dim)


def _count(x: Tensor, output: Tensor, counters: Tensor, edges: Tensor, unit_dim: int) -> None:
    if x.numel() == 0 or is_in_backward():
        return
    with _one_at_a_time:
        words = counters.cpu().numpy().copy()
        if words[EVERY] <= 0:
            return
        words[TICKS] += 1
        if (words[TICKS] - 1) % words[EVERY] == 0:
            _add_call(words, _by_unit(x, unit_dim), _by_unit(output, unit_dim), edges)
        counters.copy_(torch.from_numpy(words))


def _add_call(
    words: npt.NDArray[np.int64],
    x: npt.NDArray[np.generic],  # [units, elements per unit]
    output: npt.NDArray[np.generic],
    edges: Tensor,
) -> None:
    units, elements_per_unit = x.shape
    zeros = (output == 0).sum(axis=1)
    words[CALLS] += 1
    words[ELEMENTS] += x.size
    layout = CounterLayout(units, 1, max(edges.numel() - 1, 0))
    words[layout.zeros] += zeros
    words[layout.dead_calls] += zeros == elements_per_unit

    histogram = words[layout.histograms]
    if edges.numel() == 0:
        histogram[0] += np.isnan(x).sum()
        return
    places = find_slots(x, edges.double().cpu().numpy())
    if len(histogram) != layout.slots:
        places = places + layout.slots * np.arange(units)[:, None]
    histogram += np.bincount(places.ravel(), minlength=len(histogram))


def _by_unit(x: Tensor, unit_dim: int) -> npt.NDArray[np.generic]:
    values = numpy_of(x)
    if unit_dim == x.dim():
        return values.reshape(1, -1)
    return np.moveaxis(values, unit_dim, 0).reshape(x.size(unit_dim), -1)


def check(x: Tensor, counters: Tensor, edges: Tensor, unit_dim: int, binning: int) -> None:
    """Raises what csrc/checks.h raises, in the same words."""
    if not -x.dim() <= unit_dim <= x.dim():
        raise IndexError(
            f"counting_relu: unit_dim must be in [{-x.dim()}, {x.dim()}] "
            f"for a {x.dim()}-D input, got {unit_dim}"
        )
    if counters.dtype != torch.int64 or counters.dim() != 1 or not counters.is_contiguous():
        raise ValueError(
            "counting_relu: counters must be a contiguous 1-D int64 tensor, "
            f"got {counters.dim()}-D {counters.dtype}"
        )
    if edges.dtype != torch.float32 or edges.dim() != 1 or not edges.is_contiguous():
        raise ValueError(
            "counting_relu: edges must be a contiguous 1-D float32 tensor, "
            f"got {edges.dim()}-D {edges.dtype}"
        )
    if counters.device != x.device or edges.device != x.device:
        raise ValueError(
            "counting_relu: counters and edges must be on the input's device, "
            f"got input={x.device}, counters={counters.device}, edges={edges.device}"
        )
    if not BINNING_NONE <= binning <= BINNING_LOG:
        raise ValueError(
            "counting_relu: binning must be 0 (none), 1 (search), 2 (linear) or 3 (log), "
            f"got {binning}"
        )
    has_bins = binning != BINNING_NONE
    if (edges.numel() < 2) if has_bins else (edges.numel() > 0):
        raise ValueError(
            "counting_relu: edges must hold at least 2 values, or none without binning, "
            f"got {edges.numel()} with binning={binning}"
        )
    bins = edges.numel() - 1 if has_bins else 0
    if bins > MAX_BINS:
        raise ValueError(f"counting_relu: there can be at most {MAX_BINS} bins, got {bins}")
    if binning == BINNING_LOG and (bins < 4 or bins % 2):
        raise ValueError(
            f"counting_relu: log bins must be even in number and at least 4, got {bins}"
        )
    units = 1 if unit_dim == x.dim() else x.size(unit_dim)
    shared, apart = (CounterLayout(units, rows, bins).size for rows in (1, units))
    if counters.numel() != shared and counters.numel() != apart:
        raise ValueError(
            f"counting_relu: counters of {units} units and {bins} bins must hold {shared} words, "
            f"or with a histogram per unit {apart}, got {counters.numel()}"
        )


def activation_keys(units: int, salt: int) -> npt.NDArray[np.uint64]:
    """The key of each unit, as csrc/activation_key.h has them."""
    seed = _mix64(np.array([salt], np.int64).view(np.uint64))
    return _mix64(seed + np.arange(1, units + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _mix64(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def activation_hash(x: Tensor, salt: int) -> Tensor:
    """A hash of each sample's activation pattern: which of its elements are above 0. NaN is not.

    The XOR of the active units' keys (Zobrist, A new hashing method with application for game
    playing, 1970), which are numbers of a SplitMix64 generator. Were they independent and uniform,
    two distinct patterns would have the same hash with probability 2^-64, and any two of n with at
    most n^2 / 2^65; they are, as far as data is concerned that was not made to defy them. Hashes of
    parts of a pattern under salts of their own XOR to a hash of the whole, just as good.

    Args:
        x: float32, float64, bfloat16 or float16 [samples, ...], of any layout; a unit is a place
            in a sample, counted row by row.
        salt: chooses the keys.

    Returns:
        int64 [samples], the same bits on every device and for any split into batches.
    """
    check_activation_hash(x)
    shape = x.shape[0], math.prod(x.shape[1:])
    active = (x.detach().cpu() > 0).numpy().reshape(shape)
    keys = activation_keys(shape[1], salt)
    hashes = np.bitwise_xor.reduce(np.where(active, keys, np.uint64(0)), axis=1)
    return torch.from_numpy(hashes.view(np.int64)).to(x.device)


def check_activation_hash(x: Tensor) -> None:
    """Raises what csrc/activation_checks.h raises, in the same words."""
    if x.dim() == 0:
        raise ValueError("activation_hash: x must be [samples, ...], got a 0-D tensor")
    if x.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        raise TypeError(
            f"activation_hash: x must be float32, float64, bfloat16 or float16, got {x.dtype}"
        )
