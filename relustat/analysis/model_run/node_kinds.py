"""Kinds of autograd nodes: which of them are affine, and by which rule they need their inputs.

One table for both questions: a new PyTorch function is a name in one of its rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.autograd.graph import Node

_NAME = re.compile(r"(?:.*::)?(\w+?)(?:Backward(?:\d+|s)?)?>?")


class NodeKind(NamedTuple):
    """What is known of a kind of nodes.

    Attributes:
        rule: how a part of the output leads to a part of an input: a name in
            :mod:`relustat.analysis.receptive_fields.input_boxes`, or "" if there is no rule.
        is_affine: whether a node is affine in those of its inputs, by number, that are asked for.
    """

    rule: str
    is_affine: Callable[[Any, Sequence[int]], bool]


def _always(node: Any, inputs: Sequence[int]) -> bool:  # noqa: ARG001
    return True


def _never(node: Any, inputs: Sequence[int]) -> bool:  # noqa: ARG001
    return False


def _in_one(node: Any, inputs: Sequence[int]) -> bool:  # noqa: ARG001
    """A product of two factors that both depend on the input is not affine."""
    return len(inputs) == 1


def _in_first(node: Any, inputs: Sequence[int]) -> bool:  # noqa: ARG001
    return list(inputs) == [0]


def _of_added_product(node: Any, inputs: Sequence[int]) -> bool:  # noqa: ARG001
    """Bias + matrix @ matrix."""
    return not {1, 2} <= set(inputs)


def _of_lerp(node: Any, inputs: Sequence[int]) -> bool:  # noqa: ARG001
    """Start + weight * (end - start)."""
    return 2 not in inputs


def _of_batch_norm(node: Any, inputs: Sequence[int]) -> bool:  # noqa: ARG001
    """In training, the statistics are the batch's."""
    return not node._saved_training


_TABLE = (
    # Values, one by one. Masks and positions are not in the graph.
    ("Add Alias Clone Expand MaskedFill Neg Rsub Sub ToCopy Where", "elementwise", _always),
    ("Mul", "elementwise", _in_one),
    ("Div", "elementwise", _in_first),
    ("Lerp", "elementwise", _of_lerp),
    ("Abs Addcdiv Addcmul Clamp ClampMax ClampMin CountingRelu Elu Erf Exp", "elementwise", _never),
    ("Gelu Hardsigmoid Hardswish Hardtanh LeakyRelu Log LogSigmoid", "elementwise", _never),
    ("Maximum Minimum Mish NativeDropout Pow PreluKernel Reciprocal", "elementwise", _never),
    ("Relu Rsqrt Sigmoid Silu Softplus Sqrt Tanh Threshold", "elementwise", _never),
    # Values of a whole dimension, or of several.
    ("CudnnBatchNorm NativeBatchNorm", "batch norm", _of_batch_norm),
    ("MiopenBatchNorm", "", _of_batch_norm),
    ("NativeLayerNorm", "layer norm", _never),
    ("NativeGroupNorm", "group norm", _never),
    ("Glu", "gated", _never),
    ("Softmax LogSoftmax", "softmax", _never),
    ("Mean Sum", "reduction", _always),
    ("Amax Amin LinalgVectorNorm Logsumexp Max Min Std Var", "reduction", _never),
    ("Bmm Mm", "matrix product", _in_one),
    ("Baddbmm", "added matrix product", _in_one),
    ("Addmm", "added matrix product", _of_added_product),
    ("Addmv", "", _of_added_product),
    ("Dot Linear Mv", "", _in_one),
    # Views and copies.
    ("ReshapeAlias Squeeze UnsafeView Unsqueeze View", "reshape", _always),
    ("Permute", "permute", _always),
    ("Transpose", "transpose", _always),
    ("T", "reverse", _always),
    ("Cat", "cat", _always),
    ("Stack", "stack", _always),
    ("Slice", "slice", _always),
    ("Select", "select", _always),
    ("Unbind", "unbind", _always),
    ("IndexSelect", "index select", _always),
    ("Split SplitWithSizes", "split", _always),
    ("Repeat", "repeat", _always),
    ("Flip", "flip", _always),
    ("Roll", "roll", _always),
    ("AsStrided ChannelShuffle Col2Im Copy Cumsum Diagonal Gather Im2Col Index", "", _always),
    ("MaxUnpool2D MaxUnpool3D Rot90 Tril Triu", "", _always),
    # Windows.
    ("Convolution", "convolution", _in_one),
    ("MaxPool MaxPool2DWithIndices MaxPool3DWithIndices", "pool", _never),
    ("AvgPool2D AvgPool3D", "pool", _always),
    ("AdaptiveAvgPool2D AdaptiveAvgPool3D", "adaptive pool", _always),
    ("AdaptiveMaxPool2D AdaptiveMaxPool3D", "adaptive pool", _never),
    ("ConstantPadNd ReflectionPad1D ReflectionPad2D ReflectionPad3D", "pad", _always),
    ("ReplicationPad1D ReplicationPad2D ReplicationPad3D", "pad", _always),
    ("UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D", "upsample", _always),
    ("UpsampleNearestExact1D UpsampleNearestExact2D UpsampleNearestExact3D", "upsample", _always),
    ("UpsampleLinear1D UpsampleBilinear2D UpsampleTrilinear3D", "upsample", _always),
    ("UpsampleBicubic2D", "upsample", _always),
    ("UpsampleBicubic2DAa UpsampleBilinear2DAa", "", _always),
    ("PixelShuffle", "pixel shuffle", _always),
    ("PixelUnshuffle", "pixel unshuffle", _always),
    ("Unfold", "unfold", _always),
    ("GridSampler2D GridSampler3D", "", _in_first),
)
_KINDS = {name: NodeKind(rule, affine) for names, rule, affine in _TABLE for name in names.split()}
_UNKNOWN = NodeKind("", _never)


def kind_of(node: Node) -> str:
    """The function that a node belongs to: "Convolution" for "ConvolutionBackward0"."""
    match = _NAME.fullmatch(node.name())
    return match[1] if match else node.name()


def look_up(node: Any) -> NodeKind:
    """What is known of a node; nothing of functions written in Python, whatever their names."""
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        return _UNKNOWN
    return _KINDS.get(kind_of(node), _UNKNOWN)
