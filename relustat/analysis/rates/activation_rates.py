"""Activation and death rates of a model's layers by epoch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
from torch import nn

from relustat._checks import as_integer
from relustat._messages import align, many
from relustat.stats.histogram import Int64Array
from relustat.watching.site_counter import During

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
        activation: share of active entries, float64 [epochs].
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
    """The lowest activation rate and the highest death rate of an epoch, with their layers.

    If several layers share the worst rate, the first one is named.
    """

    epoch: int
    activation: float
    activation_layer: str
    death: float
    death_layer: str


class ActivationRates:
    """Counts which units of a model are active, and which are dead, until closed.

    *Outputs*. An output of a ReLU is active if it is above 0; :func:`relustat.watch` finds the
    ReLUs. An output of a dropout layer is active if it is not 0. The activation rate is active /
    all outputs of the epoch. The death rate is the mean over units of the share of calls in which
    all outputs of the unit were 0. The units of dropout layers are channels (dim 1) for 2-D, 4-D
    and 5-D outputs, and the last dimension for 3-D ones; for ``nn.Dropout1d`` they are always
    channels. All calls of one dropout layer count together. Each call of a ReLU counts separately.

    *Gradients*. A dead unit passes nothing on, so the gradient of its weights is 0. Counted are the
    parameters of every module that owns a ``weight`` and a ``bias``. A parameter's output is an
    index of dim 0 (in transposed convolutions an output channel). An entry is active if its
    gradient is not 0. An output is dead if all its gradients are 0. The rates are means over
    outputs and over accumulations: each backward pass counts once, with the gradient that has
    accumulated by then.

    Zero means exactly 0. (monitorch takes all numbers up to 1e-8 as zero.) NaN is neither active
    nor 0. All is counted on the device, as int64, and only :meth:`snapshot` waits for it. Compiled
    models are counted. Sparse, complex and sharded gradients are not. Each process counts its own.

    Source: Malcolm Lett, "Neuron Death in ANNs: detecting and troubleshooting", for the death of
    neurons and its sign in the gradient; the package monitorch for the rates.

    Args:
        model: call and train it as usual. It must not be watched if outputs are counted.
        outputs, gradients: whether these are counted.
        during: count in training mode ("train"), in evaluation mode ("eval") or in both ("all").
            For ReLUs the mode of the called model counts, for dropout layers and gradients that of
            the layer.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``.
        ValueError: if the model is watched already, if a lazy layer has no weights yet, or if
            neither outputs nor gradients are counted.

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
            raise ValueError(
                "ActivationRates: closed rates cannot be entered again; make a new object"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes all hooks. The rates stay readable. Closing twice does nothing."""
        self._closed = True
        for counts in self._counts.values():
            counts.close()

    def snapshot(self, epoch: int) -> None:
        """Ends an epoch: its rates are those since the last snapshot.

        Raises:
            ValueError: if closed, or ``epoch`` is not an integer above that of the last snapshot.
        """
        if self._closed:
            raise ValueError("snapshot: rates must be open, got closed rates")
        epoch = as_integer("snapshot: epoch", epoch)
        last = max(self._epochs, default=None)
        if last is not None and epoch <= last:
            raise ValueError(f"snapshot: epochs must increase, got {epoch} after {last}")
        self._epochs[epoch] = {kind: counts.rates() for kind, counts in self._counts.items()}
        for counts in self._counts.values():
            counts.reset()

    @property
    def outputs(self) -> dict[str, Rates]:
        """The rates of outputs by layer: ReLUs in the order of execution, then dropout layers.

        ReLUs have the names that :func:`relustat.watch` gives them. Dropout layers have their
        paths.
        """
        return self._by_layer("outputs")

    @property
    def gradients(self) -> dict[str, Rates]:
        """The rates of gradients by parameter, such as "fc1.weight", in the model's order."""
        return self._by_layer("gradients")

    def worst(self, kind: Kind) -> tuple[Worst, ...]:
        """The worst rates of all layers by epoch, without epochs in which none was called.

        Args:
            kind: "outputs" or "gradients".

        Raises:
            ValueError: if ``kind`` has another value, or was not counted.
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
        """A panel for each layer, and the worst rates.

        :func:`relustat.analysis.rates.plot.rates_figure` says what is drawn.

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
