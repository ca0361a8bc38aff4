"""Pictures of patches and projections, as in figure 2 of Zeiler and Fergus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from relustat._figures import new_figure
from relustat.analysis.image_grids import by_sigma, image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ToImage = Callable[[Tensor], Tensor]
_GAP = 2


class DrawnPatch(Protocol):
    """The part of a patch of :func:`relustat.analysis.deconvnet_patches` that pictures read."""

    @property
    def value(self) -> float: ...

    @property
    def box(self) -> tuple[tuple[int, int], ...]: ...

    @property
    def window(self) -> tuple[tuple[int, int], ...]: ...

    @property
    def input(self) -> Tensor: ...

    @property
    def projection(self) -> Tensor: ...


def patch_grid(
    patches: Mapping[int, Sequence[DrawnPatch]], title: str, to_image: ToImage | None = None
) -> Figure:
    """A square of projections for each unit, and next to it a square of the inputs' crops.

    Args:
        patches: the result of :func:`relustat.analysis.deconvnet_patches`.
        title: the title of the figure.
        to_image: an affine function from inputs [C, h, w] to colours [h, w, 3] from 0 to 1. None:
            each crop's smallest number is black and its largest is white.

    Raises:
        ImportError: if matplotlib is missing.
    """
    columns = min(4, math.ceil(math.sqrt(len(patches) / 2)))
    rows = math.ceil(len(patches) / columns)
    figure = new_figure(figsize=(3.6 * columns, 1.95 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, 2 * columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for index, (unit, those) in enumerate(patches.items()):
        left, right = panels[2 * index : 2 * index + 2]
        projected = (_projected(each.projection, to_image) for each in those)
        seen = (_seen(each.input, to_image) for each in those)
        left.imshow(_sheet(projected, those), interpolation="nearest")
        right.imshow(_sheet(seen, those), interpolation="nearest")
        left.set_title(f"unit {unit}, up to {those[0].value:.3g}", fontsize=8, loc="left")
    figure.suptitle(title, fontsize=9)
    return figure


def _sheet(pictures: Iterable[Tensor], patches: Sequence[DrawnPatch]) -> Tensor:
    """Crops [h, w, 3] in their windows, in about as many rows as columns: [H, W, 3]."""
    framed = map(_framed, pictures, patches)
    columns = math.ceil(math.sqrt(len(patches)))
    return image_grid(torch.stack(list(framed)), columns, _GAP).permute(1, 2, 0)


def _framed(picture: Tensor, patch: DrawnPatch) -> Tensor:
    """The crop in its window, [3, H, W]. Beyond the sample's borders it is white."""
    frame = torch.ones(3, *(last - first + 1 for first, last in patch.window))
    rows, columns = (
        slice(low - first, high - first + 1)
        for (low, high), (first, _) in zip(patch.box, patch.window, strict=True)
    )
    frame[:, rows, columns] = picture.detach().clamp(0, 1).permute(2, 0, 1)
    return frame


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
    # A projection is a direction in the space of inputs, so it has no mean colour.
    return by_sigma(to_image(image) - to_image(torch.zeros_like(image)))
