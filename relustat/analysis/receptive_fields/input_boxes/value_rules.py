"""What operations that compute with values need of their inputs, but for windows."""

from __future__ import annotations

from .need import Need, Rule
from .regions import Axis, Region, whole

_ELEMENTWISE = [
    "Abs",
    "Add",
    "Addcdiv",
    "Addcmul",
    "Alias",
    "Clamp",
    "ClampMax",
    "ClampMin",
    "Clone",
    "CountingRelu",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Gelu",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyRelu",
    "Lerp",
    "Log",
    "LogSigmoid",
    "MaskedFill",
    "Maximum",
    "Minimum",
    "Mish",
    "Mul",
    "NativeDropout",
    "Neg",
    "Pow",
    "PreluKernel",
    "Reciprocal",
    "Relu",
    "Rsqrt",
    "Rsub",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
    "Threshold",
    "ToCopy",
    "Where",
]


def _elementwise(need: Need) -> Region:
    """By the rules of broadcasting."""
    kept = need.wanted[len(need.wanted) - len(need.shape) :]
    return tuple(
        Axis.whole(1) if size == 1 != axis.size else axis
        for axis, size in zip(kept, need.shape, strict=True)
    )


def _batch_norm(need: Need) -> Region | None:
    if need.into != 0:
        return None
    if not need.saved("training"):
        return need.wanted
    return need.with_whole(dim for dim in range(len(need.wanted)) if dim != 1)


def _layer_norm(need: Need) -> Region | None:
    if need.into != 0:
        return None
    return need.with_whole(range(-len(need.saved("normalized_shape")), 0))


def _group_norm(need: Need) -> Region | None:
    if need.into != 0:
        return None
    batch, channels, *places = need.wanted
    groups = channels.in_groups(channels.size, need.saved("group"))
    return (batch, groups, *whole([axis.size for axis in places]))


def _glu(need: Need) -> Region:
    dim = need.saved("dim") % len(need.shape)
    half = need.wanted[dim].size
    both = (index + start for index in need.wanted[dim].flat for start in (0, half))
    return (*need.wanted[:dim], Axis.of(need.shape[dim], both), *need.wanted[dim + 1 :])


def _softmax(need: Need) -> Region:
    return need.with_whole([need.saved("dim")])


def _reduction(need: Need) -> Region:
    dims = need.saved("dim")
    dims = [dims] if isinstance(dims, int) else dims or range(len(need.shape))
    gone = {dim % len(need.shape) for dim in dims}
    wanted = iter(need.wanted)
    axes = []
    for dim, size in enumerate(need.shape):
        axis = next(wanted) if dim not in gone or need.saved("keepdim") else None
        axes.append(Axis.whole(size) if dim in gone or axis is None else axis)
    return tuple(axes)


def _matrix_product(need: Need) -> Region:
    is_added_to = need.name in {"Addmm", "Baddbmm"}
    if is_added_to and need.into == 0:
        return _elementwise(need)
    *batch, rows, columns = need.wanted
    if need.into == int(is_added_to):
        return (*batch, rows, Axis.whole(need.shape[-1]))
    return (*batch, Axis.whole(need.shape[-2]), columns)


RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    "NativeBatchNorm": _batch_norm,
    "CudnnBatchNorm": _batch_norm,
    "NativeLayerNorm": _layer_norm,
    "NativeGroupNorm": _group_norm,
    "Glu": _glu,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Mean": _reduction,
    "Sum": _reduction,
    "Amax": _reduction,
    "Amin": _reduction,
    "Max": _reduction,
    "Min": _reduction,
    "Var": _reduction,
    "Std": _reduction,
    "LinalgVectorNorm": _reduction,
    "Logsumexp": _reduction,
    "Mm": _matrix_product,
    "Bmm": _matrix_product,
    "Addmm": _matrix_product,
    "Baddbmm": _matrix_product,
}
