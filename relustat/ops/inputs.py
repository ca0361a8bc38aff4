"""What kind of tensor an op is given."""

from __future__ import annotations

import torch
from torch import Tensor

from relustat._dynamo import is_exporting, is_transformed
from relustat._torch_internals import is_traced

from . import library

_REFERENCE_DTYPES = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})


def is_called_directly(x: object) -> bool:
    """Whether nothing has to see the call of an op but its kernels (``library``)."""
    return not torch.compiler.is_dynamo_compiling() and bool(library.without_dispatcher.is_plain(x))


def is_countable(x: object) -> bool:
    """Whether :func:`counting_relu` counts ``x``."""
    return is_called_directly(x) or (
        isinstance(x, Tensor)
        and (x.dtype in library.KERNEL_DTYPES or x.dtype in _REFERENCE_DTYPES)
        and is_dense(x)
    )


def is_dense(x: object) -> bool:
    """Whether ``x`` is a tensor with a number for each index."""
    return isinstance(x, Tensor) and x.layout is torch.strided and not x.is_nested


def is_symbolic(x: Tensor) -> bool:
    """Whether ``x`` holds no numbers but stands for them, in a trace or a transform."""
    if torch.compiler.is_dynamo_compiling():
        return bool(is_exporting() or is_transformed())
    return x.is_meta or not keeps_numbers(x) or is_transformed() or is_traced()


def why_symbolic(x: Tensor) -> str:
    """Why ``x`` is symbolic, for messages; empty if it is not. Not for code that is traced."""
    if library.without_dispatcher.is_plain(x):
        return ""
    if x.is_meta:
        return "its input was on the meta device"
    if is_transformed():
        return "it ran under a torch.func transform"
    return "it was traced" if is_traced() else ""


def keeps_numbers(x: Tensor) -> bool:
    """Whether ``x``, if it is of a subclass, keeps its numbers where a tensor does."""
    kind = type(x)
    return kind is Tensor or kind.__torch_dispatch__ is Tensor.__torch_dispatch__


def describe(x: object) -> str:
    """What kind of input this is, for messages."""
    if not isinstance(x, Tensor):
        return type(x).__name__
    if x.is_nested:
        return f"a nested tensor of {x.dtype}"
    return f"a {type(x).__name__} of {x.dtype}, {x.layout}"
