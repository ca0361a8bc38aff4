"""The drop-in modules of the family of ReLU: they count while they compute."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from relustat.ops import family
from relustat.ops.counters import Counters
from relustat.ops.counting_activation import counting_activation
from relustat.ops.family import Member

from .counted_module import CountedModule, described


class _CountingActivation(CountedModule):
    """A module whose member of the family an op computes and counts."""

    inplace: bool

    def _set_counters(self, **options: Any) -> None:
        member = self._make(*self._numbers())
        self._known: tuple[Any, Member | None] = self._numbers(), member
        self.counters = Counters(**options, activation=member.activation)

    def _numbers(self) -> tuple[float, ...]:
        """The numbers of the module, which may be changed."""
        return ()

    def _make(self, *numbers: float) -> Member:
        raise NotImplementedError

    @property
    def member(self) -> Member | None:
        """What the module computes now; None if its numbers are not those that were counted."""
        numbers = self._numbers()
        if self._known[0] != numbers:
            self._known = numbers, self._made_again(numbers)
        return self._known[1]

    def _made_again(self, numbers: tuple[float, ...]) -> Member | None:
        try:
            member = self._make(*numbers)
        except (TypeError, ValueError):
            return None
        return member if member.activation == self.counters.activation else None

    def forward(self, input: Tensor) -> Tensor:
        member = self.member
        if member is None:
            warnings.warn(
                f"{type(self).__name__}: counts inputs of one activation, "
                f"{self.counters.activation.described}, and computes another one now; it is not "
                "counted",
                stacklevel=2,
            )
            plain: Tensor = super().forward(input)
            return plain
        return counting_activation(input, self.counters, member, inplace=self.inplace)

    def extra_repr(self) -> str:
        plain: str = super().extra_repr()
        if torch.compiler.is_dynamo_compiling():
            return plain
        return ", ".join(filter(None, (plain, described(self.counters))))


class CountingHardtanh(_CountingActivation, nn.Hardtanh):
    """``nn.Hardtanh`` that counts its inactive and saturated inputs while it computes.

    As of all modules of this family, outputs and gradients are bit for bit those of PyTorch's
    module, and the counts are as :class:`relustat.CountingReLU` keeps them.

    Args:
        min_val: the lower knee.
        max_val: the upper knee.
        inplace: as in ``nn.Hardtanh``.
        options: ``bins``, ``unit_dim``, ``unit_histograms``, ``every``, ``zero_blocks``: see
            :class:`relustat.Counters`.

    Raises:
        ValueError: if ``min_val`` is not below ``max_val``.

    Example:
        >>> import torch, relustat
        >>> hardtanh = relustat.CountingHardtanh()
        >>> hardtanh(torch.tensor([[-3.0, 0.5, 2.0, 1.0]]))
        tensor([[-1.0000,  0.5000,  1.0000,  1.0000]])
        >>> hardtanh.stats.inactive, hardtanh.stats.saturated
        (1, 2)
    """

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, **options: Any
    ) -> None:
        family.hardtanh(min_val, max_val)  # its error says what is wrong
        super().__init__(min_val, max_val, inplace)
        self._set_counters(**options)

    def _numbers(self) -> tuple[float, ...]:
        return self.min_val, self.max_val

    def _make(self, *numbers: float) -> Member:
        return family.hardtanh(*numbers)


class CountingReLU6(_CountingActivation, nn.ReLU6):
    """``nn.ReLU6`` that counts its zeros and saturated inputs while it computes.

    Args:
        inplace: as in ``nn.ReLU6``.
        options: see :class:`CountingHardtanh`.

    Example:
        >>> import torch, relustat
        >>> relu6 = relustat.CountingReLU6()
        >>> relu6(torch.tensor([[-3.0, 0.5, 6.0]]))
        tensor([[0.0000, 0.5000, 6.0000]])
        >>> relu6.stats.zeros, relu6.stats.unit_saturated.tolist()
        (1, [0, 0, 1])
    """

    def __init__(self, inplace: bool = False, **options: Any) -> None:
        super().__init__(inplace)
        self._set_counters(**options)

    def _numbers(self) -> tuple[float, ...]:
        return self.min_val, self.max_val

    def _make(self, *numbers: float) -> Member:
        return family.hardtanh(*numbers)


class CountingLeakyReLU(_CountingActivation, nn.LeakyReLU):
    """``nn.LeakyReLU`` that counts its inactive inputs while it computes.

    Args:
        negative_slope: as in ``nn.LeakyReLU``.
        inplace: as in ``nn.LeakyReLU``.
        options: see :class:`CountingHardtanh`.

    Raises:
        ValueError: if the slope is not finite.

    Example:
        >>> import torch, relustat
        >>> leaky = relustat.CountingLeakyReLU(0.5)
        >>> leaky(torch.tensor([[-3.0, 0.5]]))
        tensor([[-1.5000,  0.5000]])
        >>> leaky.stats.inactive, leaky.stats.activation_rate
        (1, 0.5)
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False, **options: Any) -> None:
        family.leaky_relu(negative_slope)  # its error says what is wrong
        super().__init__(negative_slope, inplace)
        self._set_counters(**options)

    def _numbers(self) -> tuple[float, ...]:
        return (self.negative_slope,)

    def _make(self, *numbers: float) -> Member:
        return family.leaky_relu(*numbers)


class CountingPReLU(_CountingActivation, nn.PReLU):
    """``nn.PReLU`` that counts its inactive inputs while it computes.

    Slopes of channels are part of the same pass if the units are the channels (dimension 1). For
    other units the input is read once more.

    Args:
        num_parameters: number of slopes: 1, or the number of channels.
        init: their first value.
        device: as in ``nn.PReLU``.
        dtype: as in ``nn.PReLU``.
        options: see :class:`CountingHardtanh`.

    Example:
        >>> import torch, relustat
        >>> prelu = relustat.CountingPReLU(2, init=0.5)
        >>> prelu(torch.tensor([[-3.0, 0.5]])).tolist(), prelu.stats.unit_inactive.tolist()
        ([[-1.5, 0.5]], [1, 0])
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(num_parameters, init, device, dtype)
        self._set_counters(**options)

    def _make(self, *_: float) -> Member:
        return family.PRELU

    def forward(self, input: Tensor) -> Tensor:
        return counting_activation(input, self.counters, family.PRELU, slopes=self.weight)


class CountingThreshold(_CountingActivation, nn.Threshold):
    """``nn.Threshold`` that counts its inactive inputs while it computes.

    With ``value=0`` it is the thresholded ReLU of Konda et al., "Zero-bias autoencoders and the
    benefits of co-adapting features" (ICLR 2015).

    Args:
        threshold: inputs up to it are inactive.
        value: the output of inactive inputs.
        inplace: as in ``nn.Threshold``.
        options: see :class:`CountingHardtanh`.

    Raises:
        ValueError: if one of the two is NaN.

    Example:
        >>> import torch, relustat
        >>> threshold = relustat.CountingThreshold(1.0, 0.0)
        >>> threshold(torch.tensor([[1.0, 1.5]])).tolist(), threshold.stats.zeros
        ([[0.0, 1.5]], 1)
    """

    def __init__(
        self, threshold: float, value: float, inplace: bool = False, **options: Any
    ) -> None:
        family.threshold(threshold, value)  # its error says what is wrong
        super().__init__(threshold, value, inplace)
        self._set_counters(**options)

    def _numbers(self) -> tuple[float, ...]:
        return self.threshold, self.value

    def _make(self, *numbers: float) -> Member:
        return family.threshold(*numbers)


class CountingSquaredReLU(_CountingActivation):
    """``relu(x) ** 2`` that counts its zeros while it computes.

    It is from So et al., "Primer: Searching for efficient Transformers for language modeling"
    (NeurIPS 2021). PyTorch has no module for it.

    Args:
        inplace: whether the output is written over the input.
        options: see :class:`CountingHardtanh`.

    Example:
        >>> import torch, relustat
        >>> squared = relustat.CountingSquaredReLU()
        >>> squared(torch.tensor([[-3.0, 3.0]])).tolist(), squared.stats.zeros
        ([[0.0, 9.0]], 1)
    """

    def __init__(self, inplace: bool = False, **options: Any) -> None:
        super().__init__()
        self.inplace = inplace
        self._set_counters(**options)

    def _make(self, *_: float) -> Member:
        return family.squared_relu()
