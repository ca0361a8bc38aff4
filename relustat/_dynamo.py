"""What ``torch.compile`` has to be told of this package."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, TypeVar

import torch
from torch import nn
from torch._dynamo import eval_frame, mark_static_address, trace_rules
from torch._dynamo.comptime import ComptimeContext, comptime
from torch._dynamo.eval_frame import skip_code
from torch._dynamo.utils import _disable_side_effect_safety_checks_for_current_subtracer
from torch._higher_order_ops.wrap import tag_activation_checkpoint

from ._torch_internals import is_in_backward

__all__ = [
    "ComptimeContext",
    "TraceTimeAttributes",
    "comptime",
    "is_exporting",
    "is_recomputation",
    "is_transformed",
    "with_side_effects_allowed",
    "trace_time_attribute",
    "mark_static_address",
    "inline_in_graph",
    "running_eagerly",
    "show_in_place_functions_to_modes",
    "tag_activation_checkpoint",
    "traced_constant",
    "traced_object",
    "watched_class",
]

ClassOrFunction = TypeVar("ClassOrFunction", bound=Callable[..., Any])


class TraceTimeAttributes:
    """Attributes that are made when they are first asked for.

    Of a dict, the compiler would not see what is added in the midst of a trace. A guard asks like
    everybody else: so a graph that was traced with one object serves others that are like it.

    Args:
        make: a method of the owner, which makes the attribute of a name.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        # Its owner holds this object, and should go when nobody else holds it.
        self._make = weakref.WeakMethod(make)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        make = self._make()
        if make is None:
            raise AttributeError(f"{name}: its owner is gone")
        value = make(name)
        setattr(self, name, value)
        return value


def trace_time_attribute(attributes: TraceTimeAttributes, name: str) -> Any:
    """``getattr`` in code that is being compiled: the attribute exists before the graph runs."""
    comptime(_make)
    return getattr(attributes, name)


def _make(context: ComptimeContext) -> None:
    getattr(traced_object(context, "attributes"), traced_constant(context, "name"))


def traced_object(context: ComptimeContext, name: str) -> Any:
    """The object that a local variable of the function being traced holds.

    As a constant it would be one of the graph, which would serve no other object then.
    """
    variable: Any = context.get_local(name)
    return variable._i_will_not_complain_if_bc_breaks_VariableTracker().realize().value


def traced_constant(context: ComptimeContext, name: str) -> Any:
    """The number or text that a local variable of the function being traced holds."""
    return context.get_local(name).as_python_constant()


def inline_in_graph(kind: ClassOrFunction) -> ClassOrFunction:
    """Has a function, or methods, run as they are where a graph would begin with them.

    Within a graph they are traced. The compiler would make graphs of hooks and modes that are
    called in eager code.
    """
    for function in (kind, *vars(kind).values()):
        if isinstance(function, FunctionType):
            _skip(function.__code__)
    return kind


def _skip(code: CodeType) -> None:
    skip_code(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _skip(constant)


@inline_in_graph
def is_recomputation() -> bool:
    """Whether a backward pass runs: a forward inside one repeats a forward counted before.

    Not while a graph is traced: its kernels ask for themselves.
    """
    return not torch.compiler.is_dynamo_compiling() and is_in_backward()


@inline_in_graph
def with_side_effects_allowed(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function that keeps count of where we are, also in what is traced for checkpointing.

    The compiler forbids side effects there, since eager code has them again in its recomputation.
    Those of a graph happen once, when it is called.
    """
    if torch.compiler.is_dynamo_compiling():
        return _disable_side_effect_safety_checks_for_current_subtracer(function, *arguments)
    return function(*arguments)


@torch.compiler.assume_constant_result
def is_exporting() -> bool:
    """Whether ``torch.export`` traces this code.

    Asked while it is traced: within a trace, PyTorch 2.11 takes its own function to be True.
    """
    return torch.compiler.is_exporting()


@torch.compiler.assume_constant_result
def is_transformed() -> bool:
    """Whether a ``torch.func`` transform is under way, also in the code that is being traced."""
    return torch._C._functorch.peek_interpreter_stack() is not None


@functools.cache
def show_in_place_functions_to_modes() -> None:
    """Has the compiler show modes what eager code shows them: it leaves these out."""
    from torch._dynamo.variables.torch import get_overridable_functions

    get_overridable_functions().update(
        (torch.relu_, torch.threshold_, torch.clamp_, torch.clamp_min_, torch.clip_)
    )


@contextlib.contextmanager
def running_eagerly() -> Iterator[None]:
    """Has compiled code run as it is written."""
    before = eval_frame._stance
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        # That takes effect when it is made: an interrupt may come before it is entered.
        eval_frame._set_stance(before)


def watched_class(kind: Any) -> type[nn.Module]:
    """A subclass for watched models, by which graphs tell them from others.

    Elsewhere an active mode tells them. But of PyTorch's own modules, such as ``nn.Sequential``,
    the compiler inlines the call, with hooks on which it has no guards.

    Returns:
        ``kind`` itself if it needs no other; a copied or pickled model is of it again.
    """
    watched: type[nn.Module] = _subclass_of(kind) if trace_rules.check(kind.forward) else kind
    return watched


@functools.cache
def _subclass_of(kind: Any) -> Any:
    class Watched(kind):  # type: ignore[misc]
        def __reduce_ex__(self, protocol: Any) -> Any:
            _, (_, *arguments), *state = super().__reduce_ex__(protocol)
            return _new, (kind, *arguments), *state

    Watched.__name__, Watched.__qualname__ = kind.__name__, kind.__qualname__
    Watched.__module__, Watched.__doc__ = kind.__module__, kind.__doc__
    return Watched


def _new(kind: Any, *arguments: Any) -> Any:
    return kind.__new__(kind, *arguments)
