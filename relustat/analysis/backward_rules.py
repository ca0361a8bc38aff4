"""Backward passes in which ReLUs and max-pools follow other rules than the gradient's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ..max_pooling import OVERLAPS
from ..relu_calls import ReLUCall
from .affine import is_affine, kind_of
from .graph import PathToInput
from .layers import LayerCalls
from .pool_calls import find_pool_call, pool

Rule = Literal["deconvnet", "guided", "gradient"]


class RuledCalls(LayerCalls):
    """Follows a model's forward so that its backward goes by other rules.

    Args:
        op, model, layers: see :class:`LayerCalls`.
        rule: what a ReLU does to a signal that comes back: "deconvnet" rectifies it, "guided"
            rectifies it and lets it pass where the ReLU's input was positive, "gradient" lets it
            pass there.
        overlap: how signals are unpooled: as :func:`relustat.functional.max_unpool2d` does.

    Raises:
        ValueError: if ``rule`` or ``overlap`` is none of these.
    """

    def __init__(
        self, op: str, model: nn.Module, layers: Sequence[str], rule: str, overlap: str
    ) -> None:
        if rule not in get_args(Rule):
            raise ValueError(
                f"{op}: rule must be 'deconvnet', 'guided' or 'gradient', got {rule!r}"
            )
        if overlap not in OVERLAPS:
            raise ValueError(f"{op}: overlap must be 'last', 'sum' or 'max', got {overlap!r}")
        super().__init__(op, model, layers)
        self._rule = rule
        self._overlap = overlap
        self._paths_of_nodes: dict[Node, str] = {}

    def on_relu(self, name: str, call: ReLUCall, compute: Callable[[], Any]) -> Any:
        if self._rule == "gradient":
            return compute()
        y = Rectified.apply(call.x, self._rule, call.inplace)  # type: ignore[no-untyped-call]
        return self._remember(y, name)

    def on_call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = find_pool_call(function, args, kwargs)
        if call is not None and (self._overlap != "sum" or call.gives == "offsets"):
            return self._remember(pool(call, self._overlap), self.path)
        return self._remember(function(*args, **kwargs), self.path)

    def check_rules(self, path: PathToInput, layer: str) -> None:
        """Raises an error if something on the way to the input has no rule.

        Signals are handed back through affine layers by their transpose, through ReLUs and pools
        by the rules. By "gradient" all goes back that has one, except for pools that PyTorch
        unpools itself, which add up.
        """
        nearest: dict[Node, str] = {}
        for node in path.nodes:
            where = self._paths_of_nodes.get(node, nearest.get(node, ""))
            for index in path.inputs_on_it(node):
                before = node.next_functions[index][0]
                if before is not None:
                    nearest.setdefault(before, where)
            if node is not path.nodes[-1] and not self._has_rule(node, path.inputs_on_it(node)):
                raise ValueError(
                    f"{self._op}: all layers from the input to {layer!r} must be affine, ReLUs or "
                    f"max-pools to have a rule, got {kind_of(node)} in {where or 'the model'!r}"
                )

    def _has_rule(self, node: Node, inputs: list[int]) -> bool:
        kind = kind_of(node)
        if "MaxPool" in kind:
            return self._overlap == "sum" or _windows_are_apart(kind, node)
        if self._rule == "gradient" or kind in ("Rectified", "Pooled"):
            return True
        return is_affine(node, inputs)

    def _remember(self, output: Any, where: str) -> Any:
        for each in output if isinstance(output, (tuple, list)) else (output,):
            if isinstance(each, Tensor) and each.grad_fn is not None:
                self._paths_of_nodes.setdefault(each.grad_fn, where)
        return output


class Rectified(torch.autograd.Function):
    """A ReLU whose backward is "deconvnet" or "guided"."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: str, inplace: bool) -> Tensor:
        y = torch.relu_(x) if inplace else torch.relu(x)
        if inplace:
            ctx.mark_dirty(x)
        if rule == "guided":
            ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        signal = gradients[0].relu()
        for y in ctx.saved_tensors:
            signal = torch.where(y > 0, signal, 0)
        return signal, None, None


def _windows_are_apart(kind: str, node: Node) -> bool:
    """Whether no cell is in two windows, so that all ways to unpool are the same."""
    saved: Any = node
    if kind.startswith("Adaptive"):
        sizes = zip(saved._saved_self.shape, saved._saved_result1.shape, strict=True)
        return all(cells % windows == 0 for cells, windows in sizes)
    return False
