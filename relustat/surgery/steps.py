"""What one call does to units: the layers, ReLUs, pools and views that are known.

All else is refused. So a kind that is missing here costs an answer, and gives no wrong one.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from relustat.nn.counting_activations import CountingReLU6
from relustat.nn.counting_relu import CountingReLU
from relustat.nn.relu_max_pool import ReLUMaxPool1d, ReLUMaxPool2d, ReLUMaxPool3d
from relustat.watching.relu_calls import find_relu_call

from .calls_of_modules import function_of

# By the number of axes that a layer works on, besides batch and units.
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_RELU_POOLS = ((), ReLUMaxPool1d, ReLUMaxPool2d, ReLUMaxPool3d)
_RELUS = (nn.ReLU, nn.ReLU6, CountingReLU, CountingReLU6)
_SAME = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_SAME_FUNCTIONS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, Tensor.contiguous}
# Of a unit that is 0 everywhere they give 0.
_KINDS_OF_POOLS = ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool")
_POOLS: list[tuple[type[nn.Module], ...]] = [
    tuple(getattr(nn, f"{kind}{axes}d") for kind in _KINDS_OF_POOLS if axes) for axes in range(4)
]
_NAMES_OF_POOLS = ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool")
_POOL_FUNCTIONS: list[set[Any]] = [
    {getattr(F, f"{name}{axes}d") for name in _NAMES_OF_POOLS if axes}
    | ({getattr(torch, f"max_pool{axes}d")} if axes else set())
    for axes in range(4)
]


def axes_of(layer: nn.Module) -> int | None:
    """The number of axes that a layer works on, 0 of a linear one; None: it is not known."""
    return next((axes for axes, kind in enumerate(LAYERS) if isinstance(layer, kind)), None)


def outputs_of(layer: Any) -> int:
    units: int = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    return units


def is_norm(module: Any, axes: int, units: int) -> bool:
    return isinstance(module, _NORMS[axes]) and module.num_features == units


def is_relu(node: fx.Node, module: Any, axes: int) -> bool:
    if module is not None:
        return isinstance(module, (_RELUS, _RELU_POOLS[axes]))
    function = function_of(node)
    if function is F.relu6:
        return True
    return function is not None and find_relu_call(function, node.args, node.kwargs) is not None


def is_same(node: fx.Node, module: Any) -> bool:
    """Whether units stay what they are."""
    return isinstance(module, _SAME) or function_of(node) in _SAME_FUNCTIONS


def is_pool(node: fx.Node, module: Any, axes: int) -> bool:
    return isinstance(module, _POOLS[axes]) or function_of(node) in _POOL_FUNCTIONS[axes]


def is_shape(node: fx.Node) -> bool:
    """Whether a call asks for sizes alone."""
    if function_of(node) is getattr:
        return node.args[1] in ("shape", "ndim", "device", "dtype")
    return function_of(node) in (Tensor.size, Tensor.dim)


def flattens(node: fx.Node, module: Any, of_batch: set[fx.Node]) -> bool:
    """Whether all dimensions but the first become one.

    Args:
        node, module: the call.
        of_batch: the tensors that have the same first dimension as the one that is flattened.
    """
    if isinstance(module, nn.Flatten):
        return module.start_dim == 1 and module.end_dim == -1
    function = function_of(node)
    if function in (torch.flatten, Tensor.flatten):
        dims = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | dict(node.kwargs)
        return [dims.get("start_dim", 0), dims.get("end_dim", -1)] == [1, -1]
    if function not in (torch.reshape, Tensor.view, Tensor.reshape):
        return False
    sizes: Any = node.args[1:]
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    return len(sizes) == 2 and sizes[1] == -1 and _first_size_of(sizes[0]) in of_batch


def _first_size_of(size: Any) -> Any:
    """The tensor of whose first dimension a number is the size, or None."""
    if not isinstance(size, fx.Node):
        return None
    if function_of(size) is Tensor.size:
        return size.args[0] if size.args[1:] == (0,) else None
    if function_of(size) is not operator.getitem or size.args[1] != 0:
        return None
    sizes: Any = size.args[0]
    is_shape = function_of(sizes) is getattr and sizes.args[1] == "shape"
    is_size = function_of(sizes) is Tensor.size and len(sizes.args) == 1
    return sizes.args[0] if is_shape or is_size else None
