"""Backward passes in which ReLUs and max-pools follow other rules than the gradient's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils.weak import WeakIdKeyDictionary

from relustat._torch_internals import tree_iter
from relustat.analysis.model_run.autograd_path import PathToInput
from relustat.analysis.model_run.layer_calls import LayerCalls
from relustat.analysis.model_run.node_kinds import kind_of, look_up
from relustat.analysis.model_run.pool_calls import find_pool_call, pool
from relustat.ops.max_pool import OVERLAPS
from relustat.watching.relu_calls import ActivationCall

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
        ValueError: if ``rule`` or ``overlap`` has another value.
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
        self._made_by: dict[Node, _Call] = {}
        self._hidden: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def on_relu(self, name: str, call: ActivationCall, compute: Callable[[], Any]) -> Any:
        if self._rule == "gradient":
            return compute()
        is_fixed = not self._is_hidden(call.x)
        y = Rectified.apply(call.x, self._rule, call.inplace)  # type: ignore[no-untyped-call]
        self._remember(y, _Call(name, is_fixed))
        return y

    def on_call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        given = (args, kwargs) if function not in _GIVEN_SWITCHES else args[:1]
        is_fixed = not any(map(self._is_hidden, tree_iter(given)))
        call = find_pool_call(function, args, kwargs)
        if call is not None and (self._overlap != "sum" or call.gives == "offsets"):
            output = pool(call, self._overlap)
        else:
            output = function(*args, **kwargs)
        changed = args[0] if function is Tensor.__setitem__ else output
        self._remember(changed, _Call(self.path, is_fixed, function in _COPIES))
        return output

    def check_rules(self, path: PathToInput, layer: str) -> None:
        """Raises an error if an operation on the way to the input has no rule.

        Signals go back through affine layers by their transpose, and through ReLUs and pools by the
        rules. With "gradient" they go back through all that has a gradient, but not through pools
        that PyTorch unpools itself, because those add up.
        """
        made_by = {path.nodes[0]: _Call(layer), **self._made_by}
        for node in path.nodes:
            for before, _ in node.next_functions:
                if before is not None:
                    made_by.setdefault(before, made_by[node])
        # From the input and its copy onwards: the first operation without a rule is named.
        for node in reversed(path.nodes[:-2]):
            call, inputs = made_by[node], path.inputs_on_it(node)
            where = f"in {call.where!r}" if call.where else "in the model"
            kind = kind_of(node)
            if "MaxPool" in kind:
                if self._overlap != "sum" and not _windows_are_apart(kind, node):
                    raise ValueError(
                        f"{self._op}: only overlap='sum' has a rule for pools that are no plain "
                        f"max-pools and whose windows overlap, got {kind} {where} and "
                        f"overlap={self._overlap!r}"
                    )
            elif self._rule != "gradient" and not self._has_rule(node, kind, call, inputs):
                raise ValueError(
                    f"{self._op}: all layers from the input to {layer!r} must be affine, ReLUs or "
                    f"max-pools to have a rule, got {kind} {where}"
                )

    @staticmethod
    def _has_rule(node: Node, kind: str, call: _Call, inputs: list[int]) -> bool:
        if not call.is_fixed:
            return False
        if kind == "CopySlices":
            return call.copies
        return kind in ("Rectified", "Pooled") or look_up(node).is_affine(node, inputs)

    def _is_hidden(self, value: Any) -> bool:
        """Whether a value depends on the input without a gradient, as a mask or an index does."""
        if not self.depends_on_input(value):
            return False
        return value in self._hidden or not value.requires_grad

    def _remember(self, output: Any, call: _Call) -> None:
        for each in tree_iter(output):
            if isinstance(each, Tensor):
                if not call.is_fixed:
                    self._hidden[each] = True
                if each.grad_fn is not None:
                    self._made_by.setdefault(each.grad_fn, call)


class _Call(NamedTuple):
    """The call that made a node of the autograd graph.

    Attributes:
        where: a layer's name, or a module's path.
        is_fixed: whether the function is the same for all inputs.
        copies: whether it only writes to a part of a tensor.
    """

    where: str
    is_fixed: bool = True
    copies: bool = False


# Functions whose indices are the switches of a pool.
_GIVEN_SWITCHES = frozenset({F.max_unpool1d, F.max_unpool2d, F.max_unpool3d})
_COPIES = frozenset({F.pad, Tensor.__setitem__, Tensor.copy_})


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
    """Whether no cell is in two windows. Then all ways to unpool are the same."""
    saved: Any = node
    if kind.startswith("Adaptive"):
        sizes = zip(saved._saved_self.shape, saved._saved_result1.shape, strict=True)
        return all(cells % windows == 0 for cells, windows in sizes)
    return False
