"""Pictures of activation and death rates, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from relustat._figures import new_figure
from relustat._printable import printable
from relustat.history.plots import draw_shares
from relustat.stats.histogram import Int64Array

from .activation_counts import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_PANEL_WIDTH, _PANEL_HEIGHT, _HEADING_HEIGHT, _WORST_HEIGHT = 3.1, 1.35, 0.45, 2.4


class DrawnRates(Protocol):
    """The part of :class:`relustat.analysis.Rates` that pictures read."""

    @property
    def epochs(self) -> Int64Array: ...

    @property
    def activation(self) -> npt.NDArray[np.float64]: ...

    @property
    def death(self) -> npt.NDArray[np.float64]: ...


class DrawnWorst(Protocol):
    """The part of :class:`relustat.analysis.Worst` that pictures read."""

    @property
    def epoch(self) -> int: ...

    @property
    def activation(self) -> float: ...

    @property
    def activation_layer(self) -> str: ...

    @property
    def death(self) -> float: ...

    @property
    def death_layer(self) -> str: ...


def rates_figure(
    layers: Mapping[Kind, Mapping[str, DrawnRates]],
    worst: Mapping[Kind, Sequence[DrawnWorst]],
    columns: int = 4,
) -> Figure:
    """The rates of all layers by epoch, and the worst of them.

    There is a block of panels for outputs and one for gradients, with a panel for each layer. The
    last row shows the lowest activation rate and the highest death rate of all layers. Titles name
    the rates of the last epoch.

    Args:
        layers: the rates of outputs, of gradients or of both, by layer.
        worst: the worst rates of the same, by epoch.
        columns: number of panels in a row.

    Raises:
        ImportError: if matplotlib is missing.
    """
    columns = max(1, min(columns, max(map(len, layers.values()))))
    rows = [max(1, math.ceil(len(each) / columns)) for each in layers.values()]
    heights = [*(_HEADING_HEIGHT + _PANEL_HEIGHT * count for count in rows), _WORST_HEIGHT]
    size = (_PANEL_WIDTH * max(columns, len(layers)), sum(heights))
    figure = new_figure(figsize=size, layout="constrained")
    *blocks, last = figure.subfigures(len(heights), height_ratios=heights, squeeze=False).ravel()
    for block, (kind, each), count in zip(blocks, layers.items(), rows, strict=True):
        block.suptitle(f"{kind}, by layer", fontsize=10)
        _draw_layers(block.subplots(count, columns, sharex=True, sharey=True, squeeze=False), each)
    panels = last.subplots(1, len(layers), squeeze=False).ravel()
    for axes, kind in zip(panels, layers, strict=True):
        _draw_worst(axes, kind, worst[kind])
    last.supxlabel("epoch", fontsize=8)
    return figure


def _draw_layers(panels: npt.NDArray[np.object_], layers: Mapping[str, DrawnRates]) -> None:
    columns = panels.shape[1]
    for axes in panels.ravel()[len(layers) :]:
        axes.remove()
    for index, (axes, (name, rates)) in enumerate(
        zip(panels.ravel(), layers.items(), strict=False)
    ):
        draw_rates(axes, rates.epochs, rates.activation, rates.death)
        last = f"{rates.activation[-1]:.0%} active, {rates.death[-1]:.0%} dead"
        axes.set_title(f"{printable(name)}: {last}", fontsize=8, parse_math=False)
        # Also above a gap in the last row.
        axes.tick_params(labelbottom=index + columns >= len(layers))


def _draw_worst(axes: Axes, kind: Kind, worst: Sequence[DrawnWorst]) -> None:
    epochs = np.array([each.epoch for each in worst], dtype=np.int64)
    activation = np.array([each.activation for each in worst])
    death = np.array([each.death for each in worst])
    draw_rates(axes, epochs, activation, death)
    title = f"worst of all {kind}"
    if worst:
        last = worst[-1]
        title += (
            f"\nlowest activation rate {last.activation:.0%}: {printable(last.activation_layer)}"
            f"\nhighest death rate {last.death:.0%}: {printable(last.death_layer)}"
        )
        axes.legend(fontsize=7, frameon=False, loc="best")
    axes.set_title(title, fontsize=8, parse_math=False)


def draw_rates(
    axes: Axes,
    epochs: Int64Array,
    activation: npt.NDArray[np.float64],
    death: npt.NDArray[np.float64],
) -> None:
    """Draws an activation rate and a death rate by epoch. All arrays have one length."""
    draw_shares(axes, epochs, {"activation rate": activation, "death rate": death})
