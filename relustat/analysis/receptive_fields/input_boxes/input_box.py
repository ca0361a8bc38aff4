"""Which part of a model's input a part of a layer's output depends on, by geometry alone."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import Node

from relustat.analysis.model_run.autograd_path import PathToInput
from relustat.analysis.model_run.layer_calls import LayerCalls
from relustat.analysis.model_run.node_kinds import look_up
from relustat.ops import library
from relustat.ops.pool_geometry import PoolGeometry

from . import regions, value_rules, view_rules, window_rules
from .need import Need, Rule, output_shape
from .regions import Axis, Box, Region

_RULES: dict[str, Rule] = {**value_rules.RULES, **view_rules.RULES, **window_rules.RULES}
_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)


@dataclasses.dataclass(frozen=True)
class InputBox:
    """The part of an input on which a part of an output can depend.

    Attributes:
        box: the first and the last index of each dimension, both included; (0, -1) throughout if
            it depends on nothing, as a position does that sees zero padding alone.
        unknown: names of the autograd nodes for which there is no rule. They are taken to need all
            of their inputs, so the box is an upper bound.
    """

    box: Box
    unknown: tuple[str, ...]


class GeometryCalls(LayerCalls):
    """Follows a forward, and notes what autograd nodes do not show, for :func:`input_box`.

    It stores the geometry of relustat's max-pools, and the origin of circular padding.
    A convolution's input without a batch dimension is refused: it would be misread.
    """

    def on_call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Computes a torch call that is no ReLU."""
        if function in _CONVOLUTIONS and len(args) > 1 and args[0].ndim < args[1].ndim:
            axes = args[1].ndim - 2
            raise ValueError(
                f"{self._op}: data must be [N, C, ...] with {axes} axes for a {axes}-D "
                f"convolution, got samples of {list(args[0].shape[1:])}; give one as x[None]"
            )
        if function is F.pad and kwargs.get("mode") == "circular":
            return _circularly_padded(*args, **kwargs)
        output = function(*args, **kwargs)
        if function is library.max_pool and output[0].grad_fn is not None:
            output[0].grad_fn.metadata["pooling"] = PoolGeometry(*args[1:])
        return output


def _circularly_padded(
    input: Tensor,
    pad: Sequence[int],
    mode: str,  # noqa: ARG001
    value: float | None = None,  # noqa: ARG001
) -> Tensor:
    """F.pad, which copies in place: that is hard to follow."""
    x = input
    for dim, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), 1):
        size = x.shape[-dim]
        sources = torch.arange(-before, size + after, device=x.device) % size
        x = x.index_select(-dim, sources)
        if x.grad_fn is not None:
            notes: Any = x.grad_fn.metadata
            notes["padded_before"] = before
    return x


def input_box(
    path: PathToInput, output: Tensor, box: Sequence[tuple[int, int]], *, clipped: bool = True
) -> InputBox:
    """The part of the input on which a part of a layer's output can depend.

    It is exact: the smallest box, if no weight is 0 and nothing cancels. Where there is no rule
    for an operation, it is an upper bound.

    Args:
        path: from ``output`` to the input, a leaf; its graph not freed by a backward yet.
        output: the layer's.
        box: the part of it: the first and the last index of each dimension, both included.
        clipped: True: the box is cut off at the borders of all maps on the way. False: maps are
            taken to go on without end. That gives the size that textbooks name; indices can be
            negative then. An operation on a whole map, such as its mean, needs the map as it is.

    Example:
        >>> import torch
        >>> from relustat.analysis.receptive_fields.input_boxes import input_box
        >>> from relustat.analysis.model_run.autograd_path import PathToInput
        >>> x = torch.randn(1, 3, 32, 32, requires_grad=True)
        >>> y = torch.nn.Conv2d(3, 8, 5, stride=2, padding=2)(x)
        >>> path = PathToInput("example", "conv", y, x)
        >>> input_box(path, y, [(0, 0), (4, 4), (0, 0), (8, 8)]).box
        ((0, 0), (0, 2), (0, 2), (14, 18))
        >>> input_box(path, y, [(0, 0), (4, 4), (0, 0), (8, 8)], clipped=False).box
        ((0, 0), (0, 2), (-2, 2), (14, 18))
    """
    start, end = path.nodes[0], path.nodes[-1]
    wanted: defaultdict[Node | None, dict[int, Region]] = defaultdict(dict)
    wanted[start][output.output_nr] = regions.of_box(output.shape, box)
    unknown: dict[str, None] = {}
    for node in path.nodes[:-1]:
        needs = [
            Need(node, region, number, into, is_endless=not clipped)
            for number, region in wanted.pop(node, {}).items()
            for into in path.inputs_on_it(node)
        ]
        for need in needs:
            needed = _needed(need)
            if needed is None:
                unknown[node.name()] = None
                needed = regions.whole(need.shape)
            if clipped:
                needed = tuple(axis.clipped() for axis in needed)
            if all(needed):
                before, number = node.next_functions[need.into]
                region = wanted[before].get(number, needed)
                wanted[before][number] = regions.union(region, needed)
    nothing = tuple(Axis.of(size, []) for size in output_shape(end, 0))
    return InputBox(regions.hull(wanted[end].get(0, nothing)), tuple(unknown))


def _needed(need: Need) -> Region | None:
    rule = _RULES.get(look_up(need.node).rule)
    return rule(need) if rule is not None else None
