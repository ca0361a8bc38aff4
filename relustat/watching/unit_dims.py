"""The unit dimension of a tensor, known from the layer that made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from relustat._dynamo import inline_in_graph
from relustat.ops import library

# The number of spatial dimensions after the channels.
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
# For relustat's ops: the argument that has a number for each spatial dimension.
_SPATIAL_ARGUMENT = {library.max_pool: 1, library.max_unpool: 3}
_CHANNELS_AFTER_BATCH = frozenset({F.batch_norm, F.instance_norm, F.group_norm})
_FEATURES_LAST = frozenset({F.linear, F.layer_norm, F.multi_head_attention_forward})
# These may return a tensor of the same shape with dimensions of another meaning.
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
    """Follows unit dimensions through the torch calls of one forward pass.

    A convolution's output has its channels before its spatial dimensions, batched or not. A linear
    layer's features come last. An elementwise function keeps the dimension: any function that
    returns the shape of an input, and is not known to rearrange it.

    While a graph is traced, the dimension is an attribute of the tensor. Only tensors that leave
    the graph keep it, so compiled code does not know which layer made its inputs. The compiler
    allows no attributes on tensors from a tuple.
    """

    def __init__(self) -> None:
        self._unit_dims: MutableMapping[Tensor, int] | None = None

    def unit_dim_of(self, x: Tensor) -> int | None:
        """The unit dimension, or None if it follows from the number of dimensions alone."""
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
        """Stores the unit dimension of what ``function(*args, **kwargs)`` returned."""
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
