"""Random inputs of a model, large enough for a receptive field."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .geometry import GeometryCalls, input_box
from .graph import PathToInput

_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
# Pixels along each of one, two or three axes with which to begin.
_FIRST_LENGTHS = (224, 224, 64)
_MOST_GROWTHS = 20


def random_inputs(
    op: str,
    model: nn.Module,
    calls: GeometryCalls,
    layer: str,
    size: Sequence[int] | None,
    samples: int,
    seed: int,
) -> Tensor:
    """Inputs from the standard normal distribution.

    Args:
        op: who asks, for messages.
        model: its first convolution, in the order of ``model.modules()``, tells channels and axes.
        calls: runs the model up to ``layer``.
        layer: whose map's centre is to have its theoretical receptive field inside.
        size: of the inputs; None: grown until that is so.
        samples: how many.
        seed: of the generator.

    Returns:
        [samples, channels, *size], on the device and of the dtype of the convolution's weights.

    Raises:
        ValueError: if there is no convolution, ``size`` does not fit, or none is large enough.
    """
    convolution = next((m for m in model.modules() if isinstance(m, _Convolution)), None)
    if convolution is None:
        raise ValueError(f"{op}: data must be given for a model without a convolution, got none")
    axes = len(convolution.kernel_size)
    weight = convolution.weight
    if size is None:
        start = weight.new_zeros(1, convolution.in_channels, *[_FIRST_LENGTHS[axes - 1]] * axes)
        size = _grown(op, calls, layer, start)
    elif len(size) != axes or min(size) < 1:
        raise ValueError(
            f"{op}: input_size must be {axes} positive numbers for a {axes}-D convolution, got "
            f"{tuple(size)}"
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(samples, convolution.in_channels, *size, generator=generator)
    return drawn.to(weight)


def _grown(op: str, calls: GeometryCalls, layer: str, start: Tensor) -> list[int]:
    """The size of the centre's theoretical field, and then what is missing, again and again."""
    field = _field_of_center(op, calls, layer, start)
    size = [high - low + 1 for low, high in field]
    for _ in range(_MOST_GROWTHS):
        field = _field_of_center(op, calls, layer, start.new_zeros(*start.shape[:2], *size))
        missing = [
            max(0, -low, high + 1 - length) for length, (low, high) in zip(size, field, strict=True)
        ]
        if not any(missing):
            return size
        size = [length + more for length, more in zip(size, missing, strict=True)]
    raise ValueError(
        f"{op}: the theoretical field of {layer!r} must fit into some input, but grows with it: "
        f"{[high - low + 1 for low, high in field]} in {size}; give data or input_size"
    )


def _field_of_center(
    op: str, calls: GeometryCalls, layer: str, x: Tensor
) -> tuple[tuple[int, int], ...]:
    x, output = calls.run_with_gradient(x)
    center = [(length // 2, length // 2) for length in output.shape[2:]]
    part = [(0, 0), (0, output.size(1) - 1), *center]
    return input_box(PathToInput(op, layer, output, x), output, part, clipped=False).box[2:]
