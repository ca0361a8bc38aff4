"""The relatives of ReLU: PyTorch's modules, ours, and by NumPy alone what ours must count."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from oracle import numpy_of
from torch import nn

import relustat


class SquaredReLU(nn.Module):
    def forward(self, x):
        return torch.square(F.relu(x))


class InPlaceSquaredReLU(nn.Module):
    def forward(self, x):
        return x.copy_(F.relu(x).square())


class FusedCase(NamedTuple):
    """PyTorch's module, ours, and the two knees; the upper one may be missing."""

    plain: nn.Module
    counting: type
    arguments: tuple
    lower: float = 0.0
    upper: float | None = None

    def made(self, **options):
        return self.counting(*self.arguments, **options)


FUSED = {
    "relu6": FusedCase(nn.ReLU6(), relustat.CountingReLU6, (), 0.0, 6.0),
    "hardtanh": FusedCase(nn.Hardtanh(), relustat.CountingHardtanh, (), -1.0, 1.0),
    # Numbers that 16 bits round, and knees of one sign.
    "odd-hardtanh": FusedCase(
        nn.Hardtanh(0.3, 0.7), relustat.CountingHardtanh, (0.3, 0.7), 0.3, 0.7
    ),
    "leaky": FusedCase(nn.LeakyReLU(), relustat.CountingLeakyReLU, ()),
    "steep-leaky": FusedCase(nn.LeakyReLU(1.7), relustat.CountingLeakyReLU, (1.7,)),
    "negative-leaky": FusedCase(nn.LeakyReLU(-0.3), relustat.CountingLeakyReLU, (-0.3,)),
    "threshold": FusedCase(nn.Threshold(0.3, -0.7), relustat.CountingThreshold, (0.3, -0.7), 0.3),
    "high-threshold": FusedCase(nn.Threshold(1, 20.0), relustat.CountingThreshold, (1, 20.0), 1.0),
    "thresholded-relu": FusedCase(nn.Threshold(1, 0), relustat.CountingThreshold, (1, 0), 1.0),
    "squared": FusedCase(SquaredReLU(), relustat.CountingSquaredReLU, ()),
}
IN_PLACE = {
    "relu6": FusedCase(nn.ReLU6(True), relustat.CountingReLU6, (True,), 0.0, 6.0),
    "hardtanh": FusedCase(
        nn.Hardtanh(-1, 1, True), relustat.CountingHardtanh, (-1, 1, True), -1, 1
    ),
    "leaky": FusedCase(nn.LeakyReLU(0.1, True), relustat.CountingLeakyReLU, (0.1, True)),
    "threshold": FusedCase(
        nn.Threshold(0.3, 0.9, True), relustat.CountingThreshold, (0.3, 0.9, True), 0.3
    ),
    "squared": FusedCase(InPlaceSquaredReLU(), relustat.CountingSquaredReLU, (True,)),
}
SMOOTH = {
    "GELU": nn.GELU(),
    "SiLU": nn.SiLU(),
    "Mish": nn.Mish(),
    "Hardswish": nn.Hardswish(),
    "Hardsigmoid": nn.Hardsigmoid(),
    "ELU": nn.ELU(),
    "CELU": nn.CELU(),
    "SELU": nn.SELU(),
    "Softplus": nn.Softplus(),
    "Sigmoid": nn.Sigmoid(),
    "Tanh": nn.Tanh(),
}


def knee_in(dtype, knee, *, is_rounded):
    """A knee as PyTorch compares with it: of hardtanh in the input's type, else in float32."""
    if is_rounded:
        return torch.tensor(knee, dtype=dtype).double().item()
    return knee if dtype == torch.float64 else float(np.float32(knee))


def by_unit(x, unit_dim):
    values = numpy_of(x)
    return np.moveaxis(values, unit_dim, 0).reshape(values.shape[unit_dim], -1)


@np.errstate(invalid="ignore")
def assert_activity(stats, inactive, saturated, kept=None, calls=1):
    """The counts of units, exactly.

    Args:
        stats: of ``calls`` calls.
        inactive: bool [units, elements].
        saturated: the same, or None.
        kept: bool [elements], or None.
        calls: of the same input.
    """
    kept = np.ones(inactive.shape[1], dtype=bool) if kept is None else kept
    per_unit = (inactive & kept).sum(axis=1)
    assert stats.calls == calls
    assert stats.elements == calls * inactive.shape[0] * kept.sum()
    assert stats.unit_inactive.tolist() == (calls * per_unit).tolist()
    assert stats.inactive == calls * per_unit.sum()
    assert stats.unit_dead_calls.tolist() == (calls * (per_unit == kept.sum())).tolist()
    if saturated is None:
        assert stats.saturated is None
        assert stats.unit_saturated is None
    else:
        expected = calls * (saturated & kept).sum(axis=1)
        assert stats.unit_saturated.tolist() == expected.tolist()
        assert stats.saturated == expected.sum()


@np.errstate(invalid="ignore")
def activity_of(case, x, unit_dim):
    """Which elements of each unit are inactive and saturated: bool [units, elements] or None."""
    values = by_unit(x, unit_dim)
    saturates = case.upper is not None
    # On GPUs PyTorch rounds thresholds, too.
    inactive = values <= knee_in(x.dtype, case.lower, is_rounded=saturates or x.is_cuda)
    if not saturates:
        return inactive, None
    return inactive, values >= knee_in(x.dtype, case.upper, is_rounded=True)
