"""The calls that the code of a module makes, as graphs of torch.fx."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from relustat._hooks import hooks_of_forward
from relustat._torch_internals import FEED_FORWARD_METHODS


class UntraceableError(Exception):
    """Why a module's code cannot be traced without an input."""


class _Tracer(fx.Tracer):
    """Keeps this package's modules whole, as it does PyTorch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_ours = type(m).__module__.startswith("relustat.")
        return is_ours or bool(super().is_leaf_module(m, module_qualified_name))


def graphs_of(module: nn.Module) -> Iterator[fx.Graph]:
    """The graphs of a module's forward: in training and in evaluation, with and without options.

    What is traced is a copy without numbers and hooks. Of the layers of PyTorch's transformers it
    is their feed-forward part, because the others choose by numbers.

    Raises:
        UntraceableError: if it cannot be traced.
    """
    # During a watch, a model of PyTorch's own classes is of a subclass.
    kinds = [kind for kind in FEED_FORWARD_METHODS if type(module).forward is kind.forward]
    method = FEED_FORWARD_METHODS[kinds[0]] if kinds else "forward"
    parameters = inspect.signature(getattr(module, method)).parameters
    defaults = {
        name: each.default
        for name, each in parameters.items()
        if each.default is not inspect.Parameter.empty
    }
    try:
        for training in (True, False):
            for options in [{}, defaults] if defaults else [{}]:
                tracer = _Tracer()
                tracer.traced_func_name = method
                copied = _without_numbers(module).train(training)
                yield tracer.trace(copied, concrete_args=options or None)
    except Exception as error:  # whatever its code does with a placeholder
        first = str(error).partition("\n")[0]
        raise UntraceableError(f"{type(error).__name__}: {first}") from error


def _without_numbers(module: nn.Module) -> nn.Module:
    memo: dict[int, Any] = {}
    for each in module.modules():
        for value in vars(each).values():
            if isinstance(value, Tensor):
                memo[id(value)] = value.detach().to("meta")
        memo |= {id(x): x.to("meta") for x in each.buffers(recurse=False)}
        for parameter in each.parameters(recurse=False):
            empty = parameter.detach().to("meta")
            memo[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
        memo |= {id(hooks): type(hooks)() for hooks in hooks_of_forward(each)}
    return copy.deepcopy(module, memo)


def function_of(node: fx.Node) -> Any:
    """The function that a node calls; that of a method is one of ``torch.Tensor``."""
    if node.op == "call_method":
        return getattr(torch.Tensor, str(node.target), None)
    return node.target if node.op == "call_function" else None
