"""Hypercolumns: the activations of several layers above each pixel.

Hariharan, Arbelaez, Girshick, Malik, Hypercolumns for Object Segmentation and Fine-grained
Localization, CVPR 2015.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relustat._printable import printable
from relustat.analysis.model_run.layer_calls import near_names
from relustat.analysis.model_run.layer_outputs import outputs_of

from .bilinear import resized_at
from .indexing import pixels_of, positions_of
from .plot import hypercolumns_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Number of elements that are interpolated at a time: 4 MiB of float32 stay in the cache.
_BLOCK_ELEMENTS = 1 << 20


def hypercolumns(
    model: nn.Module, x: Tensor, layers: Iterable[str], size: tuple[int, int] | None = None
) -> Hypercolumns:
    """The activations of some layers above each pixel (Hariharan et al., CVPR 2015).

    A layer's map covers the whole picture, so it is resized to the size of the result: bilinearly,
    with the corners of the outermost cells in the corners of the picture
    (``align_corners=False``), and without antialiasing. A linear layer's output is a map of one
    cell, the same for all pixels. The model runs once, without gradients, up to the last layer.

    Args:
        model: in evaluation mode; called with ``x``.
        x: float [N, C, H, W], as the model takes it.
        layers: names as :func:`relustat.watch` gives them, or paths of other modules. The output of
            each is [N, F] or [N, C, h, w].
        size: height and width of the result; None: those of ``x``.

    Returns:
        :class:`Hypercolumns`, of the dtype and on the device of ``x``. Only the layers' own maps
        are kept. Pixels are interpolated when they are read.

    Raises:
        TypeError: if ``model`` is not a module, or an argument is of the wrong type.
        ValueError: if the model is in training mode, if a layer is not called or its output has
            another shape, or if an argument is wrong.

    Example:
        >>> import torch, relustat
        >>> from relustat.analysis import hypercolumns
        >>> pool, convolution = torch.nn.MaxPool2d(2), torch.nn.Conv2d(3, 8, 3, padding=1)
        >>> model = torch.nn.Sequential(convolution, torch.nn.ReLU(), pool).eval()
        >>> columns = hypercolumns(model, torch.randn(2, 3, 32, 32), ["1", "2"])
        >>> columns.layers
        {'1': slice(0, 8, None), '2': slice(8, 16, None)}
        >>> columns[0, :, 5, 7].shape
        torch.Size([16])
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"hypercolumns: x must be a tensor of floats, got {kind}")
    if x.ndim != 4 or not x.numel():
        raise ValueError(
            f"hypercolumns: x must be [N, C, H, W] with no size of 0, got {list(x.shape)}"
        )
    names = _names("hypercolumns", layers)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"hypercolumns: layers must be one or more different names, got {names}")
    height, width = x.shape[2:] if size is None else _checked_size(size)
    with torch.no_grad():
        outputs = outputs_of("hypercolumns", model, x, names)
    maps = {name: _as_map(name, output, len(x)).to(x) for name, output in outputs.items()}
    return Hypercolumns(maps, (height, width))


class Hypercolumns:
    """The result of :func:`hypercolumns`: it reads like a tensor [N, channels, H, W].

    ``columns[image, channel, row, column]`` takes integers and slices, as a tensor does. It
    interpolates only these pixels. Within rounding, the result is that of
    ``columns.tensor()[...]``.

    Attributes:
        layers: the channels of each layer, as slices by name.
        shape: (N, channels, H, W).
    """

    def __init__(self, maps: Mapping[str, Tensor], size: tuple[int, int]) -> None:
        self._maps = dict(maps)
        self.layers: dict[str, slice] = {}
        channels = 0
        for name, values in self._maps.items():
            self.layers[name] = slice(channels, channels + values.shape[1])
            channels += values.shape[1]
        self._first = next(iter(self._maps.values()))
        self.shape = (len(self._first), channels, *size)

    def __repr__(self) -> str:
        return f"<Hypercolumns {list(self.shape)} of {', '.join(map(printable, self.layers))}>"

    def __getitem__(self, index: int | slice | tuple[int | slice, ...]) -> Tensor:
        asked = index if isinstance(index, tuple) else (index,)
        images, channels, rows, columns = positions_of("Hypercolumns", asked, self.shape)
        down, across = torch.tensor(rows)[:, None], torch.tensor(columns)
        grid = self._of_pixels(down, across, images, channels)
        return grid[tuple(slice(None) if isinstance(each, slice) else 0 for each in asked)]

    def at(self, rows: Tensor | Sequence[int], columns: Tensor | Sequence[int]) -> Tensor:
        """The hypercolumns of some pixels, in all images.

        Args:
            rows: integers [P]; negative ones count from the end.
            columns: integers [P].

        Returns:
            [N, P, channels].

        Raises:
            TypeError: if they are not integers.
            ValueError: if they are not two vectors of one length.
            IndexError: if a pixel is outside the picture.

        Example:
            >>> import torch
            >>> from relustat.analysis import hypercolumns
            >>> model = torch.nn.Sequential(torch.nn.AvgPool2d(2)).eval()
            >>> x = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).expand(1, 1, 4, 4)
            >>> hypercolumns(model, x, ["0"]).at([0, 0], [1, -2]).flatten()
            tensor([1., 3.])
        """
        down, across = pixels_of("Hypercolumns.at", rows, columns, self.shape[2:])
        return self._of_pixels(down, across, *self._everywhere).mT.contiguous()

    def tensor(self) -> Tensor:
        """All hypercolumns, [N, channels, H, W]. It needs the result's memory and some MiB more."""
        return self._fill(*self._everywhere, self.shape[2:], self._resized)

    def mean(self, layers: Iterable[str] | None = None) -> Tensor:
        """The mean over channels, [N, H, W], without interpolating each of them.

        Interpolation is linear, so it may follow the mean.

        Args:
            layers: the layers whose channels are averaged; None: all.

        Raises:
            ValueError: if one of them is not in :attr:`layers`, or if the list is empty.
            TypeError: if ``layers`` is a string.
        """
        names = _names("Hypercolumns.mean", self.layers if layers is None else layers)
        for name in names:
            if name not in self.layers:
                raise ValueError(
                    "Hypercolumns.mean: layers must be among those of the hypercolumns, "
                    f"got {name!r}; near names: {near_names(name, list(self.layers))}"
                )
        if not names:
            raise ValueError("Hypercolumns.mean: layers must name at least one, got none")
        maps = [self._maps[name] for name in names]
        channels = sum(values.shape[1] for values in maps)
        # Weighted means, because a sum may leave float16's range.
        means = [
            self._resized(values.mean(1, keepdim=True)) * (values.shape[1] / channels)
            for values in maps
        ]
        return torch.stack(means).sum(0).squeeze(1)

    def plot(self) -> Figure:
        """The mean of each layer's channels, and of all channels, for each image.

        Raises:
            ImportError: if matplotlib is missing.
        """
        return hypercolumns_grid(self)

    @property
    def _everywhere(self) -> tuple[range, range]:
        return range(self.shape[0]), range(self.shape[1])

    def _resized(self, values: Tensor) -> Tensor:
        return F.interpolate(values, self.shape[2:], mode="bilinear", align_corners=False)

    def _of_pixels(self, rows: Tensor, columns: Tensor, images: range, channels: range) -> Tensor:
        """The hypercolumns [images, channels, ...]; rows and columns broadcast to [...]."""
        rows, columns = (each.to(self._first.device, torch.int64) for each in (rows, columns))
        shape = torch.broadcast_shapes(rows.shape, columns.shape)

        def sample(values: Tensor) -> Tensor:
            return resized_at(values, self.shape[2:], rows, columns)

        return self._fill(images, channels, shape, sample)

    def _fill(
        self,
        images: range,
        channels: range,
        shape: Sequence[int],
        sample: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Fills [images, channels, *shape] with what ``sample`` makes of the layers' maps."""
        filled = self._first.new_empty(len(images), len(channels), *shape)
        step = max(1, _BLOCK_ELEMENTS // max(1, filled[:, :1].numel()))
        for name, own in self.layers.items():
            first, last = (bisect.bisect_left(channels, end) for end in (own.start, own.stop))
            for start in range(first, last, step):
                block = slice(start, min(start + step, last))
                theirs = channels[block]
                inside = slice(theirs.start - own.start, theirs.stop - own.start, theirs.step)
                values = self._maps[name][images.start : images.stop : images.step, inside]
                filled[:, block] = sample(values)
        return filled


def _names(op: str, layers: Iterable[str]) -> list[str]:
    if isinstance(layers, str):
        raise TypeError(f"{op}: layers must be a list of names, got the string {layers!r}")
    return list(layers)


def _checked_size(size: Any) -> tuple[int, int]:
    if (
        not isinstance(size, Sequence)
        or len(size) != 2
        or not all(isinstance(length, int) and length > 0 for length in size)
    ):
        raise ValueError(
            f"hypercolumns: size must be two integers above 0, height and width, got {size!r}"
        )
    return size[0], size[1]


def _as_map(name: str, output: Tensor, images: int) -> Tensor:
    if output.ndim not in (2, 4) or len(output) != images or not output.numel():
        raise ValueError(
            f"hypercolumns: a layer must give [{images}, F] or [{images}, C, h, w] with no size "
            f"of 0, got {list(output.shape)} from {name!r}"
        )
    return output.detach().reshape(*output.shape[:2], *(output.shape[2:] or (1, 1)))
