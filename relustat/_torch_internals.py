"""Every private name of PyTorch but those of torch.compile (``_dynamo``) and hooks (``_hooks``).

All are in PyTorch 2.11 to 2.14. If one is gone, the import of relustat raises an AttributeError or
ImportError with its name: no count is lost in silence.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._prims_common import suggest_memory_format
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._pytree import tree_iter

__all__ = [
    "FEED_FORWARD_METHODS",
    "PURE_HOMES",
    "builtin_functional",
    "dispatch_mode_depth",
    "foreach_norm",
    "function_modes",
    "graph_task",
    "is_aten_op",
    "is_in_backward",
    "is_jit_traced",
    "is_traced",
    "local_tensor",
    "overloads",
    "pop_function_mode",
    "push_function_mode",
    "pytree",
    "seen_by_function_modes",
    "size_hint",
    "suggest_memory_format",
    "tree_iter",
    "unseen_by_dispatch_modes",
    "unseen_by_function_modes",
    "unseen_by_subclasses",
]

# A TorchFunctionMode is entered by a with statement. A forward begins and ends in two hooks.
push_function_mode = torch._C._push_on_torch_function_stack
pop_function_mode = torch._C._pop_torch_function_stack
_depth = torch._C._len_torch_function_stack
_mode_at = torch._C._get_function_stack_at

# Contexts that hide counting from modes of users and from modes that replay ops, such as that of
# selective checkpointing.
unseen_by_function_modes = torch._C.DisableTorchFunction
unseen_by_subclasses = torch._C.DisableTorchFunctionSubclass
seen_by_function_modes = torch._C._EnableTorchFunction
unseen_by_dispatch_modes: Any = torch._C._DisableTorchDispatch
dispatch_mode_depth = torch._C._len_torch_dispatch_stack

# The norms of many tensors in a few kernels, as in torch.nn.utils.get_total_norm.
foreach_norm = torch._foreach_norm

# F.pad, F.gelu and others, as the compiler shows them.
builtin_functional = torch._C._nn
# The modules of functions that compute and do nothing else.
PURE_HOMES = frozenset(
    {
        *("torch", "torch.functional", "torch.nn.functional", "torch._tensor"),
        *("torch._C._nn", "torch._C._fft", "torch._C._linalg", "torch._C._special"),
    }
)

# The part of a transformer's layer that has its ReLU.
FEED_FORWARD_METHODS = {
    torch.nn.TransformerEncoderLayer: torch.nn.TransformerEncoderLayer._ff_block.__name__,
    torch.nn.TransformerDecoderLayer: torch.nn.TransformerDecoderLayer._ff_block.__name__,
}

graph_task = torch._C._current_graph_task_id
_tracing_state = torch._C._get_tracing_state


def function_modes() -> list[TorchFunctionMode]:
    """This thread's stack of modes, from the outermost to the innermost."""
    return [_mode_at(index) for index in range(_depth())]


def local_tensor(x: torch.Tensor) -> torch.Tensor | None:
    """The part of a distributed tensor that is in this process; None of other tensors."""
    return getattr(x, "_local_tensor", None)


def size_hint(size: int | torch.SymInt) -> int:
    """A size as a number. Of a symbolic one it is that of the traced input, without a guard."""
    return size.node.hint if isinstance(size, torch.SymInt) else size


def is_aten_op(function: object) -> bool:
    """Whether a function is one of ``torch.ops.aten``, with or without its overload."""
    if isinstance(function, torch._ops.OpOverload):
        return function.namespace == "aten"
    if isinstance(function, torch._ops.OpOverloadPacket):
        return function._qualified_op_name.startswith("aten::")
    return False


def overloads(packet: Any) -> list[Any]:
    """The overloads of an op that write into none of their arguments but the first."""
    return [getattr(packet, name) for name in packet.overloads() if "out" not in name]


def is_in_backward() -> bool:
    """Whether this thread runs a backward pass. A forward in one is a recomputation."""
    return graph_task() != -1


def is_jit_traced() -> bool:
    """Whether ``torch.jit.trace`` records what is computed."""
    return _tracing_state() is not None


def is_traced() -> bool:
    """Whether ``torch.jit.trace`` or ``make_fx`` records what is computed."""
    return is_jit_traced() or get_proxy_mode() is not None
