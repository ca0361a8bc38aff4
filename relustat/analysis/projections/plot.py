"""Pictures of patches and projections, as in figure 2 of Zeiler and Fergus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from relustat._figures import new_figure
from relustat._printable import printable
from relustat.analysis.image_grids import by_sigma, image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ToImage = Callable[[Tensor], Tensor]
# Small pictures are enlarged to this width at least, so that Matplotlib need not do it: it would
# blur the gap between two pictures into both.
_FINE = 240
_GAP = 8
# Inches: the width of a square, the gaps within a unit and between units, the heights of titles.
_SQUARE, _NARROW, _WIDE, _UNIT_TITLE, _TITLE = 2.4, 0.08, 0.35, 0.3, 0.35


class DrawnPatch(Protocol):
    """The part of a patch of :func:`relustat.analysis.deconvnet_patches` that pictures read."""

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
    sheets = {
        unit: (
            _sheet(_projected(each.projection, to_image) for each in those),
            _sheet(_seen(each.input, to_image) for each in those),
        )
        for unit, those in patches.items()
    }
    columns = min(4, math.ceil(math.sqrt(len(sheets) / 2)))
    rows = math.ceil(len(sheets) / columns)
    sheet_height, sheet_width, _ = next(iter(sheets.values()))[0].shape
    square = _SQUARE * sheet_height / sheet_width
    across, down = 2 * _SQUARE + _NARROW + _WIDE, _UNIT_TITLE + square
    width, height = columns * across, _TITLE + rows * down + _WIDE / 2
    figure = new_figure(figsize=(width, height))
    for index, (unit, (projected, seen)) in enumerate(sheets.items()):
        row, column = divmod(index, columns)
        left = _WIDE / 2 + column * across
        bottom = height - _TITLE - (row + 1) * down
        for sheet, start, heading in [
            (projected, left, f"unit {unit}, projected back"),
            (seen, left + _SQUARE + _NARROW, "what it saw"),
        ]:
            # In a place of its own: a layout engine would space the squares unevenly.
            axes = figure.add_axes(
                (start / width, bottom / height, _SQUARE / width, square / height)
            )
            axes.imshow(sheet)
            axes.set_axis_off()
            axes.set_title(heading, fontsize=9, loc="left", pad=4)
    figure.suptitle(printable(title), fontsize=11, y=1 - 0.12 / height, parse_math=False)
    return figure


def _sheet(pictures: Iterable[Tensor]) -> Tensor:
    """Pictures [h, w, 3], enlarged, in about as many rows as columns: [H, W, 3]."""
    stacked = torch.stack([each.detach().clamp(0, 1) for each in pictures]).permute(0, 3, 1, 2)
    times = math.ceil(_FINE / stacked.shape[-1])
    fine = F.interpolate(stacked, scale_factor=times, mode="bicubic").clamp(0, 1)
    return image_grid(fine, math.ceil(math.sqrt(len(fine))), _GAP).permute(1, 2, 0)


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
