"""The drop-in module that counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from relustat.ops.counters import Counters, UnitDim
from relustat.ops.counting_relu import counting_relu
from relustat.stats.bins import Bins, LogBins
from relustat.stats.relu_stats import ReLUStats

from ._torchscript import not_scriptable

if TYPE_CHECKING:
    from typing_extensions import Self


class CountingReLU(nn.ReLU):
    """``nn.ReLU`` that counts its zeros and fills a histogram of its inputs while it rectifies.

    Outputs and gradients are bit for bit those of ``nn.ReLU``. The counts are neither parameters
    nor buffers: ``state_dict()`` is empty, and checkpoints load both ways. ``deepcopy`` and
    ``pickle`` keep the counts, and ``.to()`` moves them. Processes that share a module's memory
    count separately.

    A module may be called at several positions of a model. Totals are exact, and units are kept by
    width (``stats.of_width``). :func:`relustat.watch` tells the positions apart.

    Args:
        inplace: as in ``nn.ReLU``.
        bins, unit_dim, unit_histograms, every, zero_blocks: see :class:`relustat.Counters`.

    Example:
        >>> import torch, relustat
        >>> relu = relustat.CountingReLU()
        >>> y = relu(torch.randn(8, 16, 4, 4))
        >>> relu.stats.elements, relu.stats.zeros == (y == 0).sum()
        (2048, tensor(True))
    """

    def __init__(
        self,
        inplace: bool = False,
        *,
        bins: Bins | None = LogBins(),
        unit_dim: UnitDim = "auto",
        unit_histograms: bool = False,
        every: int = 1,
        zero_blocks: int | None = None,
    ) -> None:
        super().__init__(inplace)
        self.counters = Counters(
            bins,
            unit_dim=unit_dim,
            unit_histograms=unit_histograms,
            every=every,
            zero_blocks=zero_blocks,
        )

    def forward(self, input: Tensor) -> Tensor:
        return counting_relu(input, self.counters, inplace=self.inplace)

    @property
    def stats(self) -> ReLUStats:
        """The counts since the last :meth:`reset`: a snapshot on the host."""
        return self.counters.stats

    @property
    def zero_count(self) -> int:
        """``stats.zeros``."""
        return self.stats.zeros

    @property
    def enabled(self) -> bool:
        """Whether calls are counted. If not, this is a plain ReLU."""
        return self.counters.enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self.counters.enabled = enabled

    def reset(self) -> None:
        """Sets all counts to 0."""
        self.counters.reset()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.counters.apply(fn)
        return self

    def __prepare_scriptable__(self) -> nn.Module:
        # torch.jit.script asks for it, and puts the answer into the model itself.
        raise not_scriptable(self)

    def extra_repr(self) -> str:
        if torch.compiler.is_dynamo_compiling():
            # vmap asks for it in a trace, in case it has to raise an error.
            return super().extra_repr()
        return ", ".join(filter(None, (super().extra_repr(), described(self.counters))))


def described(counters: Counters) -> str:
    """The arguments of counters, for the repr of a module."""
    parts = [f"bins={counters.bins}"]
    if counters.unit_dim != "auto":
        parts.append(f"unit_dim={counters.unit_dim}")
    if counters.unit_histograms:
        parts.append("unit_histograms=True")
    if counters.every != 1:
        parts.append(f"every={counters.every}")
    if counters.zero_blocks is not None:
        parts.append(f"zero_blocks={counters.zero_blocks}")
    return ", ".join(parts)
