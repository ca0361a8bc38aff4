"""Modules that are activations: which one each computes, and which of them a user has chosen."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from relustat.ops import family
from relustat.ops.counters import Counters
from relustat.ops.family import Member

from .counting_activations import CountingSquaredReLU

Activations = Literal["relu", "relu-like", "all"] | Iterable[str | type[nn.Module]]
"""What ``activations=`` may be."""

_WITH_KNEES: dict[str, tuple[type[nn.Module], ...]] = {
    "ReLU6": (nn.ReLU6,),
    "Hardtanh": (nn.Hardtanh,),
    "LeakyReLU": (nn.LeakyReLU,),
    "PReLU": (nn.PReLU,),
    "RReLU": (nn.RReLU,),
    "Threshold": (nn.Threshold,),
    "SquaredReLU": (CountingSquaredReLU,),
}
_SMOOTH: tuple[type[nn.Module], ...] = (
    *(nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.ELU, nn.CELU, nn.SELU),
    *(nn.Softplus, nn.Sigmoid, nn.Tanh),
)
# What others call a module that gives relu(x)**2, of which PyTorch has none.
_SQUARED = ("ReLUSquared", "ReLUSquaredActivation", "SquaredReLU")

RELU_LIKE = ("ReLU", *_WITH_KNEES)
"""The names of the activations that have a knee."""

SMOOTH = tuple(kind.__name__ for kind in _SMOOTH)
"""The names of those that have none."""

GATES = ("Hardsigmoid", "Sigmoid", "Tanh")
"""The names of those that rarely stand where a ReLU might stand."""


class ChosenActivations(NamedTuple):
    """The activations that are counted.

    Attributes:
        names: their names.
        near_zero: outputs up to this magnitude are near 0.
    """

    names: frozenset[str] = frozenset({"ReLU"})
    near_zero: float = 1e-3

    @classmethod
    def of(cls, caller: str, activations: Activations, near_zero: float) -> ChosenActivations:
        """What the arguments of ``caller`` say.

        Raises:
            TypeError: if ``near_zero`` is no number.
            ValueError: if there is no such activation, or ``near_zero`` is below 0.
        """
        known = {name.lower(): name for name in (*RELU_LIKE, *SMOOTH)}
        groups = {"relu": ["ReLU"], "relu-like": RELU_LIKE, "all": known.values()}
        if isinstance(activations, str):
            wanted: list[object] = [*groups.get(activations.lower(), [activations])]
        else:
            is_several = isinstance(activations, Iterable) and not isinstance(activations, type)
            wanted = list(activations) if is_several else [activations]
        texts = [each.__name__ if isinstance(each, type) else each for each in wanted]
        unknown = [each for each in texts if str(each).lower() not in known]
        if unknown or not texts:
            raise ValueError(
                f"{caller}: activations must be 'relu', 'relu-like', 'all' or a list of "
                f"{', '.join(known.values())}, got {unknown[0] if unknown else texts!r}"
            )
        if isinstance(near_zero, bool) or not isinstance(near_zero, (int, float)):
            raise TypeError(f"{caller}: near_zero must be a number, got {near_zero!r}")
        if not 0 <= near_zero <= sys.float_info.max:
            raise ValueError(
                f"{caller}: near_zero must be at least 0 and finite, got {near_zero!r}"
            )
        return cls(frozenset(known[str(each).lower()] for each in texts), float(near_zero))

    def to_dict(self) -> dict[str, object]:
        """The choice as plain numbers and texts; None is the default."""
        if self.names == {"ReLU"}:
            return {"activations": None, "near_zero": None}
        groups = {"relu-like": {*RELU_LIKE}, "all": {*RELU_LIKE, *SMOOTH}}
        named = [name for name, group in groups.items() if group == self.names]
        is_smooth = not self.names.isdisjoint(SMOOTH)
        return {
            "activations": named[0] if named else sorted(self.names),
            "near_zero": self.near_zero if is_smooth else None,
        }

    def module_kinds(self) -> tuple[type[nn.Module], ...]:
        """The classes of the modules that compute one of these."""
        kinds = [kind for name in self.names for kind in _WITH_KNEES.get(name, ())]
        return (*kinds, *(kind for kind in _SMOOTH if kind.__name__ in self.names))


def choice_with(name: str) -> str:
    """The smallest choice of ``activations`` that has this one."""
    return "relu" if name == "ReLU" else "relu-like" if name in RELU_LIKE else "all"


def computes_relu(module: nn.Module) -> bool:
    """Whether a module is a ReLU, also one of another class whose arguments make it one."""
    if isinstance(module, nn.Threshold):
        return bool(module.threshold == 0 == module.value)
    if isinstance(module, nn.Hardtanh):
        return bool(module.min_val == 0 and module.max_val == math.inf)
    if isinstance(module, nn.LeakyReLU):
        return bool(module.negative_slope == 0)
    return isinstance(module, nn.ReLU)


def activation_of(module: nn.Module) -> str:
    """The name of the activation that a module computes; empty if it is none."""
    return "ReLU" if computes_relu(module) else _relative(module)


def _relative(module: nn.Module) -> str:
    """The name of its class of activations, also where its arguments make it a ReLU."""
    if isinstance(module, nn.Hardtanh):
        return "ReLU6" if module.min_val == 0 and module.max_val == 6 else "Hardtanh"
    for name, kinds in _WITH_KNEES.items():
        if isinstance(module, kinds):
            return name
    return next((kind.__name__ for kind in _SMOOTH if isinstance(module, kind)), "")


def other_activation(module: nn.Module) -> str:
    """The name of what stands where a ReLU might stand; empty if nothing does. Gates do not."""
    name = activation_of(module)
    return "" if name == "ReLU" or name in GATES else name


def gives_squared_relu(module: nn.Module) -> bool:
    """Whether a module of such a name, without parameters, gives ``relu(x)**2`` of some numbers.

    Its ReLU is seen by a watch, which does not ask for it.
    """
    if type(module).__name__ not in _SQUARED:
        return False
    if next(module.parameters(), None) is not None or next(module.buffers(), None) is not None:
        return False
    x = torch.tensor([-2.0, -1.0, -0.0, 0.0, 0.5, 1.5, 3.0])
    with torch.no_grad():
        try:
            output = type(module).forward(module, x.clone())
        except Exception:  # whatever a class of that name does
            return False
    return isinstance(output, Tensor) and torch.equal(output, x.relu().square())


def numbers_of(module: nn.Module) -> tuple[float, ...]:
    """The numbers of a module that decide what it computes, and may be changed."""
    if isinstance(module, nn.Hardtanh):
        return module.min_val, module.max_val
    if isinstance(module, nn.LeakyReLU):
        return (module.negative_slope,)
    return (module.threshold, module.value) if isinstance(module, nn.Threshold) else ()


def member_of(module: nn.Module, chosen: ChosenActivations) -> Member | None:
    """How a module's activation is computed and counted; None if it is a ReLU, or not chosen.

    Raises:
        ValueError: if its numbers are none that an activation may have.
    """
    name = _relative(module) or ("SquaredReLU" if gives_squared_relu(module) else "")
    if name not in chosen.names:
        return None
    if isinstance(module, nn.Hardtanh):
        return family.hardtanh(module.min_val, module.max_val)
    if isinstance(module, nn.LeakyReLU):
        return family.leaky_relu(module.negative_slope)
    if isinstance(module, nn.Threshold):
        return family.threshold(module.threshold, module.value)
    without_numbers = {
        "PReLU": family.prelu,
        "RReLU": family.rrelu,
        "SquaredReLU": family.squared_relu,
    }
    make = without_numbers.get(name)
    return make() if make is not None else family.smooth(name, chosen.near_zero)


def counted_member(
    module: nn.Module, chosen: ChosenActivations, counters: Counters
) -> Member | None:
    """:func:`member_of`; None if these counters are of another activation."""
    try:
        member = member_of(module, chosen)
    except (TypeError, ValueError):
        return None
    return member if member is not None and member.activation == counters.activation else None
