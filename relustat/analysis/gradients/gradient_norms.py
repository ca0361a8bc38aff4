"""The norms of a model's gradients by layer, during training."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from relustat._messages import many
from relustat._printable import columns_of, printed, printed_lines
from relustat._torch_internals import foreach_norm
from relustat.nn.module_paths import named_modules

from . import plot, sound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The number of steps that stay on the device before one copy brings them to the host.
_BLOCK = 1024

# Half precision overflows above 65,504 (float16) or keeps 8 bits (bfloat16).
_COMPUTED_IN = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


class GradientNorms:
    """The L2 norm of each layer's gradients at each step of a training.

    A layer is a module that owns parameters which require gradients. Its norm is that of the
    gradients of its own parameters as one vector, without those of modules inside it. A parameter
    without a gradient counts as 0. A parameter that several modules share belongs to the first one.

    :meth:`record` does not wait for the device. Norms stay there, and once in 1,024 steps a single
    copy brings them to the host. (Sparse gradients on a GPU are coalesced first, which may wait.)

    Squares are summed in the gradient's own dtype, and in float32 for float16 and bfloat16. So the
    norm of one parameter's float32 gradient is infinite above 1.8e19, as in
    ``torch.nn.utils.clip_grad_norm_``. Sums over parameters are in float64.

    With ``torch.amp.GradScaler``, record after ``scaler.unscale_(optimizer)``; before it, norms are
    those of the scaled loss. With gradient accumulation, norms are those of the gradient that has
    accumulated by then. With sharded parameters (FSDP2), norms are those of the whole gradient and
    take one exchange a step: make this object after ``fully_shard``, and let all ranks record
    together.

    Source: C. S. Perone, "Listening to the neural network gradient norms during training", Terra
    Incognita, 2019, with the norms of weights only.

    Args:
        model: the model; later changes of its layers are not followed.

    Attributes:
        layers: the layers' paths in the order of ``model.named_modules()``. The model itself has
            the name of its class.
        steps: number of steps that were recorded. The first is step 0.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``.
        ValueError: if no parameter requires a gradient.

    Example:
        >>> import torch
        >>> from relustat.analysis import GradientNorms
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> norms = GradientNorms(model)
        >>> model(torch.ones(2, 4)).sum().backward()
        >>> norms.record()
        >>> norms.layers, norms.values.shape, norms.not_finite
        (('0',), (1, 1), [])
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"GradientNorms: model must be an nn.Module, got {type(model).__name__}"
            )
        layers: list[str] = []
        # An ordered set: a shared parameter comes once.
        parameters: dict[nn.Parameter, None] = {}
        starts: list[int] = []
        for module, path in named_modules(model):
            start = len(parameters)
            own = module.parameters(recurse=False)
            parameters.update({each: None for each in own if each.requires_grad})
            if len(parameters) > start:
                layers.append(path or type(model).__name__)
                starts.append(start)
        if not layers:
            raise ValueError(
                "GradientNorms: model must have a parameter that requires a gradient, "
                f"got a {type(model).__name__} without one"
            )
        self.layers = tuple(layers)
        self.steps = 0
        self._parameters = tuple(parameters)
        self._starts = starts
        self._on_host: list[npt.NDArray[np.float64]] = [np.zeros((0, len(layers)))]
        self._forget_pending()

    def record(self) -> None:
        """Records one step. Call it after ``backward()``, before the optimizer's step.

        After clipping, norms are the clipped ones.

        Raises:
            RuntimeError: if no parameter has a gradient.
        """
        groups: defaultdict[tuple[torch.device, torch.dtype, type], list[tuple[int, Tensor]]]
        groups = defaultdict(list)
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None:
                gradient = parameter.grad.detach()
                if gradient.is_sparse:
                    gradient = gradient.coalesce().values()
                key = gradient.device, gradient.dtype, type(gradient)
                groups[key].append((index, gradient))
        if not groups:
            raise RuntimeError(
                "record: must be called after backward() and before zero_grad(), "
                "got no parameter with a gradient"
            )
        computed = [
            (device, [index for index, _ in group], _norms([each for _, each in group]))
            for (device, _, _), group in groups.items()
        ]
        first = self._pending_steps * len(self._parameters)
        for device, indices, norms in computed:
            self._pending[device].append((first + np.array(indices), norms))
        self._pending_steps += 1
        self.steps += 1
        if self._pending_steps == _BLOCK:
            self._gather()

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """All norms, float64 [steps, layers], read-only. Reading them waits for the device."""
        if self._pending_steps:
            self._gather()
        if len(self._on_host) > 1:
            self._on_host = [np.concatenate(self._on_host)]
        (values,) = self._on_host
        values.flags.writeable = False
        return values

    @property
    def not_finite(self) -> list[tuple[int, str]]:
        """The step and the layer of each norm that is NaN or infinite, in the order of steps."""
        found = np.argwhere(~np.isfinite(self.values)).tolist()
        return [(step, self.layers[layer]) for step, layer in found]

    def plot(self) -> Figure:
        """A line for each layer, on a logarithmic scale; NaN and infinite steps are marked.

        Raises:
            ValueError: if no step was recorded.
            ImportError: if matplotlib is missing.
        """
        return plot.figure(self.layers, self.values)

    def draw(self, axes: Axes) -> None:
        """Draws a line for each layer into axes of matplotlib, as :meth:`plot` does.

        Example:
            >>> import torch
            >>> from matplotlib.figure import Figure
            >>> from relustat.analysis import GradientNorms
            >>> model = torch.nn.Linear(2, 2)
            >>> norms = GradientNorms(model)
            >>> model(torch.ones(1, 2)).sum().backward()
            >>> norms.record()
            >>> axes = Figure().add_subplot()
            >>> norms.draw(axes)
            >>> axes.get_yscale()
            'log'
        """
        plot.draw(axes, self.layers, self.values)

    def to_wav(
        self, path: str | os.PathLike[str], *, rate: int = 44_100, tone_seconds: float = 0.01
    ) -> None:
        """Writes the training as sound: a tone for each layer, then a rest, step after step.

        The larger a norm, the higher is its tone. A NaN or infinite norm is a burst of noise.
        :func:`relustat.analysis.gradients.sound.write` describes pitches, arguments and errors.
        """
        sound.write(path, self.values, rate=rate, tone_seconds=tone_seconds)

    def __str__(self) -> str:
        """A line for each layer, with the median and the maximum of its finite norms."""
        if not self.steps:
            return "! no step was recorded"
        names = ["layer", *map(printed, self.layers)]
        width = max(map(columns_of, names))
        padded = [name + " " * (width - columns_of(name)) for name in names]
        headings = "".join(f"{heading:>10}" for heading in ("first", "median", "max", "last"))
        lines, warnings = [padded[0] + headings], []
        for layer, name, norms in zip(self.layers, padded[1:], self.values.T, strict=True):
            is_finite = np.isfinite(norms)
            finite = norms[is_finite] if is_finite.any() else np.array([np.nan])
            cells = (norms[0], np.median(finite), finite.max(), norms[-1])
            lines.append(name + "".join(f"{cell:10.3g}" for cell in cells))
            if not is_finite.all():
                warnings.append(f"! {layer}: {_when(~is_finite)}")
        return printed_lines(lines + warnings)

    def __repr__(self) -> str:
        steps, layers = many(self.steps, "step"), many(len(self.layers), "layer")
        return f"<GradientNorms of {steps} of {layers}; print() shows it>"

    def _gather(self) -> None:
        """Copies the pending steps of each device to the host, as one array."""
        by_parameter = np.zeros(self._pending_steps * len(self._parameters))
        for pieces in self._pending.values():
            where, norms = zip(*pieces, strict=True)
            by_parameter[np.concatenate(where)] = torch.cat(norms).cpu().numpy()
        squares = by_parameter.reshape(self._pending_steps, -1) ** 2
        self._on_host.append(np.sqrt(np.add.reduceat(squares, self._starts, axis=1)))
        self._forget_pending()

    def _forget_pending(self) -> None:
        # By device: positions in the array [pending steps, parameters], and the norms.
        self._pending: defaultdict[torch.device, list[tuple[npt.NDArray[np.int64], Tensor]]] = (
            defaultdict(list)
        )
        self._pending_steps = 0


def _norms(gradients: list[Tensor]) -> Tensor:
    """The norm of each gradient, [gradients]. All have one dtype, device and kind."""
    norms = torch.stack(foreach_norm(gradients, 2, _COMPUTED_IN.get(gradients[0].dtype)))
    # A DTensor's is that of its shard. The class itself would import torch.distributed.
    return norms.full_tensor() if hasattr(norms, "full_tensor") else norms


def _when(is_bad: npt.NDArray[np.bool_]) -> str:
    first = int(is_bad.argmax())
    if is_bad[first:].all():
        return f"not finite from step {first} on"
    return f"not finite in {many(int(is_bad.sum()), 'step')}, first in step {first}"
