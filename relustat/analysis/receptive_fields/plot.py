"""Pictures of receptive fields, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from relustat._figures import new_figure
from relustat._optional import import_optional
from relustat._printable import printable

from .gaussian_fit import GaussianFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_THEORETICAL, _GAUSSIAN = "#ffffff", "#4fc3f7"
_PROFILES = ("#d62728", "#1f77b4", "#2ca02c")
# The margin around the theoretical field, as a share of it.
_MARGIN = 0.06


class DrawnField(Protocol):
    """The part of :class:`relustat.analysis.ReceptiveField` that pictures read."""

    @property
    def layer(self) -> str: ...

    @property
    def size(self) -> tuple[int, ...]: ...

    @property
    def box(self) -> tuple[tuple[int, int], ...]: ...

    @property
    def is_exact(self) -> bool: ...

    @property
    def effective(self) -> Tensor: ...

    @property
    def samples(self) -> int: ...

    @property
    def gaussian(self) -> GaussianFit: ...


def receptive_field_figure(field: DrawnField) -> Figure:
    """The map of an effective receptive field (if it has two axes), and its profiles.

    The map shows the square roots of the shares, so that more than the centre can be seen. It is
    cut to the theoretical field (white), and shows 1 and 2 sigma of the fitted Gaussian (blue). The
    profiles show the shares along each axis through the Gaussian's centre.

    Args:
        field: a field with any number of axes.

    Raises:
        ImportError: if matplotlib is missing.
    """
    is_map = len(field.size) == 2
    figure = _figure(8.4 if is_map else 4.6, 3.8)
    if is_map:
        axes, profiles = figure.subplots(1, 2, width_ratios=(1, 1.1))
        _draw_map(axes, field)
        axes.set_title(f"square root of the share of pixels, {field.samples} inputs", fontsize=9)
    else:
        profiles = figure.subplots()
    _draw_profiles(profiles, field)
    title = f"{printable(field.layer)}: {_sizes(field)}"
    figure.suptitle(title, fontsize=10, parse_math=False)
    return figure


def receptive_field_grid(fields: Mapping[str, DrawnField], columns: int = 4) -> Figure:
    """The maps of several effective receptive fields, as in :func:`receptive_field_figure`.

    Args:
        fields: fields of two axes, by title.
        columns: number of panels in a row.

    Raises:
        ValueError: if there is no field, or if one has not two axes.
        ImportError: if matplotlib is missing.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(*(torch.nn.Conv2d(1, 1, 3) for _ in range(4))).eval()
        >>> fields = {name: relustat.analysis.receptive_field(model, name) for name in "13"}
        >>> len(relustat.analysis.receptive_field_grid(fields).axes)
        2
    """
    if not fields:
        raise ValueError("receptive_field_grid: fields must be one or more, got none")
    for title, field in fields.items():
        if len(field.size) != 2:
            raise ValueError(
                f"receptive_field_grid: fields must have two axes, got {len(field.size)} of "
                f"{title!r}"
            )
    columns = max(1, min(columns, len(fields)))
    rows = math.ceil(len(fields) / columns)
    figure = _figure(2.5 * columns, 2.85 * rows + 0.3)
    # Titles must not touch the numbers of the row above.
    figure.set_layout_engine("constrained", h_pad=0.09)
    for index, (title, field) in enumerate(fields.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        _draw_map(axes, field)
        axes.set_title(f"{printable(title)}\n{_sizes(field)}", fontsize=8, parse_math=False)
    figure.supxlabel(
        "axes and sizes in pixels; colour: square root of a pixel's share, black is 0; "
        "white: theoretical field; blue: Gaussian, 1 and 2 sigma",
        fontsize=8,
    )
    return figure


def _figure(width: float, height: float) -> Figure:
    return new_figure(figsize=(width, height), layout="constrained")


def _sizes(field: DrawnField) -> str:
    size = " x ".join(map(str, field.size))
    sigma = " x ".join(f"{sigma:.1f}" for sigma in field.gaussian.sigma)
    bound = "" if field.is_exact else "at most "
    return f"{bound}{size}, sigma {sigma}"


def _draw_map(axes: Axes, field: DrawnField) -> None:
    patches = import_optional("matplotlib.patches", "plot", "plotting")
    axes.imshow(field.effective.sqrt().numpy(), cmap="magma", vmin=0, interpolation="nearest")
    (top, bottom), (left, right) = field.box
    height, width = bottom - top + 1, right - left + 1
    axes.add_patch(
        patches.Rectangle(
            (left - 0.5, top - 0.5), width, height, fill=False, color=_THEORETICAL, linewidth=1
        )
    )
    gaussian = field.gaussian
    variances, directions = torch.linalg.eigh(gaussian.covariance)
    down, across = directions[:, 1].tolist()
    for sigmas in (1, 2):
        minor, major = (2 * sigmas * variances.clamp(min=0).sqrt()).tolist()
        axes.add_patch(
            patches.Ellipse(
                gaussian.center[::-1],
                major,
                minor,
                angle=math.degrees(math.atan2(down, across)),
                fill=False,
                color=_GAUSSIAN,
                linewidth=1,
            )
        )
    margin = _MARGIN * max(height, width) + 0.5
    axes.set_xlim(left - 0.5 - margin, right + 0.5 + margin)
    axes.set_ylim(bottom + 0.5 + margin, top - 0.5 - margin)
    axes.set_facecolor("black")
    axes.locator_params(integer=True, nbins=5)
    axes.tick_params(labelsize=7)


def _draw_profiles(axes: Axes, field: DrawnField) -> None:
    gaussian = field.gaussian
    is_map = len(field.box) == 2
    for axis, (low, high) in enumerate(field.box):
        positions = torch.tensor(gaussian.center).round().long().repeat(high - low + 1, 1)
        positions[:, axis] = torch.arange(low, high + 1)
        offsets = (positions[:, axis] - gaussian.center[axis]).numpy()
        edges = (torch.arange(low, high + 2) - 0.5 - gaussian.center[axis]).numpy()
        share = field.effective[tuple(positions.unbind(1))].numpy()
        label = ("vertical", "horizontal")[axis] if is_map else f"axis {axis}"
        color = _PROFILES[axis]
        axes.stairs(share, edges, color=color, linewidth=1, label=label)
        if min(gaussian.sigma) > 0:
            axes.plot(offsets, gaussian.density(positions).numpy(), "--", color=color, linewidth=1)
    axes.set_xlabel("pixels from the Gaussian's centre", fontsize=8)
    axes.set_ylabel("share of a pixel", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_ylim(0, None)
    axes.set_title("profiles; dashed: the fitted Gaussian", fontsize=9)
    axes.legend(fontsize=7, frameon=False)
