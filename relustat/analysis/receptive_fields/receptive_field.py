"""Receptive fields: the pixels that an activation can see, and how much each counts.

Luo, Li, Urtasun, Zemel, Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks, NIPS 2016.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from relustat._checks import as_integer
from relustat.analysis.model_run.autograd_path import PathToInput
from relustat.analysis.model_run.batches import batches
from relustat.analysis.model_run.selection import check_samples, check_unit, positions_in

from .gaussian_fit import GaussianFit
from .input_boxes import GeometryCalls, input_box
from .plot import receptive_field_figure
from .random_inputs import random_inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OP = "receptive_field"
_RANDOM_SAMPLES = 16
# Number of inputs that go through the model at a time.
_BATCH = 8


@dataclasses.dataclass(frozen=True, eq=False)
class ReceptiveField:
    """The result of :func:`receptive_field`.

    Attributes:
        layer: the layer's name.
        position: the position in the layer's map.
        size: the size of the theoretical receptive field along each axis of the input, in pixels,
            as textbooks give it: as if the input went on beyond its borders.
        box: the theoretical receptive field of this position in this input: the first and the last
            pixel along each axis, both included. Outside it, all shares are 0.
        unknown: the operations without a rule, by autograd node. They are taken to need all of
            their input, so that size and box are upper bounds.
        effective: the share of each pixel, float64 [H, W]; the sum is 1.
        samples: the number of inputs over which the shares are averaged.
    """

    layer: str
    position: tuple[int, ...]
    size: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    unknown: tuple[str, ...]
    effective: Tensor
    samples: int

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.size))
        sigma = " x ".join(f"{sigma:.3g}" for sigma in self.gaussian.sigma)
        bound = "" if self.is_exact else "at most "
        return f"<ReceptiveField of {self.layer!r}: {bound}{size} pixels, sigma {sigma}>"

    @property
    def is_exact(self) -> bool:
        """Whether size and box are exact. If not, they are upper bounds."""
        return not self.unknown

    @property
    def gaussian(self) -> GaussianFit:
        """The Gaussian of the same mean and covariance."""
        return GaussianFit.to(self.effective)

    def area(self, mass: float = 0.95) -> int:
        """The smallest number of pixels that together have this share.

        Args:
            mass: the share, above 0 and at most 1.

        Raises:
            ValueError: if ``mass`` is out of this range.
        """
        if not 0 < mass <= 1:
            raise ValueError(f"area: mass must be above 0 and at most 1, got {mass}")
        held = self.effective.flatten().sort(descending=True).values.cumsum(0)
        # A sum that is reached within rounding is reached.
        return int((held < mass * float(held[-1]) * (1 - 1e-12)).sum()) + 1

    def plot(self) -> Figure:
        """The effective receptive field with its Gaussian, and profiles of both.

        :func:`relustat.analysis.receptive_fields.plot.receptive_field_figure` says what is drawn.

        Raises:
            ImportError: if matplotlib is missing.
        """
        return receptive_field_figure(self)


def receptive_field(
    model: nn.Module,
    layer: str,
    position: Literal["center"] | Sequence[int] | Tensor = "center",
    data: Tensor | Iterable[Any] | None = None,
    *,
    unit: int | None = None,
    input_size: Sequence[int] | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> ReceptiveField:
    """The theoretical and the effective receptive field of a position in a layer's map.

    The theoretical field is found by geometry, see
    :mod:`relustat.analysis.receptive_fields.input_boxes`. For the effective field, all units at the
    position are summed up and differentiated by the input. The field is the absolute gradient,
    summed over the input's channels, averaged over inputs and divided by its total.

    Without ``data``, inputs are drawn from the standard normal distribution. They have the channels
    of the model's first convolution, and along each axis enough pixels for the whole theoretical
    field of the map's centre. If the model rejects that size, the next multiple of 32 is taken.

    Args:
        model: in evaluation mode. It is left as it was: no gradient of its parameters is computed.
        layer: a module's path, or a functional ReLU's name as :func:`relustat.watch` gives it. Its
            output is [N, units, ...].
        position: "center", or indices, one for each axis of the layer's map.
        data: inputs of one size, floating point [N, C, H, W] (or with one axis, or three); or a
            loader of inputs, or of tuples that begin with them.
        unit: take the gradient of this channel alone. (After a layer norm over channels, their sum
            is constant, and only single channels have a gradient.)
        input_size: number of pixels along each axis of random inputs.
        samples: number of random inputs, 16 if None; or number of inputs of ``data``, all if None.
        seed: the seed of the random inputs.

    Raises:
        ValueError: if a module is in training mode; if ``layer`` or ``unit`` is unknown; if
            ``position`` is outside the map; if there are no inputs, or they differ in size or lack
            a dimension; if the model rejects random inputs of this size, or none is large enough;
            if the gradient is 0 everywhere, as for dead units, or not finite; or if a number is
            not an integer.
        TypeError: if ``model`` is not a module, or inputs are not floating point.

    Source: Luo et al., NIPS 2016, section 3; section 2 for the Gaussian.

    Example:
        >>> import torch, relustat
        >>> from relustat.analysis import receptive_field
        >>> convolutions = [torch.nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(6)]
        >>> model = torch.nn.Sequential(*convolutions).eval()
        >>> for parameter in model.parameters():
        ...     _ = torch.nn.init.ones_(parameter)
        >>> field = receptive_field(model, "5")
        >>> field
        <ReceptiveField of '5': 13 x 13 pixels, sigma 2 x 2>
        >>> field.area(0.95), 13 * 13
        (73, 169)
    """
    if samples is not None and as_integer(f"{_OP}: samples", samples) < 1:
        raise ValueError(f"{_OP}: samples must be positive, got {samples}")
    if isinstance(position, str) and position != "center":
        raise ValueError(f"{_OP}: position must be 'center' or indices, got {position!r}")
    if data is not None and input_size is not None:
        raise ValueError(f"{_OP}: input_size is for random inputs, got it with data")
    calls = GeometryCalls(_OP, model, [layer])
    with torch.inference_mode(False), torch.enable_grad():
        if data is None:
            drawn = _RANDOM_SAMPLES if samples is None else samples
            data = random_inputs(_OP, model, calls, layer, input_size, drawn, seed)
        inputs = _split(data, samples)
        first = next(inputs)
        x, output = calls.run_with_gradient(first[:1])
        check_unit(_OP, layer, output, unit)
        cell = tuple(positions_in(_OP, layer, output, unit, position)[0].tolist())
        units = (0, output.size(1) - 1) if unit is None else (unit, unit)
        part = [(0, 0), units, *((index, index) for index in cell)]
        path = PathToInput(_OP, layer, output, x)
        within = input_box(path, output, part)
        endless = input_box(path, output, part, clipped=False)
        cells = (slice(None), slice(units[0], units[1] + 1), *cell)
        effective = torch.zeros(x.shape[2:], dtype=torch.float64)
        count = 0
        for batch in itertools.chain([first], inputs):
            if batch.shape[2:] != effective.shape:
                raise ValueError(
                    f"{_OP}: inputs must be of one size, got {list(batch.shape[2:])} after "
                    f"{list(effective.shape)}"
                )
            effective += _gradient(calls, layer, batch, cells)
            count += len(batch)
    total = float(effective.sum())
    if not 0 < total < math.inf:
        raise ValueError(
            f"{_OP}: the gradient must be finite and not 0 everywhere, got a sum of {total} at "
            f"{cell} of {layer!r} over {count} inputs"
        )
    return ReceptiveField(
        layer=layer,
        position=cell,
        size=tuple(high - low + 1 for low, high in endless.box[2:]),
        box=within.box[2:],
        unknown=within.unknown,
        effective=effective / total,
        samples=count,
    )


def _split(data: Iterable[Any], samples: int | None) -> Iterator[Tensor]:
    """The first samples, or all, in small batches."""
    left = sys.maxsize if samples is None else samples
    for batch in batches(_OP, data):
        if batch.ndim < 3 or not batch.is_floating_point():
            raise TypeError(
                f"{_OP}: inputs must be floating point [N, C, ...] with one axis or more, got "
                f"{batch.dtype} {list(batch.shape)}"
            )
        yield from batch[:left].split(_BATCH)
        left -= len(batch)
        if left <= 0:
            return


def _gradient(calls: GeometryCalls, layer: str, batch: Tensor, cells: tuple[Any, ...]) -> Tensor:
    """The absolute gradient, summed over samples and channels."""
    x, output = calls.run_with_gradient(batch)
    check_samples(_OP, layer, output, len(batch))
    (gradient,) = torch.autograd.grad(output[cells].sum(), x)
    return gradient.abs().double().sum((0, 1)).cpu()
