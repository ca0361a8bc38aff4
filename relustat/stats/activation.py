"""What the counts of an activation mean: where it is inactive, and where it is saturated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from relustat._printable import printable


class Activation(NamedTuple):
    """An activation, and what its counts mean. docs/activations.md has the table of meanings.

    Attributes:
        name: that of PyTorch's class: ``"ReLU6"``.
        lower: the lower knee: inputs up to it are inactive.
        upper: the upper knee: inputs from it on are saturated. None: it has none.
        near_zero: of an activation without a knee: inputs are inactive whose outputs have at most
            this magnitude. None: it has a knee.
        gives_zero: whether the outputs of inactive inputs are 0.

    Example:
        >>> from relustat import Activation
        >>> Activation("ReLU6", 0.0, 6.0).inactive_inputs
        'input <= 0'
        >>> Activation("GELU", near_zero=1e-3).inactive_inputs
        '|output| <= 0.001'
    """

    name: str
    lower: float = 0.0
    upper: float | None = None
    near_zero: float | None = None
    gives_zero: bool = False

    @property
    def inactive_inputs(self) -> str:
        """Which inputs are inactive, for people."""
        if self.near_zero is not None:
            return f"|output| <= {self.near_zero:g}"
        return f"input <= {self.lower:g}"

    @property
    def knee(self) -> float | None:
        """The lower knee, if there is one."""
        return self.lower if self.near_zero is None else None

    @property
    def adjective(self) -> str:
        """What tables and pictures call an inactive input, or its output."""
        return "zero" if self.gives_zero else "inactive"

    @property
    def noun(self) -> str:
        """What they call all of them."""
        return "zeros" if self.gives_zero else "inactive inputs"

    @property
    def described(self) -> str:
        """Its name and its knees, for messages."""
        upper = "" if self.upper is None else f", saturated: input >= {self.upper:g}"
        return f"{printable(self.name)} (inactive: {self.inactive_inputs}{upper})"

    def check(self) -> None:
        """Raises a ValueError if there can be no such activation."""
        name = printable(self.name)
        for which, knee in (("lower", self.lower), ("upper", self.upper)):
            if knee is not None and math.isnan(knee):
                raise ValueError(f"{name}: the {which} knee must be a number, got {knee}")
        if self.upper is not None and not self.lower < self.upper:
            raise ValueError(
                f"{name}: the lower knee must be below the upper one, "
                f"got {self.lower} and {self.upper}"
            )
        if self.near_zero is None:
            return
        if not self.near_zero >= 0:
            raise ValueError(f"{name}: near_zero must be at least 0, got {self.near_zero}")
        if self.upper is not None or self.lower != 0:
            raise ValueError(
                f"{name}: there must be knees or near_zero, not both, got {self.lower}, "
                f"{self.upper} and {self.near_zero}"
            )

    def encoded(self) -> str:
        """A text from which :meth:`decoded` makes it again."""
        return f"{self.name}|{self.lower}|{self.upper}|{self.near_zero}|{self.gives_zero}"

    @classmethod
    def decoded(cls, text: str) -> Activation:
        """The activation of :meth:`encoded`; the ReLU's text is empty."""
        if not text:
            return RELU
        name, *numbers, gives_zero = text.rsplit("|", 4)
        lower, upper, near_zero = (None if each == "None" else float(each) for each in numbers)
        return cls(name, lower or 0.0, upper, near_zero, gives_zero == "True")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts, for JSON, which has no infinity."""
        numbers = {name: _as_text(getattr(self, name)) for name in ("lower", "upper", "near_zero")}
        return {"name": self.name, **numbers, "gives_zero": self.gives_zero}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any] | None) -> Activation:
        """The activation whose :meth:`to_dict` this is; None is the ReLU.

        Raises:
            KeyError, TypeError, ValueError: if it is no such dict.
        """
        if state is None:
            return RELU
        name, lower, upper, near_zero, gives_zero = (state[field] for field in cls._fields)
        if not isinstance(name, str) or not isinstance(gives_zero, bool) or lower is None:
            raise ValueError(f"an activation must have a name and a knee, got {state!r}")
        lower, upper, near_zero = map(_as_number, (lower, upper, near_zero))
        activation = cls(name, lower, upper, near_zero, gives_zero)
        activation.check()
        return activation


def _as_text(number: float | None) -> float | str | None:
    return str(number) if number is not None and math.isinf(number) else number


def _as_number(number: Any) -> Any:
    if isinstance(number, bool) or not isinstance(number, (int, float, str, type(None))):
        raise ValueError(f"a knee must be a number, got {number!r}")
    return None if number is None else float(number)


RELU = Activation("ReLU", gives_zero=True)
