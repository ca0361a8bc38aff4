"""What ``torch.compile`` has to be told of this package."""

from __future__ import annotations

from types import FunctionType
from typing import TypeVar

from torch import nn
from torch._dynamo import trace_rules
from torch._dynamo.eval_frame import remove_from_cache, skip_code
from torch._dynamo.external_utils import wrap_inline

ClassOrFunction = TypeVar("ClassOrFunction", bound=type | FunctionType)


def no_graph_of_its_own(kind: ClassOrFunction) -> ClassOrFunction:
    """Has a function, or methods, run as they are where a graph would begin with them.

    Within a graph they are traced. The compiler would make graphs of hooks and modes that are
    called in eager code.
    """
    for function in (kind, *vars(kind).values()):
        if isinstance(function, FunctionType):
            skip_code(function.__code__)
    return kind


def forget_graphs_of(model: nn.Module) -> None:
    """Has the compiler look at the model anew, where it would not notice new hooks.

    Elsewhere a mode is active in which there is no graph yet. But it inlines the calls of PyTorch's
    own containers. Other models of these classes are compiled once more.
    """
    if trace_rules.check(type(model).forward):
        remove_from_cache(wrap_inline(model.forward))
