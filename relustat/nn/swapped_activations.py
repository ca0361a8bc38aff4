"""What swapped relatives of ReLU do: they count, and compute what their class does."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from relustat.ops import library
from relustat.ops.counters import Counters
from relustat.ops.counting_activation import count_activation, counting_activation
from relustat.ops.family import Member
from relustat.ops.inputs import describe, is_called_directly, is_countable, is_symbolic

from .activations import ChosenActivations, counted_member, numbers_of
from .counted_module import described
from .replacements import Swapped


class SwappedActivation(Swapped):
    """An activation that counts: in the same pass if an op computes it, else beside its call.

    Args:
        module: the module.
        counters: those of its activation.
        chosen: the activations that count.
    """

    def __init__(self, module: Any, counters: Counters, chosen: ChosenActivations) -> None:
        super().__init__(module)
        self.counters = counters
        self.chosen = chosen
        self._known: tuple[Any, Member | None] = None, None

    def attributes(self) -> dict[str, Any]:
        return {**super().attributes(), "counters": self.counters}

    @property
    def member(self) -> Member | None:
        """What the module computes now; None if its numbers are not those that were counted."""
        numbers = numbers_of(self.module)
        if self._known[0] != numbers:
            self._known = numbers, counted_member(self.module, self.chosen, self.counters)
        return self._known[1]

    def plain(self, input: Tensor) -> Tensor:
        """What the plain module gives."""
        output: Tensor = type(self.module).forward(self.module, input)
        return output

    def forward(self, input: Tensor) -> Tensor:
        is_plain = is_called_directly(input)
        if not is_plain and isinstance(input, Tensor) and is_symbolic(input):
            return self.plain(input)
        if not is_plain and not (is_countable(input) and input.dtype in library.KERNEL_DTYPES):
            warnings.warn(
                f"swap: a swapped {type(self.module).__name__} does not count {describe(input)}; "
                "it computes what the plain one does",
                stacklevel=2,
            )
            return self.plain(input)
        member = self.member
        if member is None:
            warnings.warn(
                f"swap: a swapped {type(self.module).__name__} counts inputs of one activation, "
                f"{self.counters.activation.described}, and computes another one now; it is not "
                "counted",
                stacklevel=2,
            )
            return self.plain(input)
        if not member.is_fused:
            return self._counted_beside(input, member)
        return counting_activation(
            input,
            self.counters,
            member,
            inplace=getattr(self.module, "inplace", False),
            slopes=getattr(self.module, "weight", None),
        )

    def _counted_beside(self, input: Tensor, member: Member) -> Tensor:
        before = input
        if getattr(self.module, "inplace", False):
            before = input.detach().clone()
        output = self.plain(input)
        after = None if member.activation.near_zero is None else output
        if after is not None and after.dtype != before.dtype:
            before = before.to(after.dtype)  # as autocast has done
        count_activation(before, after, self.counters, member)
        return output

    def extra_repr(self) -> str:
        plain: str = type(self.module).extra_repr(self.module)
        if torch.compiler.is_dynamo_compiling():
            # vmap asks for it in a trace, in case it has to raise an error.
            return plain
        return ", ".join(filter(None, (plain, "counting", described(self.counters))))
