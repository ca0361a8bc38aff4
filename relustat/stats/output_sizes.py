"""The sizes of an activation's outputs, known from where its inputs lie."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from relustat._printable import printable

Float64Array = npt.NDArray[np.float64]


class _Function(NamedTuple):
    """A function of one number.

    Attributes:
        of: the function.
        turns: its zeros and extrema. Between two of them its size rises or falls.
        lowest, highest: its limits at -inf and inf.
    """

    of: Callable[[float], float]
    turns: tuple[float, ...]
    lowest: float
    highest: float

    def size(self, x: float) -> float:
        if math.isinf(x):
            return abs(self.lowest if x < 0 else self.highest)
        return abs(self.of(x))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _gelu(x: float) -> float:
    return x * math.erfc(-x / math.sqrt(2)) / 2


# Only those that have no parameter. The numbers are where the derivatives are 0.
_FUNCTIONS = {
    "ReLU": _Function(lambda x: max(x, 0.0), (0.0,), 0.0, math.inf),
    "ReLU6": _Function(lambda x: min(max(x, 0.0), 6.0), (0.0, 6.0), 0.0, 6.0),
    "SquaredReLU": _Function(lambda x: max(x, 0.0) ** 2, (0.0,), 0.0, math.inf),
    "SiLU": _Function(lambda x: x * _sigmoid(x), (-1.2784645427610738, 0.0), 0.0, math.inf),
    "GELU": _Function(_gelu, (-0.7517915246935645, 0.0), 0.0, math.inf),
    "Mish": _Function(
        lambda x: x * math.tanh(_softplus(x)), (-1.1924312145154137, 0.0), 0.0, math.inf
    ),
    "Hardswish": _Function(
        lambda x: x * min(max(x + 3, 0.0), 6.0) / 6, (-3.0, -1.5, 0.0), 0.0, math.inf
    ),
    "Sigmoid": _Function(_sigmoid, (), 0.0, 1.0),
    "Tanh": _Function(math.tanh, (0.0,), -1.0, 1.0),
}


def output_sizes(
    asked: str, activation: str, edges: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """The smallest and the largest size (magnitude) of outputs, by slot of a histogram of inputs.

    Args:
        asked: who asks, for the message.
        activation: a name, as :attr:`relustat.Activation.name`.
        edges: float64 [n + 1].

    Returns:
        Two arrays, float64 [n + 2]: of underflow, the bins, and overflow.

    Raises:
        ValueError: if the activation has parameters, which its name does not tell.
    """
    function = _FUNCTIONS.get(activation)
    if function is None:
        raise ValueError(
            f"{asked}: the activation must be one of {', '.join(_FUNCTIONS)}, "
            f"got {printable(activation)}"
        )
    ends = [-math.inf, *edges.tolist(), math.inf]
    sizes = []
    for left, right in itertools.pairwise(ends):
        points = [left, right, *(turn for turn in function.turns if left < turn < right)]
        found = [function.size(point) for point in points]
        sizes.append((min(found), max(found)))
    smallest, largest = np.array(sizes, dtype=np.float64).T
    return smallest, largest
