"""Which autograd nodes are of affine functions, and so have a transpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.autograd.graph import Node

# Affine in what they are given, whatever it is. Masks and places are not in the graph.
_AFFINE = frozenset(
    {
        *("Add", "Neg", "Rsub", "Sub", "Sum", "Mean", "Cumsum", "Where", "MaskedFill"),
        *("Cat", "Stack", "Split", "SplitWithSizes", "Unbind", "ConstantPadNd"),
        *("Diagonal", "Gather", "Index", "IndexSelect", "Select", "Slice", "Tril", "Triu"),
        *("Alias", "AsStrided", "Clone", "Copy", "ToCopy", "ReshapeAlias", "UnsafeView", "View"),
        *("Expand", "Flip", "Permute", "Repeat", "Roll", "Rot90", "Squeeze", "T", "Transpose"),
        *(
            "ChannelShuffle",
            "Col2Im",
            "Im2Col",
            "MaxUnpool2D",
            "MaxUnpool3D",
            "Unfold",
            "Unsqueeze",
        ),
    }
)
_AFFINE_FAMILIES = (
    *("AdaptiveAvgPool", "AvgPool", "Upsample"),
    *("PixelShuffle", "PixelUnshuffle", "ReflectionPad", "ReplicationPad"),
)
# Affine in each factor; a product of two that both depend on the input is not.
_PRODUCTS = frozenset({"Baddbmm", "Bmm", "Convolution", "Dot", "Linear", "Mm", "Mul", "Mv"})
_BATCH_NORMS = frozenset({"NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"})


def kind_of(node: Node) -> str:
    """The function that a node belongs to: "Convolution" for "ConvolutionBackward0"."""
    name = node.name().rpartition("::")[2]
    return name.rstrip("0123456789").removesuffix("Backwards").removesuffix("Backward")


def is_affine(node: Node, inputs: Sequence[int]) -> bool:
    """Whether a node's function is affine in those of its inputs that are asked for.

    Args:
        node: of the autograd graph.
        inputs: indices of its ``next_functions``.
    """
    kind = kind_of(node)
    if kind in _BATCH_NORMS:
        # Else the statistics are the batch's.
        saved: Any = node
        return not saved._saved_training
    if kind in ("Addmm", "Addmv"):
        # bias + matrix @ matrix
        return not {1, 2} <= set(inputs)
    if kind in ("Div", "GridSampler2D", "GridSampler3D"):
        return list(inputs) == [0]
    if kind == "Lerp":
        # start + weight * (end - start)
        return 2 not in inputs
    if kind in _PRODUCTS:
        return len(inputs) == 1
    return kind in _AFFINE or kind.startswith(_AFFINE_FAMILIES)
