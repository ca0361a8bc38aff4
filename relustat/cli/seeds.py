"""Random numbers that are the same in every process and every run."""

from __future__ import annotations

import random

import numpy as np
import torch


def mixed(seed: int, number: int) -> int:
    """A seed that shares nothing with those of other seeds and numbers."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def set_seeds(seed: int) -> None:
    """Sets the seeds of Python, NumPy and PyTorch; 0 to 2**64 - 1."""
    random.seed(seed)
    np.random.seed([seed % 2**32, seed // 2**32])  # noqa: NPY002  what users' code draws from
    torch.manual_seed(seed)
