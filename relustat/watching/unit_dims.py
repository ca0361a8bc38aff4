"""Where a tensor's units lie, known from the layer that made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from relustat._dynamo import inline_in_graph
from relustat.ops import library

# The spatial dimensions that follow the channels.
_SPATIAL_DIMS: dict[Any, int] = {
    **dict.fromkeys(
        (
            *(torch.conv1d, torch.conv_transpose1d, F.max_pool1d, F.avg_pool1d),
            *(F.adaptive_avg_pool1d, F.adaptive_max_pool1d, F.lp_pool1d),
        ),
        1,
    ),
    **dict.fromkeys(
        (
            *(torch.conv2d, torch.conv_transpose2d, F.max_pool2d, F.avg_pool2d),
            *(F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.lp_pool2d),
        ),
        2,
    ),
    **dict.fromkeys(
        (
            *(torch.conv3d, torch.conv_transpose3d, F.max_pool3d, F.avg_pool3d),
            *(F.adaptive_avg_pool3d, F.adaptive_max_pool3d),
        ),
        3,
    ),
}
# Ours: which argument has a number for each spatial dimension.
_SPATIAL_ARGUMENT = {library.max_pool: 1, library.max_unpool: 3}
_CHANNELS_AFTER_BATCH = frozenset({F.batch_norm, F.instance_norm, F.group_norm})
_FEATURES_LAST = frozenset({F.linear, F.layer_norm, F.multi_head_attention_forward})
# These may return a tensor of the same shape whose dimensions mean something else.
_REARRANGING = frozenset(
    {
        *(torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes, torch.swapdims),
        *(Tensor.swapdims, torch.permute, Tensor.permute, torch.movedim, Tensor.movedim),
        *(torch.moveaxis, Tensor.moveaxis, Tensor.t, torch.t, Tensor.reshape, torch.reshape),
        *(Tensor.view, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm),
        *(torch.einsum, torch.baddbmm, Tensor.baddbmm, F.scaled_dot_product_attention),
        *(torch.mm, Tensor.mm, torch.addmm, Tensor.addmm, torch.adjoint, Tensor.adjoint),
        *(Tensor.transpose_, Tensor.swapaxes_, Tensor.swapdims_, Tensor.t_, torch.rot90),
        *(Tensor.T.__get__, Tensor.mT.__get__, Tensor.H.__get__, Tensor.mH.__get__),  # type: ignore[attr-defined]
    }
)

_ATTRIBUTE = "_relustat_unit_dim"


@inline_in_graph
class UnitDims:
    """Follows unit dimensions through one forward pass, one torch call after the other.

    A convolution's output has its channels before its spatial dimensions, batched or not; a linear
    layer's features come last. Elementwise functions (anything that returns the shape of an input,
    and is not known to rearrange) keep the dimension.

    While a graph is traced the dimension is an attribute of the tensor, which only those keep that
    leave the graph. So compiled code does not know what layer its inputs came from; and the
    compiler allows no attributes on tensors out of a tuple.
    """

    def __init__(self) -> None:
        self._unit_dims: MutableMapping[Tensor, int] | None = None

    def unit_dim_of(self, x: Tensor) -> int | None:
        """The dimension, or None where only its number of dimensions can tell."""
        if self._unit_dims is not None and not torch.compiler.is_dynamo_compiling():
            unit_dim = self._unit_dims.get(x)
            if unit_dim is not None:
                return unit_dim
        return getattr(x, _ATTRIBUTE, None)

    def _note(self, x: Tensor, unit_dim: int) -> None:
        if torch.compiler.is_dynamo_compiling():
            setattr(x, _ATTRIBUTE, unit_dim)
            return
        if self._unit_dims is None:
            self._unit_dims = WeakIdKeyDictionary()
        self._unit_dims[x] = unit_dim

    def follow(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        """Notes the unit dimension of what ``function(*args, **kwargs)`` returned."""
        output = result
        if isinstance(result, tuple) and result and not torch.compiler.is_dynamo_compiling():
            output = result[0]
        if not isinstance(output, Tensor):
            return
        unit_dim = self._unit_dim_after(function, args, kwargs, output)
        if unit_dim is not None:
            self._note(output, unit_dim)

    def _unit_dim_after(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Tensor,
    ) -> int | None:
        if function in _SPATIAL_DIMS:
            return output.dim() - 1 - _SPATIAL_DIMS[function]
        if function in _SPATIAL_ARGUMENT:
            return output.dim() - 1 - len(args[_SPATIAL_ARGUMENT[function]])
        if function in _FEATURES_LAST:
            return output.dim() - 1
        if function in _CHANNELS_AFTER_BATCH:
            return 1
        if function in _REARRANGING:
            return None
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor) and value.shape == output.shape:
                unit_dim = self.unit_dim_of(value)
                if unit_dim is not None:
                    return unit_dim
        return None
