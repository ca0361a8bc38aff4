"""The calls that the code of a module makes, as a graph of torch.fx."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn

from relustat._torch_internals import FEED_FORWARD_METHODS


class _Tracer(fx.Tracer):
    """Keeps this package's modules whole, as it does PyTorch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_ours = type(m).__module__.startswith("relustat.")
        return is_ours or bool(super().is_leaf_module(m, module_qualified_name))


def calls_of(module: nn.Module) -> fx.Graph | None:
    """The graph of a module's forward; None if it cannot be traced without an input.

    What is traced is a copy without numbers: the module's hooks do not see it. Of the layers of
    PyTorch's transformers it is their feed-forward part, because the others choose by numbers.
    """
    try:
        empty: dict[int, Any] = {id(x): x.to("meta") for x in module.buffers()}
        empty |= {
            id(x): nn.Parameter(x.detach().to("meta"), x.requires_grad) for x in module.parameters()
        }
        tracer = _Tracer()
        tracer.traced_func_name = FEED_FORWARD_METHODS.get(type(module), "forward")
        return tracer.trace(copy.deepcopy(module, empty))
    except Exception:  # whatever its code does with a placeholder
        return None


def function_of(node: fx.Node) -> Any:
    """The function that a node calls; that of a method is one of ``torch.Tensor``."""
    if node.op == "call_method":
        return getattr(torch.Tensor, str(node.target), None)
    return node.target if node.op == "call_function" else None
