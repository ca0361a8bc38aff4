"""Inputs of the activation hash."""

import torch
from oracle import nasty_values

NO_EDGES = torch.tensor([])


def samples(shape, dtype, device="cpu"):
    """Normal values; one in three is replaced by a nasty one."""
    x = torch.randn(shape, dtype=torch.float64).to(dtype)
    nasty = nasty_values(dtype, NO_EDGES)
    chosen = nasty[torch.randint(len(nasty), x.shape)]
    return torch.where(torch.rand(x.shape) < 1 / 3, chosen, x).to(device)
