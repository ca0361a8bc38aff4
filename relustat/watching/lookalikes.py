"""Calls that give what a ReLU gives, in spellings that only their numbers tell: masks, maxima."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relustat._dynamo import inline_all_in_graph
from relustat._torch_internals import dispatch_mode_depth
from relustat.ops.inputs import is_symbolic

from .call_kinds import name_of
from .frames import outside_frame

# Calls of each function in a module that are looked at, and numbers of each that are compared.
_MOST_LOOKS = 64
_MOST_NUMBERS = 4096
# Numbers of either sign that are needed to say that it is a ReLU.
_ENOUGH = 8


class Look(NamedTuple):
    """A call that is looked at.

    Attributes:
        path: the module that makes it.
        position: where it stands in the code.
        inputs: each input, and some of its numbers before the call.
    """

    path: str
    position: Any
    inputs: list[tuple[Tensor, Tensor]]


class Lookalikes:
    """Finds calls whose output is the ReLU of one of their inputs.

    Only some numbers of a few calls are compared, and nothing here raises an error.

    Args:
        reasons: takes what is found, by the name of the call.
    """

    def __init__(self, reasons: dict[str, str]) -> None:
        self._reasons = reasons
        self._looks: Counter[Any] = Counter()
        # The number of positives and of negatives at each position; None if it is no ReLU.
        self._compared: dict[Any, tuple[int, int] | None] = {}

    def before(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        path: str,
    ) -> Look | None:
        """Notes the inputs of a call, if it is looked at."""
        if self._looks[path, function] >= _MOST_LOOKS:
            return None
        try:
            tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
            inputs = [x for x in tensors if x.is_floating_point()]
            if len(tensors) < 2 or any(map(is_symbolic, tensors)) or _is_recorded():
                return None
            self._looks[path, function] += 1
            frame = outside_frame()
            position = path, frame.f_code, frame.f_lasti
            if self._compared.get(position, (0, 0)) is None:
                return None
            return Look(path, position, [(x, _some_numbers(x).clone()) for x in inputs])
        except Exception:  # properties of special tensors may raise
            return None

    def after(self, look: Look, function: Callable[..., Any], output: Any) -> None:
        """Compares the output of a call with its inputs."""
        try:
            if output is None:  # of __setitem__
                output = look.inputs[0][0]
            found = _some_numbers(output)
            for x, before in look.inputs:
                if x.shape == output.shape and torch.equal(found, before.relu()):
                    self._agree(look, function, before)
                    return
            self._compared[look.position] = None
        except Exception:
            return

    def _agree(self, look: Look, function: Callable[..., Any], before: Tensor) -> None:
        positives, negatives = self._compared.get(look.position) or (0, 0)
        above, below = before[before > 0], before[before < 0]
        if len(above) and bool((above == above[0]).all()):
            return  # of the numbers -1 and 1 a product may look like a ReLU
        positives += len(above)
        negatives += len(below)
        self._compared[look.position] = positives, negatives
        if min(positives, negatives) >= _ENOUGH:
            name = name_of(function).strip("_")
            self._reasons[f"{look.path}.{name}" if look.path else name] = (
                "it gives what a ReLU gives; F.relu would be counted"
            )


def _some_numbers(x: Tensor) -> Tensor:
    """The first rows of a tensor, or a part of the one in the middle if rows are long."""
    x = x.detach()
    while x.numel() > _MOST_NUMBERS and x.dim() > 1:
        rows = _MOST_NUMBERS // max(1, x[0].numel())
        x = x[:rows] if rows else x[len(x) // 2]
    return x.flatten()[:_MOST_NUMBERS]


def _is_recorded() -> bool:
    """Whether somebody would see what is computed here."""
    is_captured = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
    return is_captured or dispatch_mode_depth() > 0


inline_all_in_graph(globals())
