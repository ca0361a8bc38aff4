"""The counts of a ReLU as immutable integers, and the rates derived from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from relustat._checks import as_integer
from relustat._printable import printable

from . import json_file, npz
from .activation import RELU, Activation
from .agreement import check_meaning, check_shard
from .bins import Bins, bins_from_dict
from .counter_layout import slot_count
from .exact import checked
from .same_layout import Layout, described_shard
from .sparsity import Sparsity
from .unit_counts import UnitCounts


class ReLUStats(Sparsity):
    """The counts of one ReLU, or of another activation, up to the moment they were read.

    All counts are exact integers, so ``a + b`` merges batches, ranks, machines and files in any
    order with the same result. Rates, quantiles and moments are derived from them. One count asks
    for an order in time, :attr:`calls_since_fired`: ``a + b`` has the minimum of both, and
    ``a.then(b)`` says that the calls of ``b`` came after those of ``a``. ``a == b`` compares the
    counts that know no order, so a sum of parts is equal to the whole.

    A ReLU that is called at several positions of a model sees inputs of several widths (numbers of
    units). Totals cover all widths. Counts of single units are kept by width; :meth:`of_width`
    gives those of one width.

    Attributes:
        bins: where the histogram's bins lie; None if only zeros were counted.
        by_width: the counts by number of units, read-only.
        reduction: the name of the :func:`relustat.distributed.all_reduce` that gave these counts;
            empty if none did.
        block: number of neighbouring units in a block; None if blocks were not counted.
        parts: number of counts that were added by ``+``, such as ranks, or calls of one forward.
        activation: what was counted. Of all but ReLU read "inactive" for "0" where this class
            speaks of outputs: docs/activations.md has the table of meanings.
        shard: the index of these units' shard and the number of shards, if a layer is split over
            processes; None if these are all units. Counts of different shards do not add.

    Example:
        >>> import torch, relustat
        >>> relu = relustat.CountingReLU()
        >>> _ = relu(torch.tensor([[-1.0, 2.0], [-3.0, -4.0]]))
        >>> relu.stats.zeros, relu.stats.unit_zeros.tolist(), relu.stats.dead_units.tolist()
        (3, [2, 1], [0])
    """

    __slots__ = ("activation", "bins", "block", "by_width", "parts", "reduction", "shard")

    reduction: str
    shard: tuple[int, int] | None
    parts: int
    block: int | None
    activation: Activation

    def __init__(
        self,
        bins: Bins | None,
        by_width: Mapping[int, UnitCounts],
        reduction: str = "",
        shard: tuple[int, int] | None = None,
        parts: int = 1,
        block: int | None = None,
        activation: Activation = RELU,
    ) -> None:
        if parts < 1:
            raise ValueError(f"ReLUStats: parts must be at least 1, got {parts}")
        check_shard(shard)
        if block is not None and block < 1:
            raise ValueError(f"ReLUStats: block must be at least 1, got {block}")
        slots = slot_count(len(bins) if bins is not None else 0)
        for width, counts in by_width.items():
            if counts.calls < 1:
                raise ValueError(f"ReLUStats: width {width} must have calls, got {counts.calls}")
            if len(counts.zeros) != width or counts.slots.shape[1] != slots:
                raise ValueError(
                    f"ReLUStats: width {width} with {slots} histogram slots must have counts of "
                    f"that size, got {len(counts.zeros)} units and {counts.slots.shape[1]} slots"
                )
            if (counts.saturated is None) != (activation.upper is None):
                raise ValueError(
                    f"ReLUStats: width {width} must have saturated inputs just if "
                    f"{activation.name} has an upper knee"
                )
            check_meaning(counts, bins, activation, block)
        checked("ReLUStats: the sum of parts", parts)
        checked("ReLUStats: the sum of elements", sum(each.elements for each in by_width.values()))
        object.__setattr__(self, "bins", bins)
        object.__setattr__(self, "by_width", MappingProxyType(dict(by_width)))
        object.__setattr__(self, "reduction", reduction)
        object.__setattr__(self, "shard", shard)
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "block", block)
        object.__setattr__(self, "activation", activation)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ReLUStats is immutable: cannot set {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bins, dict(self.by_width), self.reduction, *self._others())

    def _others(self) -> tuple[Any, ...]:
        return self.shard, self.parts, self.block, self.activation

    @property
    def layout(self) -> Layout:
        """What counts that are added to these must have in common with them."""
        return Layout(self.bins, self.block, self.activation)

    def of_width(self, width: int) -> ReLUStats:
        """The statistics of the inputs with ``width`` units alone.

        Raises:
            KeyError: if no input had that many units.
        """
        if width not in self.by_width:
            raise KeyError(f"of_width: width must be one of {self.widths}, got {width}")
        return ReLUStats(self.bins, {width: self.by_width[width]}, "", *self._others())

    # Merging and storing

    def __add__(self, other: ReLUStats) -> ReLUStats:
        """The counts of both, side by side, as of two ranks."""
        if not isinstance(other, ReLUStats):
            return NotImplemented
        both = self.parts + other.parts
        parts = both if self.by_width and other.by_width else max(self.parts, other.parts)
        return self._joined(other, UnitCounts.__add__, parts)

    def then(self, later: ReLUStats) -> ReLUStats:
        """The counts of both, one after the other, as of two epochs.

        It is ``self + later``, except for :attr:`calls_since_fired`: that of ``later`` where the
        unit fired in it, else the sum of both.

        Raises:
            ValueError: if the bins, blocks or activations differ, or the units are of different
                shards.

        Example:
            >>> import torch
            >>> from relustat.functional import relu_stats
            >>> fired, dead = (relu_stats(torch.tensor([[x]]))[1] for x in (1.0, -1.0))
            >>> fired.then(dead).calls_since_fired, dead.then(fired).calls_since_fired
            (array([1]), array([0]))
        """
        return self._joined(later, UnitCounts.then, max(self.parts, later.parts))

    def _joined(
        self, other: ReLUStats, join: Callable[[UnitCounts, UnitCounts], UnitCounts], parts: int
    ) -> ReLUStats:
        self._check_alike(other, "add")
        merged = dict(self.by_width)
        for width, counts in other.by_width.items():
            merged[width] = join(merged[width], counts) if width in merged else counts
        others = self.shard, parts, self.block, self.activation
        return ReLUStats(self.bins, merged, "", *others)

    def _check_alike(self, other: ReLUStats, verb: str) -> None:
        if self.layout != other.layout:
            what = "equal bins" if self.activation == other.activation else "one activation"
            raise ValueError(
                f"ReLUStats: only statistics of {what} {verb}, got {self.layout} and {other.layout}"
            )
        if self.shard != other.shard:
            raise ValueError(
                f"ReLUStats: only statistics of the same units {verb}, got those of "
                f"{described_shard(self.shard)} and of {described_shard(other.shard)}"
            )

    def __radd__(self, other: object) -> ReLUStats:
        # For sum(), which begins with 0.
        return self if other == 0 else NotImplemented

    def __sub__(self, other: ReLUStats) -> ReLUStats:
        """The counts between two snapshots of one ReLU: ``later - earlier``, exact.

        Widths without calls in between are left out. The difference has histograms per unit if
        both snapshots have them. ``earlier.then(later - earlier)`` is
        ``later`` again. (Of sums it is so if both are of the same parts.)

        Raises:
            ValueError: if the bins, blocks or activations differ, or ``other`` is not an earlier
                snapshot, so that a count would be negative.

        Example:
            >>> import torch, relustat
            >>> relu = relustat.CountingReLU()
            >>> _ = relu(torch.tensor([[-1.0, 2.0]]))
            >>> earlier = relu.stats
            >>> _ = relu(torch.tensor([[-3.0, -4.0]]))
            >>> (relu.stats - earlier).unit_zeros.tolist()
            [1, 1]
        """
        if not isinstance(other, ReLUStats):
            return NotImplemented
        self._check_alike(other, "subtract")
        left = dict(self.by_width)
        for width, counts in other.by_width.items():
            try:
                left[width] = left[width] - counts
            except (KeyError, ValueError) as error:
                raise ValueError(
                    "ReLUStats: only an earlier snapshot can be subtracted: no count may become "
                    f"negative, got {self} minus {other}, at width {width}"
                ) from error
        return ReLUStats(
            self.bins,
            {width: counts for width, counts in left.items() if counts.calls},
            "",
            *self._others(),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReLUStats):
            return NotImplemented
        mine, theirs = ((each.layout, each.shard) for each in (self, other))
        return mine == theirs and dict(self.by_width) == dict(other.by_width)

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """All counts as plain numbers and lists, for JSON."""
        return {
            "version": npz.VERSION,
            "bins": self.bins.to_dict() if self.bins is not None else None,
            "widths": {
                str(width): counts.to_dict() for width, counts in sorted(self.by_width.items())
            },
            **({} if self.shard is None else {"shard": list(self.shard)}),
            **({} if self.parts == 1 else {"parts": self.parts}),
            **({} if self.block is None else {"block": self.block}),
            **({} if self.activation == RELU else {"activation": self.activation.to_dict()}),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> ReLUStats:
        """The statistics whose :meth:`to_dict` this is.

        Raises:
            ValueError: if it is not such a dict, or a newer relustat wrote it.
        """
        npz.check_version("from_dict", state)
        try:
            by_width = {
                int(width): UnitCounts.from_dict(counts)
                for width, counts in state["widths"].items()
            }
            if list(map(str, by_width)) != list(map(str, state["widths"])):
                raise ValueError(f"each width once, as a number, got {list(state['widths'])}")
            shard = state.get("shard")
            if shard is not None:
                index, count = (as_integer("from_dict: shard", each) for each in shard)
                shard = index, count
            parts = as_integer("from_dict: parts", state.get("parts", 1))
            block = state.get("block")
            if block is not None:
                block = as_integer("from_dict: block", block)
            activation = Activation.from_dict(state.get("activation"))
            bins = bins_from_dict(state["bins"])
            return cls(bins, by_width, "", shard, parts, block, activation)
        except (KeyError, TypeError, AttributeError, LookupError, OverflowError) as error:
            raise ValueError(f"from_dict: must be what to_dict() returns, got {error!r}") from error
        except ValueError as error:
            raise ValueError(f"from_dict: must be what to_dict() returns ({error})") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the counts to a file, whole or not at all.

        It is JSON if its name ends in ``.json``, and else an ``.npz`` archive.

        Raises:
            OSError: if it cannot be written. The file that was there stays.
            ValueError: if its name ends as that of a page, a table or a picture.
        """
        if json_file.is_named(path):
            json_file.save(path, self.to_dict())
        else:
            npz.save(path, {"": self.to_dict()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ReLUStats:
        """Reads a file that :meth:`save` wrote.

        Raises:
            ValueError: if it is not such a file, or a newer relustat wrote it.
        """
        if json_file.is_json(path):
            with json_file.reading(path, "stats") as state:
                return cls.from_dict(state)
        states = npz.load(path).states
        if list(states) != [""]:
            raise ValueError(
                f"load: {printable(os.fspath(path))} must hold the statistics of one ReLU, "
                f"got a report of {len(states)} call sites; Report.load reads it"
            )
        return cls.from_dict(states[""])

    def __repr__(self) -> str:
        if not self.elements:
            return "ReLUStats(nothing counted)"
        name = printable(self.activation.name)
        what = "zeros" if self.activation == RELU else f"{name}, inactive"
        return (
            f"ReLUStats(calls={self.calls}, elements={self.elements}, {what}={self.inactive} "
            f"({self.inactive_fraction:.1%}), nans={self.nans}, widths={self.widths})"
        )
