"""The counters of one ReLU: int64 tensors on the devices of its inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from relustat._checks import is_integer
from relustat._dynamo import TraceTimeAttributes, mark_as_fixed, trace_time_attribute
from relustat._torch_internals import unseen_by_dispatch_modes
from relustat._whole import make_whole
from relustat.stats.activation import RELU, Activation
from relustat.stats.bins import BINNING_NONE, Bins, LogBins
from relustat.stats.counter_layout import (
    CALLS,
    ELEMENTS,
    EVERY,
    TICKS,
    ZERO_BLOCKS,
    CounterLayout,
)
from relustat.stats.relu_stats import ReLUStats
from relustat.stats.unit_counts import UnitCounts

from . import library
from .counter_words import add_side_by_side, check_sums, of_this_version
from .unit_dim import FoundDim, UnitDim, checked_unit_dim, units_of


class Counters:
    """The counters of one ReLU: an int64 tensor for each number of units and each device.

    Make them once, and pass them to every call of :func:`relustat.functional.counting_relu`.
    A tensor is allocated at the first input of its width, and keeps its address.

    Args:
        bins: where the histogram's bins lie; None: count zeros only.
        unit_dim: dimension whose indices are the units. "auto": 1 for 2-D, 4-D and 5-D inputs, the
            last for 3-D ones (transformers; for 1-D convolutions give 1), the only one for 1-D
            inputs of up to 65536 elements; longer 1-D and 0-D inputs are one unit. Several
            dimensions make a unit of each combination of their indices, numbered with the last
            dimension fastest: ``(1, 2, 3)`` for the neurons of a feature map; ``()`` for one unit.
        unit_histograms: keep a histogram for each unit, instead of one for all.
        every: count one call in ``every``, beginning with the first.
        zero_blocks: also count the blocks of this number of neighbouring units whose outputs are
            all 0 at a position, in one more read of the input. They are work that code for
            structured sparsity can skip; see :attr:`relustat.ReLUStats.zero_block_fraction`.
        activation: what is counted, for :func:`relustat.functional.counting_activation`.

    Raises:
        TypeError: if ``bins`` are not bins, or ``unit_dim`` is neither an integer nor a tuple of
            integers.
        ValueError: if ``every`` or ``zero_blocks`` is not an integer of at least 1, or if
            ``unit_histograms`` is set without bins.

    Threads may count into the same counters at once. Processes do not share counters, not even by
    ``share_memory()``: each process has its own. Add their stats.

    Example:
        >>> import torch, relustat
        >>> counters = relustat.Counters(relustat.LinearBins(-1, 1, 4))
        >>> y = relustat.functional.counting_relu(torch.tensor([[-0.6, 0.1, 0.2]]), counters)
        >>> counters.stats.histogram.counts().tolist()
        [1, 0, 2, 0]
    """

    def __init__(
        self,
        bins: Bins | None = LogBins(),
        *,
        unit_dim: UnitDim = "auto",
        unit_histograms: bool = False,
        every: int = 1,
        zero_blocks: int | None = None,
        activation: Activation = RELU,
    ) -> None:
        if bins is not None and not isinstance(bins, Bins):
            raise TypeError(
                f"Counters: bins must be LogBins, LinearBins, EdgeBins or None, got {bins!r}"
            )
        if bins is None and unit_histograms:
            raise ValueError("Counters: unit_histograms needs bins, got bins=None")
        if not is_integer(every) or every < 1:
            raise ValueError(f"Counters: every must be an integer of at least 1, got {every!r}")
        if zero_blocks is not None and (not is_integer(zero_blocks) or zero_blocks < 1):
            raise ValueError(
                f"Counters: zero_blocks must be an integer of at least 1, got {zero_blocks!r}"
            )
        activation.check()
        self.activation = activation
        self.zero_blocks = None if zero_blocks is None else int(zero_blocks)
        self.bins = bins
        self.unit_dim = checked_unit_dim(unit_dim)
        self.unit_histograms = unit_histograms
        self._every = int(every)
        self.binning = BINNING_NONE if bins is None else bins.binning
        self._enabled = True
        self._words: dict[tuple[int, torch.device], Tensor] = {}
        # In the order in which they came.
        self._widths: dict[int, None] = {}
        self._edges: dict[torch.device, Tensor] = {}
        # What load() got, by number of units, until an input with that many comes.
        self._loaded: dict[int, Tensor] = {}
        self._traced = TraceTimeAttributes(self._materialise)

    def units_of(self, x: Tensor, unit_dim: UnitDim | None = None) -> tuple[FoundDim, int]:
        """An input's unit dimension and number of units; ``(x.dim(), 1)`` if it is one unit.

        Args:
            x: the input.
            unit_dim: its unit dimension, if it differs from that of the counters.

        Returns:
            The dimension, or several in ascending order, none of them negative; and the number.

        Raises:
            IndexError: if the unit dimension is not a dimension of ``x``.
            ValueError: if one of several stands there twice.
        """
        return units_of(x, self.unit_dim if unit_dim is None else unit_dim)

    def tensors_for(self, units: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """:meth:`words_for` and :meth:`edges_on`, also in code that is compiled."""
        if torch.compiler.is_dynamo_compiling():
            # Another number of units has other counters: it is not a variable of the graph.
            units = operator.index(units)
            device_name = str(device).replace(":", "_")
            return (
                trace_time_attribute(self._traced, f"words_{device_name}_{units}"),
                trace_time_attribute(self._traced, f"edges_{device_name}"),
            )
        return self.words_for(units, device), self.edges_on(device)

    def words_for(self, units: int, device: torch.device) -> Tensor:
        """The counters of inputs with ``units`` units on ``device``: see csrc/relu/counters.h."""
        words = self._words.get((units, device))
        if words is None:
            # If two threads come here at once, both get the tensor of the first.
            self._widths.setdefault(units)
            words = self._words.setdefault((units, device), self._new_words(units, device))
            self._loaded.pop(units, None)
            if not self._enabled:  # perhaps it changed after the tensor was made
                words[EVERY] = 0
        return words

    def edges_on(self, device: torch.device) -> Tensor:
        """The bins' edges on ``device``, float32 [bins + 1]; empty without bins."""
        edges = self._edges.get(device)
        if edges is None:
            edges = self._edges.setdefault(device, self._new_edges(device))
        return edges

    def _new_words(self, units: int, device: torch.device) -> Tensor:
        _check_not_capturing(device)
        size = self._layout(units).size
        # An inference tensor cannot be reset outside of inference mode. And a mode that replays
        # ops, as selective checkpointing does, must not see what happens only once.
        with torch.inference_mode(False), unseen_by_dispatch_modes():
            words = torch.zeros(size, dtype=torch.int64, device=device)
            if units in self._loaded:
                words.copy_(self._loaded[units])
            words[EVERY] = self._every if self._enabled else 0
            return words

    def _layout(self, units: int) -> CounterLayout:
        bins = len(self.bins) if self.bins is not None else 0
        rows = units if self.unit_histograms else 1
        return CounterLayout(units, rows, bins, self.activation.upper is not None)

    def _new_edges(self, device: torch.device) -> Tensor:
        _check_not_capturing(device)
        edges = np.zeros(0) if self.bins is None else self.bins.edges
        with torch.inference_mode(False), unseen_by_dispatch_modes():
            return torch.from_numpy(edges.astype(np.float32)).to(device)

    def _materialise(self, name: str) -> Tensor:
        """Words or edges. The compiler is told that their address and size do not change."""
        kind, *device_name = name.split("_")
        units = device_name.pop() if kind == "words" else None
        device = torch.device(":".join(device_name))
        tensor = self.edges_on(device) if units is None else self.words_for(int(units), device)
        mark_as_fixed(tensor)
        return tensor

    @property
    def every(self) -> int:
        """One call in ``every`` is counted."""
        return self._every

    @property
    def enabled(self) -> bool:
        """Whether calls are counted: a word on the device, so no compiled graph changes with it."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        def change() -> None:
            self._enabled = bool(enabled)
            for words in list(self._words.values()):
                words[EVERY] = self._every if self._enabled else 0

        make_whole(change)

    def reset(self) -> None:
        """Sets all counts to 0. The next call is counted, whatever ``every`` is."""
        make_whole(self._clear)

    def _clear(self) -> None:
        self._loaded = {}
        for words in list(self._words.values()):
            if words.is_cpu:
                library.without_dispatcher.reset(words)
            else:
                words[EVERY + 1 :].zero_()

    @property
    def stats(self) -> ReLUStats:
        """The counts so far. Only reading them synchronises with the device."""
        return self._read(self.saved())

    def _read(self, saved: Mapping[int, Tensor]) -> ReLUStats:
        by_width = {}
        for units, words in saved.items():
            if words[CALLS]:
                layout = self._layout(units)
                by_width[units] = UnitCounts.from_counters(
                    words.numpy(), units, layout.bins, layout.saturates
                )
        block, activation = self.zero_blocks, self.activation
        return ReLUStats(self.bins, by_width, block=block, activation=activation)

    def saved(self) -> dict[int, Tensor]:
        """A copy of the counters by number of units, int64 [words] on the host.

        Raises:
            OverflowError: if a count, or a sum over devices, has passed 2^63 - 1. On the CPU the
                call itself raises it, but not if other threads count into the same counters then.
        """
        saved = {units: words.clone() for units, words in self._loaded.items()}
        for (units, _), words in list(self._words.items()):
            copy = _snapshot(words)
            if copy[ELEMENTS] < 0:
                raise OverflowError(
                    "Counters: counts must stay below 2**63, got more elements; reset() them"
                )
            if units in saved:
                check_sums([saved[units], copy])
                add_side_by_side(saved[units], copy, units)
            else:
                saved[units] = copy
        return {units: saved[units] for units in {**self._widths, **saved} if units in saved}

    def load(self, saved: Mapping[int, Tensor]) -> None:
        """Replaces all counts by what :meth:`saved` gave. ``every`` goes on where it was.

        Raises:
            ValueError: if these are no such counters. Then nothing has changed.
        """
        for units, words in saved.items():
            self._check_words(units, words)
            calls = words[CALLS]
            is_empty = not words[CALLS:].any()
            if (words[TICKS:] < 0).any() or words[TICKS] < calls or is_empty == bool(calls):
                raise ValueError(
                    "Counters: no count may be negative, or be there without a call that was seen, "
                    f"got {words.tolist()[TICKS:ZERO_BLOCKS]} for {units} units"
                )
        # Raises if counts disagree.
        self._read({units: words.cpu() for units, words in saved.items()})
        make_whole(lambda: self._replace_counts(saved))

    def _replace_counts(self, saved: Mapping[int, Tensor]) -> None:
        self._clear()
        self._widths = dict.fromkeys((*saved, *self._widths))
        self._loaded = {units: words.cpu().clone() for units, words in saved.items()}
        for (units, _), words in list(self._words.items()):
            # The tensors stay: graphs hold them.
            loaded = self._loaded.pop(units, None)
            if loaded is not None:
                words[EVERY + 1 :] = loaded[EVERY + 1 :].to(words.device)

    def _check_words(self, units: int, words: Tensor) -> None:
        size = self._layout(units).size
        if words.dtype != torch.int64 or words.shape != (size,):
            raise ValueError(
                f"Counters: counters of {units} units must be int64 [{size}], got "
                f"{words.dtype} {list(words.shape)}"
            )

    def apply(self, convert: Callable[[Tensor], Tensor]) -> None:
        """Moves the counters as ``nn.Module.to()`` does: to another device, never to another dtype.

        If the device has counters already, the counts are added to them. Nothing moves to the
        meta device, where counts would be lost.
        """
        self._replace_words(
            [(units, self._converted(words, convert)) for (units, _), words in self._words.items()]
        )

    def _converted(self, words: Tensor, convert: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.inference_mode(False):
            # Only where to: type() would change int64, to_empty() leave the contents out, and
            # share_memory_() have processes lose counts to one another.
            device = convert(words.new_zeros(1)).device
            if device == words.device or device.type == "meta":
                return words
            return words.to(device, copy=True)

    def _replace_words(self, words_by_units: list[tuple[int, Tensor]]) -> None:
        by_key: dict[tuple[int, torch.device], list[Tensor]] = {}
        for units, words in words_by_units:
            by_key.setdefault((units, words.device), []).append(words)
        for several in by_key.values():
            if len(several) > 1:
                check_sums(several)
        replaced = {}
        for (units, device), (words, *others) in by_key.items():
            for other in others:
                add_side_by_side(words, other, units)
            replaced[units, device] = words
        # In one step: after an interrupt, graphs would go on counting into the old tensors.
        self.__dict__.update(_words=replaced, _traced=TraceTimeAttributes(self._materialise))

    def __getstate__(self) -> dict[str, Any]:
        words = [(units, words) for (units, _), words in self._words.items()]
        return {**self.__dict__, "_words": words, "_edges": {}, "_traced": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        widths = dict.fromkeys(units for units, _ in state["_words"])
        since = {"zero_blocks": None, "activation": RELU}  # older versions had no others
        self.__dict__.update({"_loaded": {}, "_widths": widths, **since, **state})
        # Loaded with another map_location, or copied in inference mode.
        with torch.inference_mode(False):
            words_by_units = [
                (units, of_this_version(words, self._layout(units)))
                for units, words in state["_words"]
                if not words.is_meta  # loaded to where nothing is kept
            ]
            for units, words in words_by_units:
                self._check_words(units, words)
            self._replace_words(words_by_units)


def _sent(counters: Counters) -> tuple[Any, ...]:
    """What another process gets: a copy, because tensors would share their memory."""
    state = counters.__getstate__()
    words = [
        (units, str(words.device), _snapshot(words).numpy()) for units, words in state.pop("_words")
    ]
    return _received, (state, words)


def _received(
    state: dict[str, Any], words: list[tuple[int, str, npt.NDArray[np.int64]]]
) -> Counters:
    counters = Counters.__new__(Counters)
    tensors = [(units, torch.from_numpy(array).to(device)) for units, device, array in words]
    counters.__setstate__({**state, "_words": tensors})
    return counters


ForkingPickler.register(Counters, _sent)


def _snapshot(words: Tensor) -> Tensor:
    """A copy on the host. It never holds half of a call."""
    copy: Tensor = library.without_dispatcher.snapshot(words) if words.is_cpu else words.cpu()
    return copy


def _check_not_capturing(device: torch.device) -> None:
    # What is allocated during a capture is set to 0 at each replay.
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "Counters: tensors must be allocated before a CUDA graph is captured, got the first "
            f"input of its width on {device} in the midst of one; call the model once before"
        )
