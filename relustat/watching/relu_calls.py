"""Which torch calls compute a ReLU, however they are spelt."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat._dynamo import inline_in_graph
from relustat._torch_internals import builtin_functional, is_aten_op, overloads
from relustat.ops import library
from relustat.ops.counting_relu import counting_relu
from relustat.ops.family import Member
from relustat.ops.inputs import is_symbolic
from relustat.ops.unit_dim import UnitDim

aten: Any = torch.ops.aten


class ActivationCall(NamedTuple):
    """A call that computes ``relu(x)``, or a relative of ReLU.

    Attributes:
        x: the input.
        inplace: whether the output is written over the input.
        replaceable: whether ``counting_relu``, or of a relative ``counting_activation``, gives the
            same output *and gradient*. ``clamp`` and ``threshold`` differ from ReLU in the gradient
            at 0 or in the sign of a zero.
        op, arguments: the same computation as an op below those functions.
        member: what is computed; None: a ReLU.
        slopes: of PReLU.
    """

    x: Any
    inplace: bool
    replaceable: bool
    op: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    member: Member | None = None
    slopes: Any = None


@inline_in_graph
def find_relu_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> ActivationCall | None:
    """The ReLU that ``function(*args, **kwargs)`` computes, or None.

    Example:
        >>> import torch
        >>> x = torch.ones(2)
        >>> find_relu_call(torch.clamp, (x,), {"min": 0}) is None
        False
        >>> find_relu_call(torch.clamp, (x,), {"min": 0, "max": 6}) is None
        True
    """
    bind = BINDERS.get(function) or GRAPH_BINDERS.get(function)
    if bind is None:
        return None
    try:
        return bind(*args, **kwargs)
    except TypeError:
        # Wrong arguments: the function itself raises the error.
        return None


def _relu(input: Any, inplace: bool = False) -> ActivationCall:
    op = aten.relu_.default if inplace else aten.relu.default
    return ActivationCall(input, inplace, True, op)


def _relu_(input: Any) -> ActivationCall:
    return _relu(input, inplace=True)


def _own(
    x: Any,
    counters: Any,
    *,
    inplace: bool = False,
    unit_dim: UnitDim | None = None,
    mask: Any = None,
) -> ActivationCall:
    # A counting ReLU of the model: it counts into its own counters.
    op = functools.partial(counting_relu, inplace=inplace, unit_dim=unit_dim, mask=mask)
    return ActivationCall(x, inplace, False, op, (counters,))


def _own_op(x: Any, *arguments: Any, inplace: bool) -> ActivationCall:
    op = library.counting_relu_ if inplace else library.counting_relu
    return ActivationCall(x, inplace, False, op, arguments)


def _clamp(
    input: Any, min: Any = None, max: Any = None, *, out: Any = None, inplace: bool
) -> ActivationCall | None:
    if not (_is_zero(min, input) and _is_infinite(max)):
        return None
    if out is not None and torch.compiler.is_dynamo_compiling():
        return None
    op = aten.clamp_min_.default if inplace else aten.clamp_min.default
    return ActivationCall(input, inplace, False, op, (min,))


def _threshold(
    input: Any, threshold: Any, value: Any, inplace: bool = False
) -> ActivationCall | None:
    if not (_is_zero(threshold) and _is_zero(value)):
        return None
    op = aten.threshold_.default if inplace else aten.threshold.default
    return ActivationCall(input, inplace, False, op, (threshold, value))


def _hardtanh(
    input: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: bool = False
) -> ActivationCall | None:
    if not (_is_zero(min_val) and max_val == math.inf):
        return None
    op = aten.hardtanh_.default if inplace else aten.hardtanh.default
    return ActivationCall(input, inplace, False, op, (min_val, max_val))


def _leaky_relu(
    input: Any, negative_slope: Any = 0.01, inplace: bool = False
) -> ActivationCall | None:
    if not _is_zero(negative_slope):
        return None
    op = aten.leaky_relu_.default if inplace else aten.leaky_relu.default
    return ActivationCall(input, inplace, False, op, (negative_slope,))


def _is_zero(value: Any, of: Any = None) -> bool:
    """Whether a bound is 0: a number, or a tensor of one number that is on the CPU."""
    if isinstance(of, Tensor) and isinstance(value, Tensor):
        if torch.compiler.is_dynamo_compiling() or value.dim() > of.dim():
            return False
        if not (value.is_cpu and value.numel() == 1) or is_symbolic(value):
            return False
        value = value.item()
    # False is not a number here, although it equals 0 in Python.
    return isinstance(value, numbers.Real) and value is not False and value == 0


def _is_infinite(bound: Any) -> bool:
    return bound is None or (isinstance(bound, float) and bound == math.inf)


def _with_inplace(
    bind: Callable[..., ActivationCall | None], inplace: bool
) -> Callable[..., ActivationCall | None]:
    return lambda *args, **kwargs: bind(*args, **kwargs, inplace=inplace)


_Bind = Callable[..., ActivationCall | None]

_BY_NAME: dict[str, _Bind] = {
    "relu": _relu,
    "threshold": _threshold,
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    "hardtanh": _hardtanh,
    "leaky_relu": _leaky_relu,
}


def _spellings() -> Iterator[tuple[Any, _Bind]]:
    for name, bind in _BY_NAME.items():
        for inplace, spelt in ((False, name), (True, f"{name}_")):
            for home in (torch, Tensor, F, builtin_functional, aten):
                function = getattr(home, spelt, None)
                if function is not None:
                    yield function, _with_inplace(bind, inplace)


BINDERS: dict[Any, _Bind] = {
    **dict(_spellings()),
    # These have an argument for it.
    **{
        getattr(F, name): _BY_NAME[name] for name in ("relu", "threshold", "hardtanh", "leaky_relu")
    },
    counting_relu: _own,
}
"""How each function's arguments say whether it computes a ReLU."""

GRAPH_BINDERS: dict[Any, _Bind] = {
    **{
        overload: bind
        for packet, bind in BINDERS.items()
        if is_aten_op(packet)
        for overload in overloads(packet)
    },
    library.counting_relu: _with_inplace(_own_op, False),
    library.counting_relu_: _with_inplace(_own_op, True),
}
"""The same of ops in graphs. The compiler's graphs have them, too, for what was counted before."""
