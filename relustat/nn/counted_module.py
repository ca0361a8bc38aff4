"""What modules that count have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from relustat.ops.counters import Counters
from relustat.stats.relu_stats import ReLUStats

from ._torchscript import not_scriptable

if TYPE_CHECKING:
    from typing_extensions import Self


class CountedModule(nn.Module):
    """A module with counters. A subclass names it before PyTorch's class, and makes them."""

    counters: Counters

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
        """Whether calls are counted."""
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
    if counters.activation.near_zero is not None:
        parts.append(f"near_zero={counters.activation.near_zero:g}")
    return ", ".join(parts)
