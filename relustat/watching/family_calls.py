"""Which torch calls compute a relative of ReLU, however they are spelt."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import builtin_functional, is_aten_op, overloads
from relustat.nn.activations import SMOOTH, ChosenActivations
from relustat.ops import family, library
from relustat.ops.counting_activation import counting_activation
from relustat.ops.family import Member

from .relu_calls import ActivationCall

aten: Any = torch.ops.aten


def find_family_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    chosen: ChosenActivations,
) -> ActivationCall | None:
    """The relative of ReLU that ``function(*args, **kwargs)`` computes, if it is chosen.

    Example:
        >>> import torch
        >>> from relustat.nn.activations import ChosenActivations
        >>> chosen = ChosenActivations.of("watch", "all", 1e-3)
        >>> call = find_family_call(torch.clamp, (torch.ones(2),), {"min": 0, "max": 6}, chosen)
        >>> call.member.activation.name
        'ReLU6'
    """
    bind = FAMILY_BINDERS.get(function) or FAMILY_GRAPH_BINDERS.get(function)
    if bind is None:
        return None
    try:
        call = bind(chosen.near_zero, *args, **kwargs)
    except TypeError:
        # Wrong arguments: the function itself raises the error.
        return None
    if call is None or call.member.activation.name not in chosen.names:
        return None
    return call  # type: ignore[no-any-return]


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _hardtanh(
    _near_zero: float,
    input: Any,
    min_val: Any = -1.0,
    max_val: Any = 1.0,
    inplace: bool = False,
) -> ActivationCall | None:
    if not (_is_number(min_val) and _is_number(max_val)) or not min_val < max_val:
        return None
    member = family.hardtanh(min_val, max_val)
    op = aten.hardtanh_.default if inplace else aten.hardtanh.default
    return ActivationCall(input, inplace, True, op, (min_val, max_val), member)


def _relu6(near_zero: float, input: Any, inplace: bool = False) -> ActivationCall | None:
    return _hardtanh(near_zero, input, 0.0, 6.0, inplace)


def _clamp(
    _near_zero: float,
    input: Any,
    min: Any = None,
    max: Any = None,
    *,
    inplace: bool = False,
) -> ActivationCall | None:
    # Other bounds are as often those of pixels or logarithms.
    if not (_is_number(min) and _is_number(max) and min == 0 and max == 6):
        return None
    op = aten.clamp_.default if inplace else aten.clamp.default
    # Its gradient at the knees is another one.
    return ActivationCall(input, inplace, False, op, (min, max), family.relu6())


def _leaky_relu(
    _near_zero: float,
    input: Any,
    negative_slope: Any = 0.01,
    inplace: bool = False,
) -> ActivationCall | None:
    if not _is_number(negative_slope) or not math.isfinite(negative_slope):
        return None
    op = aten.leaky_relu_.default if inplace else aten.leaky_relu.default
    member = family.leaky_relu(negative_slope)
    return ActivationCall(input, inplace, True, op, (negative_slope,), member)


def _prelu(_near_zero: float, input: Any, weight: Any) -> ActivationCall | None:
    op = aten.prelu.default
    return ActivationCall(input, False, True, op, (weight,), family.prelu(), weight)


def _rrelu(
    _near_zero: float,
    input: Any,
    lower: Any = 1 / 8,
    upper: Any = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> ActivationCall:
    op = aten.rrelu_.default if inplace else aten.rrelu.default
    return ActivationCall(input, inplace, False, op, (lower, upper, training), family.rrelu())


def _threshold(
    _near_zero: float, input: Any, threshold: Any, value: Any, inplace: bool = False
) -> ActivationCall | None:
    if not (_is_number(threshold) and _is_number(value)):
        return None
    if math.isnan(threshold) or math.isnan(value):
        return None
    op = aten.threshold_.default if inplace else aten.threshold.default
    member = family.threshold(threshold, value)
    return ActivationCall(input, inplace, True, op, (threshold, value), member)


def _own(
    _near_zero: float,
    x: Any,
    counters: Any,
    member: Member,
    *,
    inplace: bool = False,
    slopes: Any = None,
    unit_dim: Any = None,
    mask: Any = None,
) -> ActivationCall:
    # A counting module of the model: it counts into its own counters.
    options = {"inplace": inplace, "slopes": slopes, "unit_dim": unit_dim, "mask": mask}
    op = functools.partial(counting_activation, **options)
    return ActivationCall(x, inplace, False, op, (counters, member), member)


def _own_op(
    _near_zero: float, x: Any, *arguments: Any, inplace: bool, **options: Any
) -> ActivationCall:
    """The op of a counting module, in a graph."""
    op = library.counting_activation_ if inplace else library.counting_activation
    kind, first, second, *rest = arguments[4:]
    has_slopes = not inplace and bool(rest) and rest[0] is not None
    member = family.of_op(kind, first, second, has_slopes)
    op = functools.partial(op, **options)
    return ActivationCall(x, inplace, False, op, arguments, member)


# Between the input and `inplace`.
_NUMBERS = {"ELU": 1, "CELU": 1, "Softplus": 2}


def _smooth(name: str) -> Callable[..., ActivationCall]:
    """What binds the calls of an activation whose further arguments do not matter."""
    function = name.lower()
    plain = getattr(aten, function).default
    in_place = getattr(aten, f"{function}_").default if hasattr(aten, f"{function}_") else plain
    numbers_of = _NUMBERS.get(name, 0)

    def bind(
        near_zero: float, input: Any, *arguments: Any, inplace: bool = False, **options: Any
    ) -> ActivationCall:
        # In place or not; of an op in a graph it is another number.
        if len(arguments) > numbers_of and isinstance(arguments[numbers_of], bool):
            inplace = arguments[numbers_of]
            arguments = arguments[:numbers_of]
        op = functools.partial(in_place if inplace else plain, **options)
        # With out= the input may be written over, too.
        is_changed = inplace or options.get("out") is not None
        member = family.smooth(name, near_zero)
        return ActivationCall(input, is_changed, False, op, arguments, member)

    return bind


def _with_inplace(bind: Callable[..., Any], inplace: bool) -> Callable[..., Any]:
    return lambda *args, **kwargs: bind(*args, **kwargs, inplace=inplace)


_BY_NAME: dict[str, Callable[..., Any]] = {
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "leaky_relu": _leaky_relu,
    "threshold": _threshold,
    "clamp": _clamp,
    "clip": _clamp,
    "prelu": _prelu,
    "rrelu": _rrelu,
    **{name.lower(): _smooth(name) for name in SMOOTH},
    "expit": _smooth("Sigmoid"),
}
_WITHOUT_IN_PLACE = ("prelu",)


def _spellings(name: str) -> Iterator[tuple[Any, Callable[..., Any]]]:
    bind = _BY_NAME[name]
    for home in (torch, Tensor, F, builtin_functional, torch.special, aten):
        if hasattr(home, name):
            yield getattr(home, name), bind
        if hasattr(home, f"{name}_") and name not in _WITHOUT_IN_PLACE:
            yield getattr(home, f"{name}_"), _with_inplace(bind, True)


FAMILY_BINDERS: dict[Any, Callable[..., Any]] = {
    **{function: bind for name in _BY_NAME for function, bind in _spellings(name)},
    counting_activation: _own,
}
"""How each function's arguments say which relative of ReLU it computes."""

FAMILY_GRAPH_BINDERS: dict[Any, Callable[..., Any]] = {
    **{
        overload: bind
        for packet, bind in FAMILY_BINDERS.items()
        if is_aten_op(packet)
        for overload in overloads(packet)
    },
    library.counting_activation: _with_inplace(_own_op, False),
    library.counting_activation_: _with_inplace(_own_op, True),
}
"""The same of ops in graphs."""

inline_all_in_graph(globals())
