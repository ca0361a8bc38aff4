"""Which torch calls compute a ReLU, however they are spelt."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat._dynamo import inline_in_graph
from relustat.ops import library
from relustat.ops.counters import UnitDim
from relustat.ops.counting_relu import counting_relu

aten: Any = torch.ops.aten


class ReLUCall(NamedTuple):
    """A call that computes ``relu(x)``.

    Attributes:
        x: the input.
        inplace: whether the output is written over the input.
        replaceable: whether ``counting_relu`` gives the same output *and gradient*. ``clamp`` and
            ``threshold`` differ from ReLU in the gradient at 0 or in the sign of a zero.
        op, arguments: the same computation as an op below those functions.
    """

    x: Any
    inplace: bool
    replaceable: bool
    op: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@inline_in_graph
def find_relu_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> ReLUCall | None:
    """The ReLU that ``function(*args, **kwargs)`` computes, or None.

    Example:
        >>> import torch
        >>> x = torch.ones(2)
        >>> find_relu_call(torch.clamp, (x,), {"min": 0}) is None
        False
        >>> find_relu_call(torch.clamp, (x,), {"min": 0, "max": 6}) is None
        True
    """
    bind = BINDERS.get(function)
    if bind is None and torch.compiler.is_dynamo_compiling():
        # In eager code it is a graph, in which these calls were found when it was traced.
        bind = _BINDERS_IN_TRACES.get(function)
    if bind is None:
        return None
    try:
        return bind(*args, **kwargs)
    except TypeError:
        # Wrong arguments: the function itself raises the error.
        return None


def _relu(input: Any, inplace: bool = False) -> ReLUCall:
    op = aten.relu_.default if inplace else aten.relu.default
    return ReLUCall(input, inplace, True, op)


def _relu_(input: Any) -> ReLUCall:
    return _relu(input, inplace=True)


def _own(
    x: Any, counters: Any, *, inplace: bool = False, unit_dim: UnitDim | None = None
) -> ReLUCall:
    # A counting ReLU of the model: it counts into its own counters.
    op = functools.partial(counting_relu, inplace=inplace, unit_dim=unit_dim)
    return ReLUCall(x, inplace, False, op, (counters,))


def _own_op(x: Any, *arguments: Any, inplace: bool) -> ReLUCall:
    op = library.counting_relu_ if inplace else library.counting_relu
    return ReLUCall(x, inplace, False, op, arguments)


def _clamp(
    input: Any, min: Any = None, max: Any = None, *, out: Any = None, inplace: bool
) -> ReLUCall | None:
    if max is not None or out is not None or not _is_zero(min):
        return None
    op = aten.clamp_min_.default if inplace else aten.clamp_min.default
    return ReLUCall(input, inplace, False, op, (min,))


def _threshold(input: Any, threshold: Any, value: Any, inplace: bool = False) -> ReLUCall | None:
    if not (_is_zero(threshold) and _is_zero(value)):
        return None
    op = aten.threshold_.default if inplace else aten.threshold.default
    return ReLUCall(input, inplace, False, op, (threshold, value))


def _is_zero(value: Any) -> bool:
    # False is not a number here, although it equals 0 in Python.
    return isinstance(value, numbers.Real) and value is not False and value == 0


def _with_inplace(
    bind: Callable[..., ReLUCall | None], inplace: bool
) -> Callable[..., ReLUCall | None]:
    return lambda *args, **kwargs: bind(*args, **kwargs, inplace=inplace)


BINDERS: dict[Any, Callable[..., ReLUCall | None]] = {
    F.relu: _relu,
    torch.relu: _with_inplace(_relu, False),
    Tensor.relu: _with_inplace(_relu, False),
    torch.relu_: _relu_,
    Tensor.relu_: _relu_,
    F.relu_: _relu_,
    F.threshold: _threshold,
    torch.threshold: _with_inplace(_threshold, False),
    torch.threshold_: _with_inplace(_threshold, True),
    F.threshold_: _with_inplace(_threshold, True),  # type: ignore[attr-defined]
    **dict.fromkeys(
        (torch.clamp, Tensor.clamp, torch.clip, Tensor.clip, torch.clamp_min, Tensor.clamp_min),
        _with_inplace(_clamp, False),
    ),
    **dict.fromkeys(
        (
            torch.clamp_,
            Tensor.clamp_,
            torch.clip_,
            Tensor.clip_,
            torch.clamp_min_,
            Tensor.clamp_min_,
        ),
        _with_inplace(_clamp, True),
    ),
    counting_relu: _own,
}

_BINDERS_IN_TRACES: dict[Any, Callable[..., ReLUCall | None]] = {
    library.counting_relu: _with_inplace(_own_op, False),
    library.counting_relu_: _with_inplace(_own_op, True),
}
