"""Random inputs of a model, large enough for a receptive field."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from relustat._checks import as_integer
from relustat.analysis.model_run.autograd_path import PathToInput

from .input_boxes import GeometryCalls, input_box

_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
# The first size that is tried: pixels along each axis, for one, two or three axes.
_FIRST_LENGTHS = (224, 224, 64)
_MOST_GROWTHS = 20
# Maps that are halved and doubled again, as in U-Nets, fit together at multiples of it.
_ROUND_LENGTH = 32


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
        op: the name of the caller, for messages.
        model: its first convolution, in the order of ``model.modules()``, has the channels and
            axes.
        calls: runs the model up to ``layer``.
        layer: the layer whose map's centre must have its theoretical receptive field inside.
        size: the size of the inputs; None: it grows until that holds.
        samples: number of inputs.
        seed: the seed of the generator.

    Returns:
        [samples, channels, *size], on the device and of the dtype of the convolution's weights.

    Raises:
        ValueError: if there is no convolution, if ``size`` or ``seed`` is wrong, if the model
            rejects the size, or if no size is large enough.
    """
    convolution = next((m for m in model.modules() if isinstance(m, _Convolution)), None)
    if convolution is None:
        raise ValueError(f"{op}: data must be given for a model without a convolution, got none")
    axes = len(convolution.kernel_size)
    weight = convolution.weight
    if size is None:
        start = weight.new_zeros(1, convolution.in_channels, *[_FIRST_LENGTHS[axes - 1]] * axes)
        size = _grown(op, calls, layer, start)
    else:
        _check_size(op, size, axes)
        with _naming_the_size(op, size):
            calls.run_with_gradient(weight.new_zeros(1, convolution.in_channels, *size))
    generator = torch.Generator().manual_seed(as_integer(f"{op}: seed", seed))
    drawn = torch.randn(samples, convolution.in_channels, *size, generator=generator)
    return drawn.to(weight)


def _check_size(op: str, size: Sequence[int], axes: int) -> None:
    rule = f"{op}: input_size must be {axes} positive numbers for a {axes}-D convolution"
    if not isinstance(size, Sequence) or len(size) != axes:
        raise ValueError(f"{rule}, got {size!r}")
    if min(as_integer(f"{op}: a number of input_size", length) for length in size) < 1:
        raise ValueError(f"{rule}, got {size!r}")


@contextlib.contextmanager
def _naming_the_size(op: str, size: Sequence[int]) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        first_line = str(error).partition("\n")[0]
        raise ValueError(
            f"{op}: random inputs must be of a size that the model takes, got {list(size)}, for "
            f"which it raises: {first_line}; give an input_size that it takes"
        ) from error


def _grown(op: str, calls: GeometryCalls, layer: str, start: Tensor) -> list[int]:
    """A size for the theoretical field of the centre: it grows by what is missing until it fits.

    If the model rejects a size, its lengths are rounded up.
    """
    with _naming_the_size(op, start.shape[2:]):
        field = _field_of_center(op, calls, layer, start)
    size = [high - low + 1 for low, high in field]
    for _ in range(_MOST_GROWTHS):
        try:
            field = _field_of_center(op, calls, layer, start.new_zeros(*start.shape[:2], *size))
        except RuntimeError:
            size = [math.ceil(length / _ROUND_LENGTH) * _ROUND_LENGTH for length in size]
            with _naming_the_size(op, size):
                field = _field_of_center(op, calls, layer, start.new_zeros(*start.shape[:2], *size))
        missing = [
            max(0, -low, high + 1 - length) for length, (low, high) in zip(size, field, strict=True)
        ]
        if not any(missing):
            return size
        size = [length + more for length, more in zip(size, missing, strict=True)]
    raise ValueError(
        f"{op}: random inputs must hold the theoretical field of {layer!r}, but it sees all of any "
        "input, as after global pooling or an operation of unknown geometry; give data or "
        "input_size"
    )


def _field_of_center(
    op: str, calls: GeometryCalls, layer: str, x: Tensor
) -> tuple[tuple[int, int], ...]:
    x, output = calls.run_with_gradient(x)
    center = [(length // 2, length // 2) for length in output.shape[2:]]
    part = [(0, 0), (0, output.size(1) - 1), *center]
    return input_box(PathToInput(op, layer, output, x), output, part, clipped=False).box[2:]
