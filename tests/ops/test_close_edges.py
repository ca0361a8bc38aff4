"""Bins whose edges are so close that their floats differ in the lower half only."""

import numpy as np
import pytest
import torch
from oracle import assert_counts

from relustat import EdgeBins
from relustat.functional import relu_stats


@pytest.mark.parametrize("sides", ["below", "above", "both"])
@pytest.mark.parametrize("shared", range(1, 6))
def test_edges_that_share_the_upper_half_of_a_float(device, shared, sides):
    close = 1 + np.arange(shared, dtype=np.float32) * np.float32(2.0**-20)
    parts = {"below": [-close[::-1]], "above": [close], "both": [-close[::-1], [0], close]}
    edges = np.concatenate([*parts[sides], [7]]).astype(np.float32)
    x = 2 * torch.randn(200_000, device=device)
    around = np.concatenate([np.nextafter(edges, -9), edges, np.nextafter(edges, 9)])
    x[: len(around) * 100] = torch.from_numpy(np.tile(around.astype(np.float32), 100)).to(device)
    x[-128:] = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0] * 32, device=device)
    x = x.view(1, -1)
    _, stats = relu_stats(x, EdgeBins(edges), unit_dim=0)
    assert_counts(stats, x, EdgeBins(edges), unit_dim=0)


@pytest.mark.parametrize("below", range(5))
def test_negative_zero_beside_edges_just_below_zero(device, below):
    edges = np.float32([*(-1e-42 * np.arange(below, 0, -1)), 0, 1])
    x = torch.tensor([-0.0, 0.0, -1e-45, 0.5], device=device).repeat(50_000).view(1, -1)
    _, stats = relu_stats(x, EdgeBins(edges), unit_dim=0)
    assert_counts(stats, x, EdgeBins(edges), unit_dim=0)
