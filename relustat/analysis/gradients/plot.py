"""Gradient norms by step and layer as a picture, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from relustat._figures import as_plain_text, new_figure
from relustat._optional import import_optional
from relustat._printable import printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NOT_FINITE = "#d62728"
_LAYERS_PER_COLUMN = 24
# As a share of the panel's height.
_ZEROS_HEIGHT = 0.1


def figure(layers: Sequence[str], values: npt.NDArray[np.floating]) -> Figure:
    """One panel with a legend; see :func:`draw`.

    Raises:
        ValueError: if there is no step.
        ImportError: if matplotlib is missing.
    """
    if not len(values):
        shape = list(values.shape)
        raise ValueError(f"plot: norms must be [steps, layers] with at least one step, got {shape}")
    made = new_figure(figsize=(9, 4), layout="constrained")
    axes = made.add_subplot()
    draw(axes, layers, values)
    axes.set_title("norm of each layer's gradient", fontsize=10)
    axes.set_xlabel("step")
    axes.set_ylabel("L2 norm; dots at the bottom: 0")
    columns = math.ceil(len(layers) / _LAYERS_PER_COLUMN)
    # By itself matplotlib leaves out names that begin with "_".
    keys: list[Artist] = [*axes.lines[::2], *axes.collections]
    legend = made.legend(
        handles=keys, loc="outside right upper", ncols=columns, fontsize=8, frameon=False
    )
    as_plain_text(legend)
    return made


def draw(axes: Axes, layers: Sequence[str], values: npt.NDArray[np.floating]) -> None:
    """A line for each layer on a logarithmic scale, from the first (dark) to the last (light).

    Steps at which a norm is NaN or infinite are red. A norm of 0 cannot be
    shown on such a scale; it is a dot at the bottom, in the layer's row.

    Args:
        axes: the axes to draw into.
        layers: the names of the layers.
        values: norms, [steps, layers].
    """
    matplotlib = import_optional("matplotlib", "plot", "plotting")
    axes.set_yscale("log", nonpositive="mask")
    whole_height = axes.get_xaxis_transform()
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(layers)))
    is_finite = np.isfinite(values)
    shown = np.where(is_finite, values, np.nan)
    for index, (layer, norms, color) in enumerate(zip(layers, shown.T, colors, strict=True)):
        axes.plot(norms, color=color, label=printable(layer), linewidth=0.9)
        zeros = np.flatnonzero(norms == 0)
        height = np.full(len(zeros), _ZEROS_HEIGHT * (index + 0.5) / len(layers))
        axes.plot(zeros, height, ".", color=color, markersize=2, transform=whole_height)
    changes = np.diff(~is_finite.all(axis=1), prepend=False, append=False)
    starts, ends = np.flatnonzero(changes).reshape(-1, 2).T
    if len(starts):
        axes.broken_barh(
            list(zip(starts - 0.5, ends - starts, strict=True)),
            (0, 1),
            transform=whole_height,
            color=_NOT_FINITE,
            alpha=0.4,
            label="NaN or infinite",
        )
    axes.tick_params(which="both", labelsize=8)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
