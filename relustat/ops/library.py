"""Loads the compiled ops, and registers fake kernels and fallbacks with PyTorch."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from relustat import _extension

from . import reference
from .pool_geometry import PoolGeometry
from .reference import checks
from .reference.tensors import empty_like

# The same ops for plain inputs, called without the dispatcher's look-up: csrc/bindings.cpp.
without_dispatcher: Any = _extension.load()
build_info = without_dispatcher.build_info
cpu_capability = without_dispatcher.cpu_capability

KERNEL_DTYPES = frozenset({torch.float32, torch.float64, torch.bfloat16, torch.float16})

counting_relu: Any = torch.ops.relustat.counting_relu.default
counting_relu_: Any = torch.ops.relustat.counting_relu_.default
counting_activation: Any = torch.ops.relustat.counting_activation.default
counting_activation_: Any = torch.ops.relustat.counting_activation_.default
count_activation: Any = torch.ops.relustat.count_activation.default
activation_hash: Any = torch.ops.relustat.activation_hash.default
max_pool: Any = torch.ops.relustat.max_pool.default
relu_max_pool: Any = torch.ops.relustat.relu_max_pool.default
max_unpool: Any = torch.ops.relustat.max_unpool.default
max_unpool_backward: Any = torch.ops.relustat.max_unpool_backward.default


@torch.library.register_fake("relustat::counting_relu")
def _(x: Tensor, *arguments: Any, **options: Any) -> Tensor:
    checks.check_counting_relu(x, *arguments, **options)
    return torch.relu(x)


@torch.library.register_fake("relustat::counting_relu_")
def _(x: Tensor, *arguments: Any, **options: Any) -> None:
    checks.check_counting_relu(x, *arguments, **options)


@torch.library.register_fake("relustat::counting_activation")
def _(x: Tensor, *arguments: Any, **options: Any) -> Tensor:
    checks.check_counting_activation("counting_activation", x, *arguments, **options)
    return torch.relu(x)


@torch.library.register_fake("relustat::counting_activation_")
def _(x: Tensor, *arguments: Any, **options: Any) -> None:
    _check_without_slopes("counting_activation_", x, arguments, options)


@torch.library.register_fake("relustat::count_activation")
def _(x: Tensor, output: Tensor | None, *arguments: Any, **options: Any) -> None:
    beside = {"output": output, "is_computed": False}
    _check_without_slopes("count_activation", x, arguments, {**options, **beside})


def _check_without_slopes(
    op: str, x: Tensor, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    slopes = (None,)
    checks.check_counting_activation(op, x, *(*arguments[:7], *slopes, *arguments[7:]), **options)


@torch.library.register_fake("relustat::counting_relu_backward_")
def _(gradient: Tensor, output: Tensor) -> None:
    pass


@torch.library.register_fake("relustat::activation_hash")
def _(x: Tensor, salt: int) -> Tensor:  # noqa: ARG001
    checks.check_activation_hash(x)
    return x.new_empty(x.shape[0], dtype=torch.int64)


@torch.library.register_fake("relustat::max_pool")
def _(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    pooling = PoolGeometry(*arguments)
    windows = checks.check_pooled(f"max_pool{pooling.axes}d", x, pooling)
    return _pooled(x, pooling, windows)


@torch.library.register_fake("relustat::relu_max_pool")
def _(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    pooling = PoolGeometry(*arguments[6:])
    windows = checks.check_relu_max_pool(x, arguments[:6], pooling)
    return _pooled(torch.relu(x), pooling, windows)


def _pooled(x: Tensor, pooling: PoolGeometry, windows: Sequence[int]) -> tuple[Tensor, Tensor]:
    y = empty_like(x, (*x.shape[: -pooling.axes], *windows), pooling.axes)
    return y, torch.empty_like(y, dtype=pooling.offsets_dtype)


@torch.library.register_fake("relustat::max_unpool")
def _(y: Tensor, offsets: Tensor, input_size: Sequence[int], *arguments: Any) -> Tensor:
    pooling, overlap = PoolGeometry(*arguments[:5]), arguments[5]
    op = f"max_unpool{pooling.axes}d"
    checks.check_unpooled(op, y, offsets, pooling, input_size, overlap)
    return empty_like(y, (*y.shape[: -pooling.axes], *input_size), pooling.axes)


@torch.library.register_fake("relustat::max_unpool_backward")
def _(gradient: Tensor, y: Tensor | None, offsets: Tensor, *arguments: Any) -> Tensor:
    pooling, overlap = PoolGeometry(*arguments[:5]), arguments[5]
    op = f"max_unpool{pooling.axes}d's backward"
    checks.check_unpooled_backward(op, gradient, y, offsets, pooling, overlap)
    return empty_like(gradient, offsets.shape, pooling.axes)


_TO_GET_KERNELS = {
    "cuda": "for CUDA kernels build relustat with a CUDA build of PyTorch and nvcc at hand: "
    "`pip install --no-build-isolation --no-deps --force-reinstall .`",
}


@functools.cache
def _warn_no_kernel(device_type: str) -> None:
    how = _TO_GET_KERNELS.get(device_type, "`relustat info` lists the kernels")
    warnings.warn(
        f"relustat: this build has no kernel for {device_type}; the reference serves on the CPU, "
        f"which copies every input there ({how})",
        stacklevel=3,
    )


def _serving(function: Callable[..., Any]) -> Callable[..., Any]:
    def serve(x: Tensor, *arguments: Any) -> Any:
        _warn_no_kernel(x.device.type)
        return function(x, *arguments)

    return serve


# A kernel of the device takes precedence over these.
_library = torch.library.Library("relustat", "IMPL")
for _name in reference.__all__:
    _library.impl(_name, _serving(getattr(reference, _name)), "CompositeExplicitAutograd")
