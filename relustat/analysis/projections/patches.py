"""The patches of samples that excite units most, and their projections."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from relustat.analysis.model_run.autograd_path import PathToInput
from relustat.analysis.receptive_fields.input_boxes import GeometryCalls, input_box

from .backward_rules import Rule
from .deconvnet import Overlap, deconvnet
from .plot import ToImage, patch_grid
from .strongest import StrongestActivations, strongest_activations

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Patch:
    """The part of a sample that an activation can depend on, and its projection.

    Attributes:
        unit: the unit's index.
        value: the activation.
        sample: the index of the sample in the data.
        position: the activation's position in the unit's map.
        box: first and last row, first and last column of that part, within the sample.
        window: the same of what is cropped. It has the size that a box has away from the sample's
            borders, or the sample's if that is smaller. At a border it is moved inwards: there it
            is more than the box.
        input: [C, rows, columns], the window of the sample.
        projection: the window of the result of :func:`relustat.analysis.deconvnet`.
    """

    unit: int
    value: float
    sample: int
    position: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    window: tuple[tuple[int, int], ...]
    input: Tensor
    projection: Tensor


def deconvnet_patches(
    model: nn.Module,
    loader: Iterable[Any],
    layer: str,
    units: Sequence[int],
    k: int = 9,
    rule: Rule = "deconvnet",
    overlap: Overlap = "last",
) -> dict[int, list[Patch]]:
    """The strongest activations of units over a data set, each projected back to pixels.

    For each of the ``k`` samples that excite a unit most, the strongest activation is projected
    back, as by :func:`deconvnet` with ``signal="activation"``. Sample and projection are cropped to
    its theoretical receptive field. All crops have one size.

    Args:
        model, loader, layer, units, k: see :func:`strongest_activations`. Inputs are [N, C, H, W].
        rule, overlap: see :func:`deconvnet`.

    Returns:
        The patches of each unit, the strongest first.

    Raises:
        ValueError, TypeError: as these two functions raise them, and if inputs are not images.

    Source: Zeiler and Fergus 2014, figure 2.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU()).eval()
        >>> loader = [torch.randn(4, 3, 16, 16) for _ in range(3)]
        >>> patches = relustat.analysis.deconvnet_patches(model, loader, "1", [0, 5], k=4)
        >>> len(patches[5]), patches[5][0].projection.shape
        (4, torch.Size([3, 5, 5]))
    """
    found = strongest_activations(model, loader, layer, units, k)
    if found.inputs.ndim != 5:
        raise ValueError(
            "deconvnet_patches: inputs must be images [N, C, H, W], got "
            f"{['N', *found.inputs.shape[2:]]}"
        )
    return {
        unit: _patches_of(model, found, index, rule, overlap)
        for index, unit in enumerate(found.units)
    }


def deconvnet_grid(
    model: nn.Module,
    loader: Iterable[Any],
    layer: str,
    units: Sequence[int],
    k: int = 9,
    rule: Rule = "deconvnet",
    overlap: Overlap = "last",
    to_image: ToImage | None = None,
) -> Figure:
    """The picture of :func:`deconvnet_patches`: projections and crops side by side for each unit.

    Args:
        model, loader, layer, units, k, rule, overlap: see :func:`deconvnet_patches`.
        to_image: an affine function from inputs [C, h, w] to colours [h, w, 3] from 0 to 1. None:
            each crop's smallest number is black and its largest is white.

    Returns:
        A matplotlib figure. All projections have the same contrast.

    Raises:
        ImportError: if matplotlib is missing.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU()).eval()
        >>> loader = [torch.randn(4, 3, 16, 16) for _ in range(3)]
        >>> figure = relustat.analysis.deconvnet_grid(model, loader, "1", [0, 5], k=4)
        >>> [axes.get_title(loc="left")[:6] for axes in figure.axes[::2]]
        ['unit 0', 'unit 5']
    """
    patches = deconvnet_patches(model, loader, layer, units, k, rule, overlap)
    return patch_grid(patches, f"{layer}, rule {rule!r}", to_image)


def _patches_of(
    model: nn.Module, found: StrongestActivations, index: int, rule: Rule, overlap: Overlap
) -> list[Patch]:
    unit, inputs, positions = found.units[index], found.inputs[index], found.positions[index]
    # A unit that is never active has an empty projection.
    projections = deconvnet(
        model, inputs, found.layer, unit, positions, rule, overlap, signal="activation"
    )
    fields = _fields(model, inputs[:1], found.layer, positions)
    return [
        Patch(
            unit,
            found.values[index, rank].item(),
            int(found.samples[index, rank]),
            tuple(positions[rank].tolist()),
            box,
            window,
            _crop(inputs[rank], window),
            _crop(projections[rank], window),
        )
        for rank, (box, window) in enumerate(fields)
    ]


def _fields(model: nn.Module, x: Tensor, layer: str, positions: Tensor) -> list[Any]:
    """The rows and columns that each position sees, and its window."""
    with torch.inference_mode(False), torch.enable_grad():
        calls = GeometryCalls("deconvnet_patches", model, [layer])
        start, output = calls.run_with_gradient(x)
        path = PathToInput("deconvnet_patches", layer, output, start)
    fields = []
    for position in positions.tolist():
        part = [(0, 0), (0, output.size(1) - 1), *((index, index) for index in position)]
        box, whole = (
            input_box(path, output, part, clipped=clipped).box[2:] for clipped in (True, False)
        )
        fields.append((box, tuple(map(_moved_inside, whole, x.shape[2:]))))
    return fields


def _moved_inside(span: tuple[int, int], size: int) -> tuple[int, int]:
    """The nearest first and last index within 0 and size - 1, as far apart where that is enough."""
    length = min(span[1] - span[0] + 1, size)
    first = min(max(span[0], 0), size - length)
    return first, first + length - 1


def _crop(image: Tensor, box: Sequence[tuple[int, int]]) -> Tensor:
    (top, bottom), (left, right) = box
    return image[:, top : bottom + 1, left : right + 1]
