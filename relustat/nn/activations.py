"""Modules that are ReLUs, and modules that stand where a ReLU might stand."""

from __future__ import annotations

import math

from torch import nn

OTHER_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Hardswish, nn.Hardtanh, nn.Softplus),
)
"""Modules that stand where a ReLU might stand. Gates, such as the sigmoid, do not."""


def computes_relu(module: nn.Module) -> bool:
    """Whether a module is a ReLU, also one of another class whose arguments make it one."""
    if isinstance(module, nn.Threshold):
        return bool(module.threshold == 0 == module.value)
    if isinstance(module, nn.Hardtanh):
        return bool(module.min_val == 0 and module.max_val == math.inf)
    if isinstance(module, nn.LeakyReLU):
        return bool(module.negative_slope == 0)
    return isinstance(module, nn.ReLU)


def other_activation(module: nn.Module) -> str:
    """The name of the activation that a module computes instead of a ReLU; empty if it is none."""
    if computes_relu(module):
        return ""
    return next((kind.__name__ for kind in OTHER_ACTIVATIONS if isinstance(module, kind)), "")
