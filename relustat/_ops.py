"""Loads the compiled ops and tells PyTorch what it needs to know of them."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from . import reference

try:
    from . import _C
except ImportError as error:
    raise ImportError(
        "relustat: the compiled extension is missing or was built for another PyTorch or Python "
        f"(this is PyTorch {torch.__version__}); build it again with "
        f"`pip install --no-build-isolation -e .` ({error})"
    ) from error

counting_relu: Any = torch.ops.relustat.counting_relu.default
counting_relu_: Any = torch.ops.relustat.counting_relu_.default


@torch.library.register_fake("relustat::counting_relu")
def _(x: Tensor, counters: Tensor, edges: Tensor, unit_dim: int, binning: int) -> Tensor:
    reference.check(x, counters, edges, unit_dim, binning)
    return torch.relu(x)


@torch.library.register_fake("relustat::counting_relu_")
def _(x: Tensor, counters: Tensor, edges: Tensor, unit_dim: int, binning: int) -> None:
    reference.check(x, counters, edges, unit_dim, binning)


@functools.cache
def _warn_no_kernel(device_type: str) -> None:
    warnings.warn(
        f"relustat: this build has no kernel for {device_type}; counting on the CPU instead, "
        "which copies every input there (`relustat info` lists the kernels)",
        stacklevel=3,
    )


def _fallback(x: Tensor, counters: Tensor, edges: Tensor, unit_dim: int, binning: int) -> Tensor:
    _warn_no_kernel(x.device.type)
    return reference.counting_relu(x, counters, edges, unit_dim, binning)


def _fallback_(x: Tensor, counters: Tensor, edges: Tensor, unit_dim: int, binning: int) -> None:
    _warn_no_kernel(x.device.type)
    reference.counting_relu_(x, counters, edges, unit_dim, binning)


# A device's own kernel comes before this one.
_library = torch.library.Library("relustat", "IMPL")
_library.impl("counting_relu", _fallback, "CompositeExplicitAutograd")
_library.impl("counting_relu_", _fallback_, "CompositeExplicitAutograd")

build_info = _C.build_info
cpu_capability = _C.cpu_capability
