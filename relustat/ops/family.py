"""The family of ReLU: its members, and what each makes of an input.

csrc/relu/family.h is the same for the kernels. docs/activations.md says what is counted of each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat.stats.activation import RELU, Activation

# csrc/relu/family.h
CLAMP, SLOPE, THRESHOLD, SQUARE, NEAR_ZERO = range(1, 6)


class Member(NamedTuple):
    """An activation, and how an op computes and counts it.

    Attributes:
        activation: what its counts mean.
        kind: ``CLAMP``, ``SLOPE``, ``THRESHOLD``, ``SQUARE`` or ``NEAR_ZERO``.
        first, second: the two numbers of its kind.
        is_fused: whether an op computes it; else it is counted beside its call.
    """

    activation: Activation
    kind: int
    first: float = 0.0
    second: float = 0.0
    is_fused: bool = True


def hardtanh(lower: float = -1.0, upper: float = 1.0) -> Member:
    """``min(max(x, lower), upper)``. From 0 to 6 it is ReLU6.

    Raises:
        ValueError: if ``lower`` is not below ``upper``.

    Example:
        >>> from relustat.ops import family
        >>> family.hardtanh(0.0, 6.0).activation.name
        'ReLU6'
    """
    name = "ReLU6" if lower == 0 and upper == 6 else "Hardtanh"
    activation = Activation(name, float(lower), float(upper), None, lower == 0)
    activation.check()
    return Member(activation, CLAMP, float(lower), float(upper))


def relu6() -> Member:
    """``min(max(x, 0), 6)``."""
    return hardtanh(0.0, 6.0)


def leaky_relu(slope: float = 0.01) -> Member:
    """``x`` above 0, else ``slope * x``.

    Raises:
        ValueError: if the slope is not finite.

    Example:
        >>> from relustat.ops import family
        >>> family.leaky_relu(0.1).activation.inactive_inputs
        'input <= 0'
    """
    if not math.isfinite(slope):
        raise ValueError(f"LeakyReLU: the slope must be finite, got {slope}")
    return Member(Activation("LeakyReLU"), SLOPE, float(slope))


def prelu() -> Member:
    """``x`` above 0, else ``slope * x``, with slopes that are learnt."""
    return Member(Activation("PReLU"), SLOPE)


PRELU = prelu()


def rrelu() -> Member:
    """``x`` above 0, else ``slope * x``, with slopes that are drawn in each call."""
    return Member(Activation("RReLU"), SLOPE, is_fused=False)


def threshold(threshold: float, value: float) -> Member:
    """``x`` above the threshold, else ``value``.

    Raises:
        ValueError: if one of the two is NaN.

    Example:
        >>> from relustat.ops import family
        >>> family.threshold(1.0, 0.0).activation.inactive_inputs
        'input <= 1'
    """
    if math.isnan(threshold) or math.isnan(value):
        raise ValueError(
            f"Threshold: the threshold and the value must be numbers, got {threshold} and {value}"
        )
    activation = Activation("Threshold", float(threshold), None, None, value == 0)
    return Member(activation, THRESHOLD, float(threshold), float(value))


def squared_relu() -> Member:
    """``relu(x) ** 2``."""
    return Member(Activation("SquaredReLU", gives_zero=True), SQUARE)


def smooth(name: str, near_zero: float) -> Member:
    """An activation without a knee. Its inactive inputs are those whose output is near 0.

    Raises:
        ValueError: if ``near_zero`` is below 0.

    Example:
        >>> from relustat.ops import family
        >>> family.smooth("GELU", 1e-3).activation.inactive_inputs
        '|output| <= 0.001'
    """
    activation = Activation(name, near_zero=float(near_zero))
    activation.check()
    return Member(activation, NEAR_ZERO, float(near_zero), is_fused=False)


def of_op(kind: int, first: float, second: float, has_slopes: bool) -> Member:
    """The member that an op computes with these arguments."""
    if kind == CLAMP:
        return hardtanh(first, second)
    if kind == THRESHOLD:
        return threshold(first, second)
    if kind == SQUARE:
        return squared_relu()
    return prelu() if has_slopes else leaky_relu(first)


def counted_as(activation: Activation) -> Member | None:
    """How calls of an activation that are computed elsewhere are counted; None: as a ReLU."""
    if activation == RELU:
        return None
    if activation.near_zero is not None:
        return smooth(activation.name, activation.near_zero)
    if activation.upper is not None:
        return Member(activation, CLAMP, activation.lower, activation.upper)
    # Slopes and outputs do not matter.
    return Member(activation, THRESHOLD, activation.lower, is_fused=False)


def computed(member: Member, x: Tensor, slopes: Tensor | None, inplace: bool) -> Tensor:
    """What PyTorch gives; ``slopes`` are those of PReLU, which has no form in place."""
    kind, first, second = member.kind, member.first, member.second
    if kind == CLAMP:
        return F.hardtanh(x, first, second, inplace)
    if kind == THRESHOLD:
        return F.threshold(x, first, second, inplace)
    if kind == SQUARE:
        squared = F.relu(x).square()
        return x.copy_(squared) if inplace else squared
    if slopes is not None:
        return torch.prelu(x, slopes)
    return F.leaky_relu(x, first, inplace)


inline_all_in_graph(globals())
