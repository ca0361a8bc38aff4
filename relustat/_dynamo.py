"""All that this package says to ``torch.compile``.

The compiler takes nearly as long to import as all of PyTorch. So each function imports what it
needs.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, GetSetDescriptorType
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn, overrides
from torch._C._dynamo.eval_frame import (
    _FrameAction,
    _FrameExecStrategy,
    set_code_exec_strategy,
)
from torch._higher_order_ops.wrap import tag_activation_checkpoint
from torch.nn.utils import parametrize

from ._torch_internals import graph_task, pytree

if TYPE_CHECKING:
    from torch._dynamo.comptime import ComptimeContext as ComptimeContext

__all__ = [
    "TraceTimeAttributes",
    "attribute_of",
    "call_of_node",
    "comptime",
    "constant_in_graph",
    "is_exporting",
    "is_recomputation",
    "is_transformed",
    "with_side_effects_allowed",
    "trace_time_attribute",
    "mark_as_fixed",
    "inline_all_in_graph",
    "inline_in_graph",
    "running_eagerly",
    "show_to_modes",
    "tag_activation_checkpoint",
    "traced_constant",
    "traced_frames",
    "traced_object",
    "traced_value",
    "unwatch_class",
    "unwatched_class",
    "values_of",
    "watched_class",
]

ClassOrFunction = TypeVar("ClassOrFunction", bound=Callable[..., Any])


def comptime() -> Any:
    """PyTorch's ``comptime``: in code that is compiled, ``comptime()(f)`` calls ``f`` in the trace.

    ``f`` gets the context of the function that has these words.
    """
    from torch._dynamo.comptime import comptime

    return comptime


def constant_in_graph(function: ClassOrFunction) -> ClassOrFunction:
    """Makes a function run in the trace, where its result becomes a constant of the graph.

    It is :func:`torch.compiler.assume_constant_result`, which imports the compiler.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


class TraceTimeAttributes:
    """Attributes that are made when they are first read.

    In a dict, the compiler would not see what is added during a trace. A guard reads an attribute
    as any code does. So a graph that was traced with one object serves other objects like it.

    Args:
        make: a method of the owner that makes the attribute of a name.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        # Weak: the owner holds this object, and must be freed when nobody else holds it.
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


def mark_as_fixed(tensor: Tensor) -> None:
    """Tells the compiler that a tensor stays where it is, and keeps its size."""
    from torch._dynamo import mark_static_address

    mark_static_address(tensor)
    # torch._dynamo.mark_static does this, but not during a trace.
    tensor._dynamo_static_indices = set(range(tensor.dim()))  # type: ignore[attr-defined]


def trace_time_attribute(attributes: TraceTimeAttributes, name: str) -> Any:
    """``getattr`` in code that is compiled: the attribute exists before the graph runs."""
    comptime()(_make)
    return getattr(attributes, name)


def _make(context: ComptimeContext) -> None:
    getattr(traced_object(context, "attributes"), traced_constant(context, "name"))


@constant_in_graph
def attribute_of(*values: str | int) -> str:
    """The name of an attribute that holds what is known in a trace."""
    return f"of_{json.dumps(values).encode().hex()}"


def values_of(attribute: str) -> list[Any]:
    """The values of which :func:`attribute_of` has made a name."""
    values: list[Any] = json.loads(bytes.fromhex(attribute.removeprefix("of_")))
    return values


def traced_object(context: ComptimeContext, name: str) -> Any:
    """The object in a local variable of the function that is traced.

    As a constant it would belong to the graph, which would then serve no other object.
    """
    variable: Any = context.get_local(name)
    return variable._i_will_not_complain_if_bc_breaks_VariableTracker().realize().value


def traced_constant(context: ComptimeContext, name: str) -> Any:
    """The number or text in a local variable of the function that is traced."""
    return context.get_local(name).as_python_constant()


def traced_frames(context: ComptimeContext) -> Iterator[tuple[str | None, CodeType, Any]]:
    """Module, code and position of each call that is traced, from the innermost outwards."""
    frame: Any = context._i_will_not_complain_if_bc_breaks_InstructionTranslator()
    while frame is not None:
        where = getattr(frame.current_instruction, "positions", None)
        yield frame.f_globals.get("__name__"), frame.f_code, where
        frame = getattr(frame, "parent", None)


OnNode = Callable[[torch.fx.Node, Callable[[torch.fx.Node], Any]], None]


def traced_value(context: ComptimeContext, name: str, on_node: OnNode) -> Any:
    """The value in a local variable of the function that is traced. Tensors are fake ones.

    Args:
        context: that of the trace.
        name: the variable's name.
        on_node: called for the nodes of the graph whose outputs the value holds, with a function
            that gives the output of a node and calls ``on_node`` for it.
    """

    def of_node(node: torch.fx.Node) -> Any:
        on_node(node, of_node)
        return node.meta.get("example_value")

    variable: Any = context.get_local(name)
    return _value_of(variable._i_will_not_complain_if_bc_breaks_VariableTracker(), of_node)


def call_of_node(
    node: torch.fx.Node, of_node: Callable[[torch.fx.Node], Any]
) -> tuple[Any, Any, Any] | None:
    """The function that a node of a graph calls, and its arguments; None if it calls none."""
    if node.op not in ("call_function", "call_method"):
        return None
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), of_node)
    if node.op == "call_method":
        return getattr(type(args[0]), str(node.target)), args, kwargs
    # Attributes of tensors: getattr() until PyTorch 2.13, calls of their own from 2.14 on.
    name = args[1] if node.target is getattr else getattr(node.target, "__name__", "")
    attribute = getattr(Tensor, "data" if name == "_get_data_attr" else str(name), None)
    if isinstance(attribute, GetSetDescriptorType):
        return attribute.__get__, args[:1], {}
    return node.target, args, kwargs


def _value_of(variable: Any, of_node: Callable[[torch.fx.Node], Any]) -> Any:
    from torch._dynamo.variables.dicts import ConstDictVariable
    from torch._dynamo.variables.lists import BaseListVariable, RangeVariable

    variable = variable.realize()
    if isinstance(variable, ConstDictVariable):
        return {
            key.vt.as_python_constant(): _value_of(value, of_node)
            for key, value in variable.items.items()
        }
    if isinstance(variable, BaseListVariable) and not isinstance(variable, RangeVariable):
        values = [_value_of(item, of_node) for item in variable.items]
        return values if variable.python_type() is list else tuple(values)
    with contextlib.suppress(Exception):
        return variable.as_python_constant()
    with contextlib.suppress(Exception):
        return pytree.tree_map_only(
            torch.fx.Proxy, lambda proxy: of_node(proxy.node), variable.as_proxy()
        )
    # What the compiler cannot put into a graph stands for itself.
    return variable


def inline_in_graph(kind: ClassOrFunction) -> ClassOrFunction:
    """Makes a function, or the methods of a class, run eagerly where a graph would begin with them.

    Within a graph they are traced. Otherwise the compiler would make graphs of hooks and modes that
    eager code calls, and of all functions that these call.
    """
    for function in (kind, *vars(kind).values()):
        if isinstance(function, FunctionType):
            _skip(function.__code__)
    return kind


def inline_all_in_graph(names: dict[str, Any]) -> None:
    """:func:`inline_in_graph` for all that a module defines; called at its end with globals()."""
    for value in list(names.values()):
        if getattr(value, "__module__", None) == names["__name__"] and callable(value):
            inline_in_graph(value)


def _skip(code: CodeType) -> None:
    # torch._dynamo.eval_frame.skip_code.
    set_code_exec_strategy(code, _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.SKIP))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _skip(constant)


@inline_in_graph
def is_recomputation() -> bool:
    """Whether a backward pass runs. A forward inside it repeats one that was counted before.

    False while a graph is traced: its kernels ask when they run.
    """
    return not torch.compiler.is_dynamo_compiling() and graph_task() != -1


@inline_in_graph
def with_side_effects_allowed(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function with side effects, also in a part that is traced for checkpointing.

    The compiler forbids side effects there, because the recomputation of eager code repeats them.
    Those of a graph happen once, when it is called.
    """
    if torch.compiler.is_dynamo_compiling():
        from torch._dynamo.utils import _disable_side_effect_safety_checks_for_current_subtracer

        return _disable_side_effect_safety_checks_for_current_subtracer(function, *arguments)
    return function(*arguments)


@constant_in_graph
def is_exporting() -> bool:
    """Whether ``torch.export`` traces this code.

    It is asked during the trace: within a trace, PyTorch 2.11 takes its own function as True.
    """
    return torch.compiler.is_exporting()


@constant_in_graph
def is_transformed() -> bool:
    """Whether a ``torch.func`` transform is active, also in the code that is traced."""
    return torch._C._functorch.peek_interpreter_stack() is not None


@functools.cache
def show_to_modes(functions: frozenset[Callable[..., Any]]) -> None:
    """Makes the compiler show modes these functions, as eager code does.

    Its own list lacks most functions that work in place, and some others.
    """
    # The compiler makes its own set of this list when it first needs it.
    shown = overrides.get_overridable_functions()[torch]
    shown.extend(function for function in functions if function not in shown)
    if is_compiler_loaded():
        from torch._dynamo.variables.torch import get_overridable_functions

        get_overridable_functions().update(functions)


@contextlib.contextmanager
def running_eagerly() -> Iterator[None]:
    """Runs compiled code eagerly."""
    from torch._dynamo import eval_frame

    before = eval_frame._stance
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        # It takes effect when it is made: an interrupt may come before it is entered.
        eval_frame._set_stance(before)


def is_compiler_loaded() -> bool:
    """Whether something in this process may be compiled."""
    return "torch._dynamo" in sys.modules


def watched_class(kind: Any) -> type[nn.Module]:
    """A class for watched models, by which graphs tell them from other models.

    For other classes an active mode tells them. But the compiler inlines the calls of PyTorch's own
    modules, such as ``nn.Sequential``, together with hooks on which it has no guards.

    Returns:
        ``kind`` itself if it needs no other class.
    """
    is_watched = unwatched_class(kind) is not kind
    watched: type[nn.Module] = kind
    # Also a forward of the user's, if it has a decorator of PyTorch's.
    code = getattr(kind.forward, "__code__", None)
    is_inlined = code is not None and Path(torch.__file__).parent in Path(code.co_filename).parents
    if is_inlined and not is_watched:
        watched = _watched(kind)
    return watched


@functools.cache
def _watched(kind: Any) -> Any:
    namespace = {
        _PLAIN: kind,
        # What makes another one of its own class, such as a slice of nn.Sequential, is not watched.
        "__new__": lambda _, *args, **kwargs: kind(*args, **kwargs),
        **{name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")},
    }
    if kind.__module__ == parametrize.__name__:
        # PyTorch takes the parametrised class apart when it is parametrised no longer.
        return type(kind.__name__, kind.__bases__, {**vars(kind), _PLAIN: kind})
    return type(kind.__name__, (kind,), namespace)


_PLAIN = "_relustat_plain_class"


def unwatched_class(kind: Any) -> Any:
    """The class of which :func:`watched_class` gave ``kind``, or ``kind`` itself."""
    return vars(kind).get(_PLAIN, kind)


def unwatch_class(module: nn.Module) -> None:
    """Gives a module back the class of which :func:`watched_class` gave its class.

    If it was parametrised meanwhile, its class is made of the watched one.
    """
    kind = type(module)
    if unwatched_class(kind) is not kind:
        module.__class__ = unwatched_class(kind)
    elif any(unwatched_class(base) is not base for base in kind.__bases__):
        kind.__bases__ = tuple(map(unwatched_class, kind.__bases__))
