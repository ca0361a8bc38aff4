"""The drop-in module that counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relustat.ops.counters import Counters
from relustat.ops.counting_relu import counting_relu
from relustat.ops.unit_dim import UnitDim
from relustat.stats.bins import Bins, LogBins

from .counted_module import CountedModule, described


class CountingReLU(CountedModule, nn.ReLU):
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

    def extra_repr(self) -> str:
        if torch.compiler.is_dynamo_compiling():
            # vmap asks for it in a trace, in case it has to raise an error.
            return super().extra_repr()
        return ", ".join(filter(None, (super().extra_repr(), described(self.counters))))
