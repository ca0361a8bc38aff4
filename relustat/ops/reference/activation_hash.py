"""The hash of activation patterns, in NumPy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .checks import check_activation_hash


def activation_keys(units: int, salt: int) -> npt.NDArray[np.uint64]:
    """The key of each unit, as in csrc/activation/key.h."""
    seed = _mix64(np.array([salt], np.int64).view(np.uint64))
    return _mix64(seed + np.arange(1, units + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _mix64(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def activation_hash(x: Tensor, salt: int) -> Tensor:
    """A hash of each sample's activation pattern: the set of its elements above 0, without NaNs.

    It is the XOR of the active units' keys (Zobrist, A new hashing method with application for game
    playing, 1970). The keys are numbers of a SplitMix64 generator. If they were independent and
    uniform, two distinct patterns would have the same hash with probability 2^-64, and any two of
    n patterns with at most n^2 / 2^65. This holds for data that was not made to break the hash. If
    parts of a pattern are hashed with salts of their own, the XOR of the hashes is as good a hash
    of the whole.

    Args:
        x: float32, float64, bfloat16 or float16 [samples, ...], of any layout; a unit is a
            position in a sample, counted row by row.
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
