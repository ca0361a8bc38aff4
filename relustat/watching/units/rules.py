"""The unit dimensions of what a torch call returns, as far as its name says them.

What is in neither table is asked: see :mod:`relustat.watching.units.moved`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import builtin_functional, is_aten_op, overloads
from relustat.ops import library

aten: Any = torch.ops.aten

UnitDims = tuple[int, ...]
"""The dimensions whose indices are the units, in ascending order; ``()``: all is one unit."""

Rule = Callable[[Tensor, UnitDims | None, tuple[Any, ...], Mapping[str, Any]], UnitDims]
"""From the output, the dimensions of the input if they are known, and the arguments."""


def _channels_before(spatial: int) -> Rule:
    """Of a convolution: the channels lie before the spatial dimensions, batched or not."""
    return lambda output, _known, _args, _kwargs: (output.dim() - 1 - spatial,)


def _last(output: Tensor, *_: Any) -> UnitDims:
    return (output.dim() - 1,)


def _after_batch(output: Tensor, *_: Any) -> UnitDims:
    return (min(1, output.dim() - 1),)


def _known_or_after_batch(output: Tensor, known: UnitDims | None, *_: Any) -> UnitDims:
    return _after_batch(output) if known is None else known


def _known_or_normalised(
    output: Tensor, known: UnitDims | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> UnitDims:
    """Of layer norm: else the first dimension that it normalises."""
    if known is not None:
        return known
    normalised = args[1] if len(args) > 1 else kwargs["normalized_shape"]
    return (output.dim() - len(normalised),)


def _functions(names: str, *homes: object) -> set[Any]:
    """The functions of these names, and of their in-place forms, in any of ``homes``."""
    found = {
        getattr(home, spelling, None)
        for home in homes
        for name in names.split()
        for spelling in (name, f"{name}_")
    }
    return found.union(*map(overloads, filter(is_aten_op, found))) - {None}


def _rules(rule: Rule, names: str) -> dict[Any, Rule]:
    return dict.fromkeys(_functions(names, torch, F, aten), rule)


_RECURRENT = "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"

LAYERS: dict[Any, Rule] = {
    **_rules(_channels_before(1), "conv1d conv_transpose1d"),
    **_rules(_channels_before(2), "conv2d conv_transpose2d"),
    **_rules(_channels_before(3), "conv3d conv_transpose3d"),
    **_rules(
        _last,
        "linear bilinear embedding embedding_bag conv_tbc multi_head_attention_forward "
        + _RECURRENT,
    ),
    **_rules(_after_batch, "batch_norm instance_norm"),
    **_rules(_known_or_after_batch, "group_norm native_group_norm"),
    **_rules(_known_or_normalised, "layer_norm rms_norm native_layer_norm"),
    # In graphs of ATen's ops, batches are never missing.
    **_rules(_after_batch, "convolution native_batch_norm _native_batch_norm_legit_no_training"),
}
"""Layers: their weights say which dimension the units are."""

RECURRENT: frozenset[Any] = frozenset(_functions(_RECURRENT, torch, aten))
"""Layers all of whose outputs have the units: the states, too."""

# Arithmetic on each element, and what changes the length of a dimension but not its position.
_ARITHMETIC = """
    abs absolute add addcdiv addcmul celu clamp clamp_max clamp_min clip contiguous clone copysign
    cumsum detach div divide double elu erf exp expm1 float float_power fmax fmin floor gelu ge gt
    half hardshrink hardsigmoid hardswish hardtanh le leaky_relu lerp log log1p log2 logit
    logsigmoid log_softmax lt maximum minimum mish mul multiply masked_fill ne neg pow prelu relu
    relu6 remainder reciprocal round rrelu rsqrt rsub selu sigmoid sign silu sin cos tan softmax
    softmin softplus softshrink softsign sqrt square sub subtract tanh tanhshrink threshold
    true_divide to type type_as bfloat16 where nan_to_num
    dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout
    normalize local_response_norm gumbel_softmax
    __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__
    __rtruediv__ __itruediv__ __pow__ __rpow__ __neg__ __abs__ __ge__ __gt__ __le__ __lt__ __mod__
    cpu cuda requires_grad
"""
_RESIZING = (
    "pad interpolate upsample upsample_nearest upsample_bilinear grid_sample roll flip "
    "pixel_shuffle pixel_unshuffle channel_shuffle"
)

KEEPING: frozenset[Any] = frozenset(
    {
        *_functions(_ARITHMETIC, torch, Tensor, F, builtin_functional),
        Tensor.data.__get__,  # type: ignore[attr-defined]
        Tensor.real.__get__,  # type: ignore[attr-defined]
    }
)
"""Functions that leave each dimension where it is, counted from the last one."""

_POOLING = " ".join(
    f"{name}{dims}d"
    for name in (
        *("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "lp_pool"),
        *("fractional_max_pool", "max_unpool"),
    )
    for dims in (1, 2, 3)
)

KEEPING_FIRST: frozenset[Any] = frozenset(
    {
        *_functions(_RESIZING, torch, Tensor, F, builtin_functional),
        *_functions(_POOLING, torch, F),
        *_functions("to type type_as prelu masked_fill", torch, Tensor, F),
        *(library.max_pool, library.max_unpool),
    }
)
"""Functions that leave each dimension of their first tensor where it is. Others only steer them."""

JOINING: frozenset[Any] = frozenset(_functions("cat concat concatenate", torch))
STACKING: frozenset[Any] = frozenset(_functions("stack", torch))

MATRIX_PRODUCTS: dict[Any, tuple[int, int]] = {
    **dict.fromkeys(
        _functions("matmul mm bmm __matmul__", torch, Tensor, torch.linalg, aten), (0, 1)
    ),
    **dict.fromkeys(_functions("addmm baddbmm addbmm", torch, Tensor, aten), (1, 2)),
}
"""Products of matrices, and the positions of the two among the arguments."""

CONTRACTING: frozenset[Any] = frozenset(
    {
        *_functions(
            "matmul mm bmm addmm addbmm baddbmm einsum tensordot chain_matmul inner outer kron "
            "__matmul__ __rmatmul__ mv dot scaled_dot_product_attention",
            *(torch, Tensor, F),
        ),
        *_functions("matmul multi_dot", torch.linalg),
    }
)
"""Products: an output of an input's shape need not have its dimensions."""


inline_all_in_graph(globals())
