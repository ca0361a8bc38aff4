"""The number of distinct activation patterns of a model's ReLUs for given data.

A pattern says for each unit whether its input is above 0. Within one pattern the model is an affine
function of its input. So distinct patterns are distinct linear regions that the data reaches
(Montufar et al., On the number of linear regions of deep neural networks, 2014).

Patterns are not stored, only their 64-bit hashes: :func:`relustat.reference.activation_hash`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from relustat._messages import align
from relustat._printable import printable, printed_lines
from relustat.ops import library
from relustat.watching.relu_calls import ActivationCall

from .model_run.batches import batches
from .model_run.layer_calls import LayerCalls

_OP = "activation_patterns"
_HASH_VALUES = 2**64
# The smallest number of hashes that are gathered before equal ones are removed.
_LEAST_SOUGHT = 2**16

_Hashes = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class ActivationPatterns:
    """The distinct activation patterns of some samples; ``print()`` shows a table.

    ``a + b`` is the result of one pass over the samples of both.

    Attributes:
        samples: number of samples.
        units: number of units of each layer, by call-site name, in the order of execution.
        hashes: the distinct patterns of each layer: sorted int64 [distinct].
        network_hashes: the distinct patterns of all layers together.
        skipped: the ReLUs that were left out, of the network's patterns too, with the reason.
    """

    samples: int
    units: Mapping[str, int]
    hashes: Mapping[str, _Hashes]
    network_hashes: _Hashes
    skipped: Mapping[str, str]

    @property
    def layers(self) -> dict[str, int]:
        """The number of distinct patterns of each layer."""
        return {name: len(hashes) for name, hashes in self.hashes.items()}

    @property
    def network(self) -> int:
        """The number of distinct patterns of all layers together."""
        return len(self.network_hashes)

    @property
    def collision_probability(self) -> float:
        """An upper bound on the probability that any count is too small. None can be too large.

        It is the union bound over all pairs of samples, for each layer and for the network. Keys
        are taken as independent and uniform, so two patterns share a hash with probability 2^-64.
        """
        pairs = self.samples * (self.samples - 1) / 2
        return min(1.0, (len(self.units) + 1) * pairs / _HASH_VALUES)

    def __add__(self, other: ActivationPatterns) -> ActivationPatterns:
        if not isinstance(other, ActivationPatterns):
            return NotImplemented
        if list(self.units.items()) != list(other.units.items()):
            raise ValueError(
                "ActivationPatterns: only patterns of the same layers add, "
                f"got {dict(self.units)} and {dict(other.units)}"
            )
        return ActivationPatterns(
            self.samples + other.samples,
            self.units,
            {name: np.union1d(self.hashes[name], other.hashes[name]) for name in self.units},
            np.union1d(self.network_hashes, other.network_hashes),
            {**self.skipped, **other.skipped},
        )

    def __str__(self) -> str:
        rows = [(name, self.units[name], count) for name, count in self.layers.items()]
        rows.append(("all together", sum(self.units.values()), self.network))
        cells = [
            [name, f"{units:,}", f"{count:,}", f"{count / self.samples:7.1%}"]
            for name, units, count in rows
        ]
        table = align([["layer", "units", "patterns", "of samples"], *cells])
        skipped = (f"! {name}: {why}" for name, why in self.skipped.items())
        return printed_lines([*table, *skipped])


def activation_patterns(model: nn.Module, loader: Iterable[Any]) -> ActivationPatterns:
    """Counts the distinct activation patterns of each ReLU, and of all of them together.

    Every ReLU call that :func:`relustat.watch` finds is a layer. A unit is active if the ReLU's
    input is above 0. If the inputs of the ReLUs are the same bits, so are the hashes, on every
    device, for any number of threads and any split into batches.

    Args:
        model: in evaluation mode.
        loader: gives batches of inputs, float [samples, ...], or tuples or lists that begin with
            one; a tensor is one batch. All inputs have one size, so that units stay the same.

    Returns:
        Counts and hashes. A ReLU is left out, and named, if its input does not depend on the
        model's, or has another first dimension than the batch. Memory: 8 bytes for each distinct
        pattern of each layer, up to three times as much while it grows, and none for units.

    Raises:
        TypeError: if ``model`` is not a module, or a batch holds no tensor.
        ValueError: if the model is in training mode or has no ReLU that can be counted, if there
            are no samples, or if the ReLUs or their units differ between batches.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.ReLU())
        >>> x = torch.tensor([[1.0, -1.0], [2.0, -3.0], [-1.0, 1.0]])
        >>> print(activation_patterns(model.eval(), [x]))
        layer         units  patterns  of samples
        0                 2         2    66.7%
        all together      2         2    66.7%
    """
    calls = _PatternCalls(model)
    samples = 0
    layers: dict[str, _Distinct] = {}
    network = _Distinct()
    with torch.no_grad():
        for x in batches(_OP, loader):
            hashes = calls.hashes_of(x)
            samples += len(x)
            for name, each in hashes.items():
                layers.setdefault(name, _Distinct()).add(each)
            # Each layer has its own salt, so this is the hash of the pattern of all units.
            network.add(np.bitwise_xor.reduce(list(hashes.values())))
    return ActivationPatterns(
        samples,
        calls.units,
        {name: layers[name].sorted() for name in calls.units},
        network.sorted(),
        calls.skipped,
    )


class _PatternCalls(LayerCalls):
    """Hashes the input of every ReLU of a forward, before an in-place one overwrites it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(_OP, model)
        self.units: dict[str, int] = {}
        self.skipped = dict(self.opaque)
        self._samples = 0
        self._hashes: dict[str, _Hashes] = {}

    def hashes_of(self, x: Tensor) -> dict[str, _Hashes]:
        before = set(self.units)
        self._samples = len(x)
        self._hashes = {}
        self.run(x)
        if not self._hashes:
            skipped = self.skipped.items()
            why = printable("".join(f"; {name}: {reason}" for name, reason in skipped))
            raise ValueError(f"{_OP}: the model must compute a ReLU of its batch, got none{why}")
        different = before ^ set(self._hashes)
        if before and different:
            raise ValueError(
                f"{_OP}: every batch must meet the same ReLUs, got {min(different)!r} "
                "in some of them only"
            )
        return self._hashes

    def on_relu(self, name: str, call: ActivationCall, compute: Callable[[], Any]) -> Any:
        # If it is not a tensor, its computation raises the error.
        if isinstance(call.x, Tensor):
            self._look(name, call.x)
        return compute()

    def _look(self, name: str, x: Tensor) -> None:
        reason = self._why_not(x)
        if reason:
            self.skipped.setdefault(name, reason)
        if name in self.skipped:
            return
        units = math.prod(x.shape[1:])
        if self.units.setdefault(name, units) != units:
            raise ValueError(
                f"{_OP}: a ReLU must have as many units in every batch, "
                f"got {self.units[name]} and {units} at {name!r}"
            )
        salt = list(self.units).index(name)
        self._hashes[name] = library.activation_hash(x, salt).cpu().numpy()

    def _why_not(self, x: Tensor) -> str | None:
        if self.is_constant(x):
            return "its input does not depend on the model's"
        if x.dtype not in library.KERNEL_DTYPES:
            return f"its input is {x.dtype}"
        if x.dim() == 0 or len(x) != self._samples:
            return f"its input is {list(x.shape)} in a batch of {self._samples}"
        return None


class _Distinct:
    """The distinct hashes among many."""

    def __init__(self) -> None:
        self._sorted: _Hashes = np.empty(0, np.int64)
        self._new: list[_Hashes] = []
        self._new_count = 0

    def add(self, hashes: _Hashes) -> None:
        self._new.append(hashes)
        self._new_count += len(hashes)
        if self._new_count > max(len(self._sorted), _LEAST_SOUGHT):
            self.sorted()

    def sorted(self) -> _Hashes:
        self._sorted = np.unique(np.concatenate([self._sorted, *self._new]))
        self._new.clear()
        self._new_count = 0
        return self._sorted
