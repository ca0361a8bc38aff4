"""Pictures of hypercolumns, with matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from relustat._figures import new_figure
from relustat._optional import import_optional
from relustat._printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL = 2.0


class DrawnColumns(Protocol):
    """The part of :class:`relustat.analysis.Hypercolumns` that pictures read."""

    @property
    def layers(self) -> Mapping[str, slice]: ...

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    def mean(self, layers: Iterable[str] | None = None) -> Tensor: ...


def hypercolumns_grid(columns: DrawnColumns) -> Figure:
    """A row for each image: the mean of each layer's channels, and of all.

    Each panel has its own scale: black is its lowest mean, pale yellow its highest.

    Args:
        columns: the hypercolumns of one or more layers.

    Raises:
        ImportError: if matplotlib is missing.
    """
    pictures = {name: columns.mean([name]) for name in columns.layers}
    pictures["all layers"] = columns.mean()
    images, _, height, width = columns.shape
    figure, panels = _panels(images, len(pictures), height / width)
    for index, (title, means) in enumerate(pictures.items()):
        panels[0, index].set_title(printable(title), fontsize=9, parse_math=False)
        for axes, mean in zip(panels[:, index], means, strict=True):
            axes.imshow(mean.float().cpu().numpy(), cmap="magma")
            axes.set_xlabel(f"{mean.min():.3g} to {mean.max():.3g}", fontsize=7)
    figure.suptitle("mean activation above each pixel", fontsize=10)
    return figure


def hypercolumn_clusters_grid(photographs: Tensor, labels: Tensor) -> Figure:
    """A row for each image: the photograph, and next to it the clusters in colours.

    Args:
        photographs: RGB in 0 to 1, float [N, 3, H, W].
        labels: int64 [N, h, w], from :func:`relustat.analysis.hypercolumn_clusters`.

    Raises:
        ValueError: if they have other shapes.
        ImportError: if matplotlib is missing.

    Example:
        >>> import torch, relustat
        >>> photographs, labels = torch.rand(2, 3, 8, 8), torch.randint(2, (2, 8, 8))
        >>> len(relustat.analysis.hypercolumn_clusters_grid(photographs, labels).axes)
        4
    """
    if photographs.ndim != 4 or photographs.shape[1] != 3:
        raise ValueError(
            "hypercolumn_clusters_grid: photographs must be [N, 3, H, W], "
            f"got {list(photographs.shape)}"
        )
    if labels.ndim != 3 or len(labels) != len(photographs):
        raise ValueError(
            "hypercolumn_clusters_grid: labels must be [N, h, w] with the photographs' "
            f"N={len(photographs)}, got {list(labels.shape)}"
        )
    height, width = photographs.shape[2:]
    figure, panels = _panels(len(labels), 2, height / width)
    clusters = int(labels.max()) + 1
    panels[0, 0].set_title("photograph", fontsize=9)
    panels[0, 1].set_title(f"{clusters} clusters", fontsize=9)
    colours = import_optional("matplotlib", "plot", "plotting").colormaps["viridis"]
    scale = {"cmap": colours.resampled(clusters), "vmin": -0.5, "vmax": clusters - 0.5}
    for (left, right), photograph, positions in zip(panels, photographs, labels, strict=True):
        left.imshow(photograph.float().clamp(0, 1).permute(1, 2, 0).cpu().numpy())
        shown = right.imshow(positions.cpu().numpy(), **scale, interpolation="nearest")
    patches = import_optional("matplotlib.patches", "plot", "plotting")
    figure.legend(
        handles=[
            patches.Patch(color=shown.to_rgba(cluster), label=f"cluster {cluster}")
            for cluster in range(clusters)
        ],
        loc="outside lower right",
        ncols=2,
        fontsize=7,
        frameon=False,
    )
    return figure


def _panels(rows: int, columns: int, aspect: float) -> tuple[Figure, Any]:
    figure = new_figure(
        figsize=(_PANEL * columns, (_PANEL * aspect + 0.1) * rows + 0.4), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
    return figure, panels
