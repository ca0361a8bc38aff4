"""Pictures of what excites units, as in figure 2 of Zeiler and Fergus."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .. import extras
from .images import by_sigma

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .deconvnet_patches import Patch

ToImage = Callable[[Tensor], Tensor]
_GAP = 2


def patch_grid(
    patches: Mapping[int, Sequence[Patch]], title: str, to_image: ToImage | None = None
) -> Figure:
    """For each unit a square of projections, and beside it a square of the inputs' crops.

    Args:
        patches: what :func:`relustat.analysis.deconvnet_patches` gives.
        title: above it all.
        to_image: turns inputs [C, h, w] into colours [h, w, 3] from 0 to 1, an affine function;
            None: each crop's smallest number is black and its largest white.

    Raises:
        ImportError: if matplotlib is missing.
    """
    figure_module = extras.need("matplotlib.figure", "plot", "plotting")
    columns = min(4, math.ceil(math.sqrt(len(patches) / 2)))
    rows = math.ceil(len(patches) / columns)
    figure: Figure = figure_module.Figure(
        figsize=(3.6 * columns, 1.95 * rows + 0.4), layout="constrained"
    )
    panels = figure.subplots(rows, 2 * columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for index, (unit, those) in enumerate(patches.items()):
        for panel, picture in zip(
            panels[2 * index : 2 * index + 2],
            (
                _square([_framed(_projected(each.projection, to_image), each) for each in those]),
                _square([_framed(_seen(each.input, to_image), each) for each in those]),
            ),
            strict=True,
        ):
            panel.imshow(picture, interpolation="nearest")
        panels[2 * index].set_title(
            f"unit {unit}, up to {those[0].value:.3g}", fontsize=8, loc="left"
        )
    figure.suptitle(title, fontsize=9)
    return figure


def _framed(colours: Tensor, patch: Patch) -> np.ndarray[Any, Any]:
    """The crop in its window; white where that lies beyond the sample's borders."""
    sizes = [last - first + 1 for first, last in patch.window]
    frame = np.ones((*sizes, 3))
    places = tuple(
        slice(low - first, high - first + 1)
        for (low, high), (first, _) in zip(patch.box, patch.window, strict=True)
    )
    frame[places] = colours.detach().double().clamp(0, 1).cpu().numpy()
    return frame


def _square(pictures: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """As many rows as columns, the strongest first."""
    side = math.ceil(math.sqrt(len(pictures)))
    height, width = (length + _GAP for length in pictures[0].shape[:2])
    sheet = np.ones((side * height - _GAP, side * width - _GAP, 3))
    for index, picture in enumerate(pictures):
        top, left = index // side * height, index % side * width
        sheet[top : top + height - _GAP, left : left + width - _GAP] = picture
    return sheet


def _coloured(image: Tensor) -> Tensor:
    """[C, h, w] as colours [h, w, 3]; grey, unless there are three channels."""
    grey = image if image.size(0) == 3 else image.mean(0, keepdim=True)
    return grey.expand(3, -1, -1).permute(1, 2, 0)


def _seen(image: Tensor, to_image: ToImage | None) -> Tensor:
    if to_image is not None:
        return to_image(image)
    low, high = image.min(), image.max()
    return _coloured(torch.zeros_like(image) if low == high else (image - low) / (high - low))


def _projected(image: Tensor, to_image: ToImage | None) -> Tensor:
    if to_image is None:
        return by_sigma(_coloured(image))
    # A projection is a direction in the space of inputs: it has no mean colour.
    return by_sigma(to_image(image) - to_image(torch.zeros_like(image)))
