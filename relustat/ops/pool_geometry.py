"""The geometry of a pooling: which cells of the input each window sees."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

# The largest windows whose offsets fit uint8 and int16.
MOST_NARROW_TAPS = 256
MOST_TAPS = 32767
_HUGE = 1 << 40


@dataclasses.dataclass(frozen=True)
class PoolGeometry:
    """The arguments of a max-pooling over one to three axes, one number for each axis.

    Attributes:
        kernel_size, stride, padding, dilation, ceil_mode: as ``nn.MaxPool*d`` takes them.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool

    @classmethod
    def of(
        cls,
        op: str,
        axes: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None,
        padding: int | Sequence[int],
        dilation: int | Sequence[int],
        ceil_mode: bool,
    ) -> PoolGeometry:
        """From a number for all axes or one for each; ``op`` names the caller in messages."""
        if not isinstance(ceil_mode, bool):
            raise TypeError(f"{op}: ceil_mode must be True or False, got {ceil_mode!r}")
        kernel = per_axis(op, "kernel_size", kernel_size, axes)
        # To torch, an empty stride is no stride.
        if stride is None or (isinstance(stride, Sequence) and len(stride) == 0):
            stride = kernel
        return cls(
            kernel_size=kernel,
            stride=per_axis(op, "stride", stride, axes),
            padding=per_axis(op, "padding", padding, axes),
            dilation=per_axis(op, "dilation", dilation, axes),
            ceil_mode=ceil_mode,
        )

    @property
    def axes(self) -> int:
        return len(self.kernel_size)

    @property
    def taps(self) -> int:
        """Number of cells in a window."""
        return math.prod(self.kernel_size)

    @property
    def offsets_dtype(self) -> torch.dtype:
        return torch.uint8 if self.taps <= MOST_NARROW_TAPS else torch.int16

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As the ops take them."""
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode

    def windows(self, axis: int, cells: int) -> int:
        """Number of windows that ``nn.MaxPool*d`` makes along an axis of ``cells`` cells.

        In ceil mode the last window may reach beyond the far end, but it begins within the input
        or the near padding.
        """
        stride, padding = self.stride[axis], self.padding[axis]
        room = cells + 2 * padding - self.dilation[axis] * (self.kernel_size[axis] - 1) - 1
        if not self.ceil_mode:
            return room // stride + 1
        steps = -(-room // stride)
        return steps if steps * stride >= cells + padding else steps + 1

    def output_size(self, op: str, input_size: Sequence[int]) -> tuple[int, ...]:
        """The number of windows along each axis.

        Raises:
            ValueError: what csrc/pool/checks.h raises, in the same words.
        """
        if not 1 <= self.axes <= 3:
            raise ValueError(f"{op}: kernel_size must have 1 to 3 numbers, got {self.axes}")
        given = [len(each) for each in (self.stride, self.padding, self.dilation, input_size)]
        if given != [self.axes] * 4:
            raise ValueError(
                f"{op}: stride, padding, dilation and input size must have {self.axes} numbers, "
                f"got {given[0]}, {given[1]}, {given[2]} and {given[3]}"
            )
        sizes = tuple(
            self._checked_windows(op, axis, cells) for axis, cells in enumerate(input_size)
        )
        if self.taps > MOST_TAPS:
            raise ValueError(
                f"{op}: a window may have at most {MOST_TAPS} cells, "
                f"got kernel_size={list(self.kernel_size)}"
            )
        return sizes

    def _checked_windows(self, op: str, axis: int, cells: int) -> int:
        kernel, stride = self.kernel_size[axis], self.stride[axis]
        padding, dilation = self.padding[axis], self.dilation[axis]
        if kernel <= 0 or stride <= 0 or dilation <= 0:
            raise ValueError(
                f"{op}: kernel_size, stride and dilation must be positive, "
                f"got kernel_size={kernel}, stride={stride}, dilation={dilation}"
            )
        if kernel > MOST_TAPS or stride >= _HUGE or dilation >= _HUGE:
            raise ValueError(
                f"{op}: kernel_size must be at most {MOST_TAPS}, stride and dilation below 2**40, "
                f"got kernel_size={kernel}, stride={stride}, dilation={dilation}"
            )
        if not 0 <= padding <= kernel // 2:
            raise ValueError(
                f"{op}: padding must be at most half the kernel size, "
                f"got padding={padding}, kernel_size={kernel}"
            )
        windows = self.windows(axis, cells)
        geometry = (
            f"{cells} cells with kernel_size={kernel}, stride={stride}, padding={padding}, "
            f"dilation={dilation}"
        )
        if windows <= 0:
            raise ValueError(f"{op}: the output would be empty, got an input of {geometry}")
        # Without dilation every window has a cell; symbolic sizes cannot be looped over.
        if cells == 0 or (dilation > 1 and isinstance(cells, int)):
            for window in self._windows_at_the_edges(axis, cells, windows):
                if not self._cells_of(axis, window, cells):
                    raise ValueError(
                        f"{op}: every window must hold a cell of the input, "
                        f"got none in window {window} of an input of {geometry}"
                    )
        return windows

    def _windows_at_the_edges(self, axis: int, cells: int, windows: int) -> Iterator[int]:
        stride, padding = self.stride[axis], self.padding[axis]
        reach = (self.kernel_size[axis] - 1) * self.dilation[axis]
        first_whole = min(-(-padding // stride), windows)
        last_whole = (cells - 1 - reach + padding) // stride
        yield from range(first_whole)
        yield from range(max(first_whole, last_whole + 1), windows)

    def _cells_of(self, axis: int, window: int, cells: int) -> range:
        start = window * self.stride[axis] - self.padding[axis]
        dilation = self.dilation[axis]
        stop = min(start + self.kernel_size[axis] * dilation, cells)
        return range(start if start >= 0 else start % dilation, stop, dilation)

    def coordinates(self, offsets: Tensor) -> Iterator[Tensor]:
        """The cells of the offsets along each axis, int64 of the offsets' shape."""
        rest = offsets.long()
        below = self.taps
        for axis in range(self.axes):
            below //= self.kernel_size[axis]
            tap = rest // below
            rest = rest % below
            windows = offsets.size(axis - self.axes)
            window = torch.arange(windows, device=offsets.device)
            window = window.view(-1, *(1 for _ in range(self.axes - axis - 1)))
            yield window * self.stride[axis] - self.padding[axis] + tap * self.dilation[axis]

    def flat_indices(self, offsets: Tensor, input_size: Sequence[int]) -> Tensor:
        """The flat positions of the offsets' cells in a plane, int64, as PyTorch's indices."""
        device = offsets.device
        tap_places = torch.zeros(1, dtype=torch.int64, device=device)
        windows = torch.zeros((), dtype=torch.int64, device=device)
        below = 1
        for axis in reversed(range(self.axes)):
            step = self.dilation[axis] * below
            taps = torch.arange(self.kernel_size[axis], device=device) * step
            tap_places = (taps[:, None] + tap_places).flatten()
            start = torch.arange(offsets.size(axis - self.axes), device=device)
            start = (start * self.stride[axis] - self.padding[axis]) * below
            windows = windows + start.view(-1, *(1 for _ in range(self.axes - axis - 1)))
            below = below * input_size[axis]
        indices = tap_places[offsets.int()]
        return indices.add_(windows)

    def __repr__(self) -> str:
        def short(numbers: tuple[int, ...]) -> int | tuple[int, ...]:
            return numbers[0] if len(set(numbers)) == 1 else numbers

        parts = [f"kernel_size={short(self.kernel_size)}", f"stride={short(self.stride)}"]
        if any(self.padding):
            parts.append(f"padding={short(self.padding)}")
        if set(self.dilation) != {1}:
            parts.append(f"dilation={short(self.dilation)}")
        if self.ceil_mode:
            parts.append("ceil_mode=True")
        return ", ".join(parts)


def per_axis(op: str, name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """One number for each axis, from one for all or one for each."""
    if type(value) is int:
        return (value,) * axes
    given = tuple(value) if isinstance(value, Sequence) else (value,)
    if len(given) == 1:
        given *= axes
    # Whatever counts as an int: NumPy's, 0-d tensors.
    whole = all(hasattr(each, "__index__") and not isinstance(each, bool) for each in given)
    if len(given) != axes or not whole:
        raise ValueError(f"{op}: {name} must be an int or {axes} of them, got {value!r}")
    return tuple(operator.index(each) for each in given)
