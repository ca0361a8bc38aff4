"""What a torch call may have to do with ReLUs, by its function alone."""

from __future__ import annotations

import enum
import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import builtin_functional, is_aten_op, overloads
from relustat.nn.activations import GATES, RELU_LIKE, SMOOTH
from relustat.ops.counting_activation import counting_activation
from relustat.ops.counting_relu import counting_relu

from .family_calls import FAMILY_BINDERS, FAMILY_GRAPH_BINDERS
from .relu_calls import BINDERS, GRAPH_BINDERS


class Kind(enum.Enum):
    """What a function may be. Of most functions it is none of these."""

    RELU = enum.auto()
    """A ReLU, if its arguments say so."""

    RELU_IN_GRAPH = enum.auto()
    """The same, in the graph of a model."""

    FUSED = enum.auto()
    """A ReLU together with something else."""

    ALIKE = enum.auto()
    """A function that may give what a ReLU gives."""

    OTHER = enum.auto()
    """Another activation."""

    OTHER_IN_GRAPH = enum.auto()
    """The same, in the graph of a model."""


_MOST_KINDS = 1024
_ALIKE = (
    "maximum max fmax where mul multiply masked_fill index_put "
    "__mul__ __rmul__ __imul__ __setitem__"
)


def _of_torch(name: str) -> list[Any]:
    homes = (torch, Tensor, F, builtin_functional, torch.ops.aten)
    found: list[Any] = [getattr(home, name) for home in homes if hasattr(home, name)]
    return [*found, *itertools.chain(*map(overloads, filter(is_aten_op, found)))]


def _functional(activation: str) -> list[Any]:
    lower = activation.lower()
    names = {lower, lower.removesuffix("relu") + "_relu"}  # F.leaky_relu
    return [
        function for name in names for spelt in (name, f"{name}_") for function in _of_torch(spelt)
    ]


OTHERS: dict[Any, str] = {
    function: activation
    for activation in (*RELU_LIKE[1:], *SMOOTH)
    if activation not in GATES
    for function in _functional(activation)
}
"""What stands where a ReLU might stand, by its name."""

_OWN_MODULES = (counting_relu.__module__, counting_activation.__module__)
_MAY_BE_ALIKE = {
    function
    for name in _ALIKE.split()
    for spelt in (name, f"{name}_")
    for function in _of_torch(spelt)
}


FUNCTIONS: frozenset[Any] = frozenset(
    function
    for function in (*BINDERS, *FAMILY_BINDERS)
    if not is_aten_op(function) and getattr(function, "__module__", None) not in _OWN_MODULES
)
"""Functions of PyTorch that a watch looks at."""


class _Kinds(dict[Any, "Kind | None"]):
    """The kinds of functions, those of PyTorch at least: each is asked for once."""

    def __missing__(self, function: Callable[..., Any]) -> Kind | None:
        kind = _kind_of(function)
        if len(self) < _MOST_KINDS:
            self[function] = kind
        return kind


def _kind_of(function: Callable[..., Any]) -> Kind | None:
    if function in BINDERS:
        return Kind.RELU
    if function in GRAPH_BINDERS:
        return Kind.RELU_IN_GRAPH
    if function in FAMILY_GRAPH_BINDERS:
        return Kind.OTHER_IN_GRAPH
    if function in OTHERS or function in FAMILY_BINDERS:
        return Kind.OTHER
    if function in _MAY_BE_ALIKE:
        return Kind.ALIKE
    words = name_of(function).split("_")
    return Kind.FUSED if "relu" in words and "leaky" not in words else None


KINDS = _Kinds()


@functools.cache
def relu_names() -> frozenset[str]:
    """The names of functions that may be a ReLU."""
    return frozenset(map(name_of, BINDERS))


def name_of(function: Callable[..., Any]) -> str:
    """Its name without that of its overload."""
    return str(getattr(function, "__name__", "")).partition(".")[0]


inline_all_in_graph(globals())
