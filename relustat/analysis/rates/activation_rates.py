"""Activation and death rates of a model's layers, epoch by epoch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
from torch import nn

from relustat._checks import as_integer
from relustat._messages import align, many
from relustat.stats.histogram import Int64Array
from relustat.watching.relu_counter import During

from .activation_counts import GradientCounts, Kind, LayerRates, OutputCounts
from .plot import draw_rates, rates_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from typing_extensions import Self


@dataclasses.dataclass(frozen=True, eq=False)
class Rates:
    """The rates of one layer, over the epochs in which it was called.

    Attributes:
        epochs: int64 [epochs].
        activation: share of what was counted that is active, float64 [epochs].
        death: mean over units of the share of calls in which the unit was dead, float64 [epochs].
    """

    epochs: Int64Array
    activation: npt.NDArray[np.float64]
    death: npt.NDArray[np.float64]

    def draw(self, axes: Axes) -> None:
        """Draws both rates by epoch into axes of matplotlib.

        Example:
            >>> import numpy
            >>> from matplotlib.figure import Figure
            >>> from relustat.analysis import Rates
            >>> axes = Figure().add_subplot()
            >>> Rates(numpy.arange(2), numpy.array([0.5, 0.4]), numpy.array([0.0, 0.1])).draw(axes)
            >>> [line.get_label() for line in axes.lines]
            ['activation rate', 'death rate']
        """
        draw_rates(axes, self.epochs, self.activation, self.death)


@dataclasses.dataclass(frozen=True)
class Worst:
    """The lowest activation rate and the highest death rate of an epoch, and whose they are.

    Where several layers share the worst rate, it is the first of them.
    """

    epoch: int
    activation: float
    activation_layer: str
    death: float
    death_layer: str


class ActivationRates:
    """Counts which units of a model are active, and which are dead, until closed.

    *Outputs*. Every ReLU, found by :func:`relustat.watch` however it is spelt, is active where its
    output is above 0; every dropout layer where its output is not 0. The activation rate is active
    / all outputs of the epoch. The death rate is the mean over units of the share of calls in which
    all outputs of the unit were 0. Units of dropout layers are channels (dim 1) of 2-D, 4-D and 5-D
    outputs, of 3-D ones the last dimension, but the channels of ``nn.Dropout1d``. All calls of one
    dropout layer count together; those of a ReLU are told apart.

    *Gradients*. A unit that is dead passes nothing on, so what its weights get is a gradient of 0.
    For every module that owns a ``weight`` and a ``bias``, a parameter's output is an index of dim
    0 (in transposed convolutions an output channel), active in the entries whose gradient is not 0,
    and dead where all are 0. The rates are means over outputs and over accumulations: each backward
    pass counts once, with the gradient that has accumulated by then.

    Zero means exactly 0, where monitorch takes all of at most 1e-8 for it. NaN is neither active
    nor 0. All is counted on the device, as int64; only :meth:`snapshot` waits for it. Sparse,
    complex and sharded gradients are not counted; compiled models are. Each process counts its own.

    The death of neurons, and the gradient as its witness: Malcolm Lett, "Neuron Death in ANNs:
    detecting and troubleshooting"; the rates are those of the package monitorch.

    Args:
        model: called and trained as usual meanwhile. For outputs it must not be watched.
        outputs, gradients: what is counted.
        during: count only in training mode ("train"), only in evaluation mode ("eval") or both
            ("all"): for ReLUs that of the model that is called, for dropout layers and gradients
            that of the layer itself.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``.
        ValueError: if it is watched already, a lazy layer has no weights yet, or neither outputs
            nor gradients are to be counted.

    Example:
        >>> import torch
        >>> from relustat.analysis import ActivationRates
        >>> model = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU())
        >>> with torch.no_grad():
        ...     _ = model[0].weight.copy_(torch.tensor([[1.0], [-1.0]])), model[0].bias.zero_()
        >>> with ActivationRates(model) as rates:
        ...     model(torch.tensor([[1.0], [3.0]])).sum().backward()
        ...     rates.snapshot(0)
        >>> print(rates)
        epoch 0
        layer     activation rate  death rate  of
        1                   50.0%       50.0%  outputs
        0.weight            50.0%       50.0%  gradients
        0.bias              50.0%       50.0%  gradients
        >>> rates.outputs["1"].death, rates.worst("gradients")[0].death_layer
        (array([0.5]), '0.weight')
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        outputs: bool = True,
        gradients: bool = True,
        during: During = "train",
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"ActivationRates: model must be an nn.Module, got {type(model).__name__}"
            )
        if during not in get_args(During):
            raise ValueError(
                f"ActivationRates: during must be 'train', 'eval' or 'all', got {during!r}"
            )
        if not (outputs or gradients):
            raise ValueError("ActivationRates: outputs or gradients must be counted, got neither")
        self._counts: dict[Kind, OutputCounts | GradientCounts] = {}
        self._epochs: dict[int, dict[Kind, dict[str, LayerRates]]] = {}
        self._closed = False
        self._mode = {"train": " in training mode", "eval": " in evaluation mode"}.get(during, "")
        if outputs:
            self._counts["outputs"] = OutputCounts(during)
        if gradients:
            self._counts["gradients"] = GradientCounts(during)
        try:
            for counts in self._counts.values():
                counts.open(model)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        if self._closed:
            raise ValueError("ActivationRates: closed ones cannot be entered again; make new ones")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes all hooks off; the rates stay readable. Closing twice does nothing."""
        self._closed = True
        for counts in self._counts.values():
            counts.close()

    def snapshot(self, epoch: int) -> None:
        """Ends an epoch: its rates are those of what was counted since the last snapshot.

        Raises:
            ValueError: if closed, or ``epoch`` is not an integer above that of the last snapshot.
        """
        if self._closed:
            raise ValueError("snapshot: rates must be open, got closed ones")
        epoch = as_integer("snapshot: epoch", epoch)
        last = max(self._epochs, default=None)
        if last is not None and epoch <= last:
            raise ValueError(f"snapshot: epochs must increase, got {epoch} after {last}")
        self._epochs[epoch] = {kind: counts.rates() for kind, counts in self._counts.items()}
        for counts in self._counts.values():
            counts.reset()

    @property
    def outputs(self) -> dict[str, Rates]:
        """The rates of outputs by layer: ReLUs as they are executed, then dropout layers.

        ReLUs have the names that :func:`relustat.watch` gives them, dropout layers their paths.
        """
        return self._by_layer("outputs")

    @property
    def gradients(self) -> dict[str, Rates]:
        """The rates of gradients by parameter, such as "fc1.weight", in the model's order."""
        return self._by_layer("gradients")

    def worst(self, kind: Kind) -> tuple[Worst, ...]:
        """The worst rates of all layers, epoch by epoch; without epochs in which none was called.

        Args:
            kind: "outputs" or "gradients".

        Raises:
            ValueError: if ``kind`` is neither, or was not to be counted.
        """
        if kind not in self._counts:
            raise ValueError(f"worst: kind must be one of {list(self._counts)}, got {kind!r}")
        found = []
        for epoch, noted in self._epochs.items():
            layers = noted[kind]
            if layers:
                least = min(layers, key=lambda name: layers[name].activation)
                most = max(layers, key=lambda name: layers[name].death)
                activation, death = layers[least].activation, layers[most].death
                found.append(Worst(epoch, activation, least, death, most))
        return tuple(found)

    def plot(self) -> Figure:
        """A panel for each layer, and the worst ones.

        See :func:`relustat.analysis.rates.plot.rates_figure`.

        Raises:
            ImportError: if matplotlib is missing.
        """
        return rates_figure(
            {kind: self._by_layer(kind) for kind in self._counts},
            {kind: self.worst(kind) for kind in self._counts},
        )

    def __str__(self) -> str:
        if not self._epochs:
            return "! no epoch yet: snapshot(epoch) ends one"
        last = max(self._epochs)
        rows = [
            [name, f"{rates.activation:.1%}", f"{rates.death:.1%}", kind]
            for kind, layers in self._epochs[last].items()
            for name, rates in layers.items()
        ]
        headings = ["layer", "activation rate", "death rate", "of"]
        table = align([headings, *rows]) if rows else [f"! no layer was called{self._mode}"]
        return "\n".join([f"epoch {last}", *table])

    def __repr__(self) -> str:
        kinds = " and ".join(self._counts)
        return f"<ActivationRates of {kinds}, {many(len(self._epochs), 'epoch')}; print() shows it>"

    def _by_layer(self, kind: Kind) -> dict[str, Rates]:
        noted = {epoch: kinds.get(kind, {}) for epoch, kinds in self._epochs.items()}
        return {
            layer: _rates_of({epoch: each[layer] for epoch, each in noted.items() if layer in each})
            for layer in dict.fromkeys(layer for each in noted.values() for layer in each)
        }


def _rates_of(by_epoch: dict[int, LayerRates]) -> Rates:
    return Rates(
        np.array(list(by_epoch), dtype=np.int64),
        np.array([rates.activation for rates in by_epoch.values()]),
        np.array([rates.death for rates in by_epoch.values()]),
    )
