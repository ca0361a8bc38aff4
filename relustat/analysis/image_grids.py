"""Filters and feature maps as images: tensors of numbers from 0 to 1."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .model_run.layer_outputs import outputs_of


def by_sigma(x: Tensor, sigmas: float = 3.0) -> Tensor:
    """Scales numbers to 0..1 so that their mean is 0.5 and ``sigmas`` deviations reach the ends.

    Numbers further out are cut off. Mean and deviation are those of the finite numbers. If these
    are all equal, the result is 0.5. Infinity gives 1, minus infinity gives 0, and NaN stays NaN.

    Args:
        x: floating point, any shape.
        sigmas: standard deviations on either side.

    Returns:
        A tensor of the shape and dtype of ``x``. It is computed in float64.

    Raises:
        ValueError: if ``sigmas`` is not positive.
        TypeError: if ``x`` is not floating point.

    Example:
        >>> import torch
        >>> by_sigma(torch.tensor([-1.0, 0.0, 1.0]), sigmas=1).tolist()
        [0.0, 0.5, 1.0]
    """
    if not sigmas > 0:
        raise ValueError(f"by_sigma: sigmas must be positive, got {sigmas}")
    if not x.is_floating_point():
        raise TypeError(f"by_sigma: x must be floating point, got {x.dtype}")
    numbers = x.double()
    is_finite = numbers.isfinite()
    finite = numbers[is_finite]
    # A comparison, because the mean of equal numbers may differ from them in the last digit.
    if bool((finite == finite[:1]).all()):
        scaled = numbers.where(~is_finite, 0.5)
    else:
        # Squares of numbers within -1 and 1 do not overflow.
        largest = finite.abs().max()
        finite = finite / largest
        spread = finite.std(correction=0)
        scaled = (numbers / largest - finite.mean()) / (2 * sigmas * spread) + 0.5
    return scaled.clamp(0, 1).to(x.dtype)


def image_grid(images: Tensor, columns: int | None = None, gap: int = 1) -> Tensor:
    """Images of one size in rows and columns.

    Args:
        images: floating point [n, channels, height, width], from 0 to 1.
        columns: number of images in a row; None: about as many as rows.
        gap: number of white pixels between images.

    Returns:
        [channels, rows * (height + gap) - gap, columns * (width + gap) - gap].

    Raises:
        ValueError: if there is no image, or a number is out of range.
        TypeError: if ``images`` are not floating point, because 1 is white.

    Example:
        >>> import torch
        >>> image_grid(torch.zeros(6, 3, 4, 4), columns=3).shape
        torch.Size([3, 9, 14])
    """
    if images.ndim != 4 or images.size(0) == 0:
        raise ValueError(
            f"image_grid: images must be [n, channels, height, width], got {list(images.shape)}"
        )
    if not images.is_floating_point():
        raise TypeError(f"image_grid: images must be floating point, got {images.dtype}")
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count * height / width)) if columns is None else columns
    if columns < 1 or gap < 0:
        raise ValueError(
            f"image_grid: columns must be positive and gap not negative, got columns={columns}, "
            f"gap={gap}"
        )
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    cells = images.new_ones(rows * columns, channels, height + gap, width + gap)
    cells[:count, :, :height, :width] = images
    grid = cells.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4)
    sheet: Tensor = grid.reshape(channels, rows * (height + gap), columns * (width + gap))
    return sheet[:, : sheet.size(1) - gap, : sheet.size(2) - gap]


def filter_images(model: nn.Module, sigmas: float = 3.0) -> Tensor:
    """The filters of a model's first 2-D convolution as one image, scaled by :func:`by_sigma`.

    Filters of three channels have the colours of the model's input. Others are grey.

    Args:
        model: its first ``nn.Conv2d``, in the order of ``model.modules()``, has 1 or 3 channels.
        sigmas: deviations of all weights together.

    Returns:
        [channels, height, width].

    Raises:
        ValueError: if there is no convolution, or if the first one has not 1 or 3 channels.

    Source: Zeiler and Fergus 2014, figure 2, layer 1.

    Example:
        >>> import torch
        >>> filter_images(torch.nn.Conv2d(3, 16, 7)).shape
        torch.Size([3, 31, 31])
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ValueError("filter_images: the model must have an nn.Conv2d, got none")
    filters = convolutions[0].weight.detach()
    if filters.size(1) not in (1, 3):
        raise ValueError(
            f"filter_images: the first nn.Conv2d must filter 1 or 3 channels, got {filters.size(1)}"
        )
    return image_grid(by_sigma(filters.float(), sigmas))


def feature_images(
    model: nn.Module, x: Tensor, layer: str, sigmas: float = 3.0, columns: int | None = None
) -> Tensor:
    """The feature maps of a layer as one grey image, scaled together by :func:`by_sigma`.

    Args:
        model: in evaluation mode.
        x: one sample, [1, C, H, W].
        layer: a module's path, or a functional ReLU's name as :func:`relustat.watch` gives it.
        sigmas: deviations of all maps together.
        columns: number of maps in a row.

    Returns:
        [1, height, width].

    Raises:
        ValueError: if ``x`` is not one sample, or if the layer is unknown or its output is not
            [1, C, h, w].

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 16, 3).eval()
        >>> feature_images(model, torch.randn(1, 3, 12, 12), "").shape
        torch.Size([1, 43, 43])
    """
    with torch.no_grad():
        maps = outputs_of("feature_images", model, x, [layer])[layer]
    if maps.ndim != 4 or maps.size(0) != 1:
        raise ValueError(
            "feature_images: the layer must give [1, C, h, w], one sample's maps, got "
            f"{list(maps.shape)}"
        )
    return image_grid(by_sigma(maps[0].float(), sigmas)[:, None], columns)
