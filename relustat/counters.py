"""The counters of one ReLU: int64 tensors that live where its inputs do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from .bins import BINNING_NONE, Bins, LogBins
from .reference import EVERY, HEADER, slot_count
from .stats import ReLUStats
from .width_counts import WidthCounts

UnitDim = int | Literal["auto"]

# A longer 1-D input is a list of samples rather than one sample's features.
_MOST_UNITS_IN_1D = 65536


class Counters:
    """What one ReLU counts: one int64 tensor for each number of units and each device.

    Made once and passed to :func:`relustat.functional.counting_relu` with every call. Tensors are
    allocated at the first input of their width and keep their address.

    Args:
        bins: where the histogram's bins lie; None: count zeros only.
        unit_dim: dimension whose indices are the units. "auto": 1 for 2-D, 4-D and 5-D inputs, the
            last for 3-D ones (transformers; for 1-D convolutions give 1), the only one for 1-D
            inputs of up to 65536 elements; longer 1-D and 0-D inputs are one unit.
        unit_histograms: one histogram per unit, instead of one in all.
        every: count each ``every``-th call, the first included.

    Raises:
        ValueError: if ``every < 1``, or ``unit_histograms`` without bins.
    """

    def __init__(
        self,
        bins: Bins | None = LogBins(),
        *,
        unit_dim: UnitDim = "auto",
        unit_histograms: bool = False,
        every: int = 1,
    ) -> None:
        if bins is not None and not isinstance(bins, Bins):
            raise ValueError(f"bins must be LogBins, LinearBins, EdgeBins or None, got {bins!r}")
        if bins is None and unit_histograms:
            raise ValueError("unit_histograms needs bins, got bins=None")
        if unit_dim != "auto" and (isinstance(unit_dim, bool) or not isinstance(unit_dim, int)):
            raise ValueError(f'unit_dim must be an integer or "auto", got {unit_dim!r}')
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be an integer of at least 1, got {every!r}")
        self.bins = bins
        self.unit_dim = unit_dim
        self.unit_histograms = unit_histograms
        self.every = every
        self.binning = BINNING_NONE if bins is None else bins.binning
        self._enabled = True
        self._words: dict[tuple[int, torch.device], Tensor] = {}
        self._edges: dict[torch.device, Tensor] = {}

    def unit_dim_of(self, x: Tensor) -> int:
        """The unit dimension of this input; 0 for one that is a single unit."""
        if self.unit_dim == "auto":
            dims = x.dim()
            return 1 if dims in (2, 4, 5) else max(dims - 1, 0)
        return self.unit_dim

    def words_for(self, units: int, device: torch.device) -> Tensor:
        """The counters of inputs with ``units`` units on ``device``: see csrc/counters.h."""
        words = self._words.get((units, device))
        if words is None:
            # Of two threads that come here at once, both get the tensor of the first.
            words = self._words.setdefault((units, device), self._new_words(units, device))
        return words

    def edges_on(self, device: torch.device) -> Tensor:
        """The bins' edges on ``device``, float32 [bins + 1]; empty without bins."""
        edges = self._edges.get(device)
        if edges is None:
            edges = self._edges.setdefault(device, self._new_edges(device))
        return edges

    def _new_words(self, units: int, device: torch.device) -> Tensor:
        rows = units if self.unit_histograms else 1
        slots = slot_count(len(self.bins) if self.bins is not None else 0)
        # An inference tensor could not be reset outside of inference mode.
        with torch.inference_mode(False):
            words = torch.zeros(HEADER + 2 * units + rows * slots, dtype=torch.int64)
            words[EVERY] = self.every if self._enabled else 0
            return words.to(device)

    def _new_edges(self, device: torch.device) -> Tensor:
        with torch.inference_mode(False):
            edges = torch.empty(0) if self.bins is None else torch.tensor(self.bins.edges)
            return edges.to(torch.float32).to(device)

    @property
    def enabled(self) -> bool:
        """Whether calls are counted. A word on the device: no compiled graph changes with it."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._enabled = bool(enabled)
        for words in self._words.values():
            words[EVERY] = self.every if self._enabled else 0

    def reset(self) -> None:
        """Sets all counts to 0, and the next call to be counted to the next."""
        for words in self._words.values():
            words[EVERY + 1 :].zero_()

    @property
    def stats(self) -> ReLUStats:
        """The counts so far; reading them is the only synchronisation with the device."""
        bins = len(self.bins) if self.bins is not None else 0
        by_width: dict[int, WidthCounts] = {}
        for (units, _), words in list(self._words.items()):
            counts = WidthCounts.from_counters(words.cpu().numpy().copy(), units, bins)
            if counts.calls:
                by_width[units] = by_width[units] + counts if units in by_width else counts
        return ReLUStats(self.bins, by_width)

    def apply(self, convert: Callable[[Tensor], Tensor]) -> None:
        """Follows ``nn.Module.to()`` and its like: to another device, but never to another dtype.

        What is moved onto a device that has counters already is added to them. Nothing moves to
        the meta device, where counts would be lost.
        """
        moved: dict[tuple[int, torch.device], Tensor] = {}
        for (units, _), words in self._words.items():
            converted = convert(words)
            if converted.device.type == "meta":
                converted = words
            elif converted is not words:
                # to_empty() leaves the contents out, type() would change int64.
                converted = words.to(converted.device, copy=True)
            key = (units, converted.device)
            if key in moved:
                moved[key][EVERY + 1 :] += converted[EVERY + 1 :]
            else:
                moved[key] = converted
        self._words = moved
