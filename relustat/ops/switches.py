"""Switches: the position of each maximum in its window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from relustat._torch_internals import pytree

from .direct_pooling import direct_indices, is_served_on_the_cpu
from .pool_geometry import PoolGeometry


class Switches:
    """The position of each maximum of a max-pooling, and all else that unpooling needs.

    A switch is the position of the maximum in its window, counted row by row. It takes 1 byte if
    windows have at most 256 cells, else 2. ``relustat.functional.max_pool*d``,
    ``relustat.MaxPool*d`` and :meth:`from_indices` make switches.

    Attributes:
        offsets: uint8, or int16 where windows have more than 256 cells; of the pooled output's
            shape and memory layout.
        pooling: kernel_size, stride, padding, dilation and ceil_mode.
        input_size: the sizes of the pooled axes of the input.

    Example:
        >>> import torch, relustat
        >>> x = torch.tensor([[[1.0, 5.0, 2.0, 3.0]]])
        >>> y, switches = relustat.functional.max_pool1d(x, 2)
        >>> switches
        Switches(uint8 [1, 1, 2] into [4]: kernel_size=2, stride=2)
        >>> switches.offsets.tolist(), switches.indices().tolist()
        ([[[1, 1]]], [[[1, 3]]])

    ``len(switches)``, ``switches[2:5]`` and :meth:`cat` are along the batch:

        >>> Switches.cat([switches, switches[:1]]).shape
        torch.Size([2, 1, 2])
    """

    __hash__ = None  # type: ignore[assignment]

    # The offsets that a pooling made, and their version at that time.
    _pooled: tuple[Tensor, int | None] | None = None

    def __init__(self, offsets: Tensor, pooling: PoolGeometry, input_size: Sequence[int]) -> None:
        self.offsets = offsets
        self.pooling = pooling
        self.input_size = tuple(input_size)

    @classmethod
    def from_indices(
        cls,
        indices: Tensor,
        input_size: Sequence[int],
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
    ) -> Switches:
        """From PyTorch's indices, as ``return_indices=True`` gives them.

        Args:
            indices: int64 [(N,) C, windows ...], flat positions in the input's planes.
            input_size: the sizes of the one to three pooled axes of the input: ``x.shape[2:]``.
            kernel_size, stride, padding, dilation, ceil_mode: of the pooling that gave the indices.

        Raises:
            ValueError: if the pooling gives no output of this shape, or an index lies outside its
                window (the first such index is named).
            TypeError: if the indices are not int64.

        Example:
            >>> import torch, relustat
            >>> x = torch.randn(2, 3, 9, 9)
            >>> y, indices = torch.nn.functional.max_pool2d(x, 3, 2, return_indices=True)
            >>> switches = relustat.Switches.from_indices(indices, x.shape[2:], 3, 2)
            >>> torch.equal(switches.indices(), indices)
            True
        """
        op = "Switches.from_indices"
        if not isinstance(input_size, Sequence) or not 1 <= len(input_size) <= 3:
            raise ValueError(f"{op}: input_size must be 1 to 3 sizes, got {input_size}")
        input_size = tuple(input_size)
        axes = len(input_size)
        pooling = PoolGeometry.of(op, axes, kernel_size, stride, padding, dilation, ceil_mode)
        if not isinstance(indices, Tensor) or indices.dtype != torch.int64:
            got = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
            raise TypeError(f"{op}: indices must be an int64 tensor, got {got}")
        windows = pooling.output_size(op, input_size)
        if indices.dim() not in (axes + 1, axes + 2) or indices.shape[-axes:] != windows:
            raise ValueError(
                f"{op}: this pooling gives an output of {list(windows)} in {axes + 1} or "
                f"{axes + 2} dimensions, got indices of {list(indices.shape)}"
            )
        offsets = torch.zeros_like(indices)
        wrong = torch.zeros_like(indices, dtype=torch.bool)
        rest = indices
        first_cells = list(pooling.coordinates(torch.zeros_like(indices, dtype=torch.uint8)))
        below = 1
        for axis in reversed(range(axes)):
            cell = rest % input_size[axis] if axis else rest
            rest = rest // input_size[axis]
            distance = cell - first_cells[axis]
            tap = distance // pooling.dilation[axis]
            wrong |= (tap * pooling.dilation[axis] != distance) | (tap < 0)
            wrong |= (tap >= pooling.kernel_size[axis]) | (cell < 0) | (cell >= input_size[axis])
            offsets += tap * below
            below *= pooling.kernel_size[axis]
        if wrong.any():
            at = tuple(wrong.nonzero()[0].tolist())
            raise ValueError(
                f"{op}: an index must lie in its window, got {int(indices[at])} at "
                f"{list(at)} with input_size={list(input_size)}, {pooling}"
            )
        return cls(offsets.to(pooling.offsets_dtype), pooling, input_size)

    @classmethod
    def of_pooling(
        cls, offsets: Tensor, pooling: PoolGeometry, input_size: Sequence[int]
    ) -> Switches:
        """Switches that a pooling has just made: they are valid until they change."""
        switches = cls(offsets, pooling, input_size)
        if not torch.compiler.is_dynamo_compiling():
            switches._pooled = (offsets, _version(offsets))
        return switches

    @classmethod
    def cat(cls, parts: Sequence[Switches]) -> Switches:
        """The switches of several batches of one pooling, as of one batch.

        Raises:
            TypeError: if a part is not :class:`Switches`.
            ValueError: if there are no parts, or the poolings or the sizes of their inputs differ.

        Example:
            >>> import torch, relustat
            >>> _, switches = relustat.functional.max_pool2d(torch.randn(4, 3, 8, 8), 2)
            >>> relustat.Switches.cat([switches[:1], switches[1:]]) == switches
            True
        """
        parts = list(parts)
        if not parts:
            raise ValueError("Switches.cat: parts must not be empty, got none")
        first = parts[0]
        for part in parts:
            if not isinstance(part, Switches):
                raise TypeError(f"Switches.cat: parts must be Switches, got {type(part).__name__}")
            part._check_batch("Switches.cat")
            if (part.pooling, part.input_size) != (first.pooling, first.input_size):
                raise ValueError(
                    "Switches.cat: all parts must be of one pooling and one size of input, got "
                    f"{first!r} and {part!r}"
                )
        offsets = torch.cat([part.offsets for part in parts])
        return first._with(offsets, are_known=all(part.are_known() for part in parts))

    @property
    def shape(self) -> torch.Size:
        """The shape of the pooled output: [(N,) C, windows ...]."""
        return self.offsets.shape

    def __len__(self) -> int:
        """The number of samples."""
        self._check_batch("len")
        return len(self.offsets)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: Any) -> Switches:
        """Those of one sample (an integer), or of several (a slice, or a tensor or list).

        Raises:
            IndexError: if the index does not fit, or chooses more than samples.
        """
        self._check_batch("Switches")
        if type(index) is not int and not isinstance(index, (slice, list, Tensor)):
            raise IndexError(f"Switches: only samples can be indexed, got {index!r}")
        return self._with(self.offsets[index], are_known=self.are_known())

    def _check_batch(self, op: str) -> None:
        if self.offsets.dim() < self.pooling.axes + 2:
            raise IndexError(
                f"{op}: switches must be of a batch, got those of one sample, {self!r}"
            )

    def _with(self, offsets: Tensor, are_known: bool) -> Switches:
        make = Switches.of_pooling if are_known else Switches
        return make(offsets, self.pooling, self.input_size)

    def are_known(self) -> bool:
        """Whether they are unchanged since a pooling made them. If not, unpooling validates them.

        Switches made in inference mode count as known: PyTorch does not record their changes.
        """
        if self._pooled is None or torch.compiler.is_dynamo_compiling():
            return False
        offsets, version = self._pooled
        return self.offsets is offsets and _version(offsets) == version

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_pooled"}

    def indices(self) -> Tensor:
        """PyTorch's indices: int64 flat positions in the input's planes, of the offsets' shape."""
        if is_served_on_the_cpu(self.offsets):
            return direct_indices(self.offsets, self.input_size, self.pooling)
        return self.pooling.flat_indices(self.offsets, self.input_size)

    def to(self, device: torch.device | str | int) -> Switches:
        """These switches on another device."""
        return Switches(self.offsets.to(torch.device(device)), self.pooling, self.input_size)

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return self.pooling.kernel_size

    @property
    def stride(self) -> tuple[int, ...]:
        return self.pooling.stride

    @property
    def padding(self) -> tuple[int, ...]:
        return self.pooling.padding

    @property
    def dilation(self) -> tuple[int, ...]:
        return self.pooling.dilation

    @property
    def ceil_mode(self) -> bool:
        return self.pooling.ceil_mode

    def __eq__(self, other: object) -> bool:
        """Whether all switches and their geometry are the same, on the same device."""
        if not isinstance(other, Switches):
            return NotImplemented
        return (
            self.pooling == other.pooling
            and self.input_size == other.input_size
            and self.offsets.device == other.offsets.device
            and torch.equal(self.offsets, other.offsets)
        )

    def __repr__(self) -> str:
        dtype = str(self.offsets.dtype).removeprefix("torch.")
        return (
            f"Switches({dtype} {list(self.offsets.shape)} into {list(self.input_size)}: "
            f"{self.pooling})"
        )


def _version(tensor: Tensor) -> int | None:
    """Number of changes in place; None for inference tensors, which do not count them."""
    return None if tensor.is_inference() else tensor._version


def _flatten(switches: Switches) -> tuple[list[Any], PoolGeometry]:
    # Sizes can be symbols: they are leaves, not part of the tree.
    return [switches.offsets, *switches.input_size], switches.pooling


def _flatten_with_keys(switches: Switches) -> tuple[list[Any], PoolGeometry]:
    leaves, pooling = _flatten(switches)
    names = ["offsets", *(f"input_size_{axis}" for axis in range(pooling.axes))]
    return [
        (pytree.GetAttrKey(name), leaf) for name, leaf in zip(names, leaves, strict=True)
    ], pooling


def _unflatten(leaves: Any, pooling: PoolGeometry) -> Switches:
    offsets, *input_size = leaves
    return Switches(offsets, pooling, input_size)


def _from_json(arguments: Any) -> PoolGeometry:
    kernel_size, stride, padding, dilation, ceil_mode = arguments
    return PoolGeometry(
        tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation), ceil_mode
    )


# Exported functions and torch.func can take and return switches; torch.load can read them.
pytree.register_pytree_node(
    Switches,
    _flatten,
    _unflatten,
    serialized_type_name="relustat.Switches",
    to_dumpable_context=lambda pooling: pooling.arguments,
    from_dumpable_context=_from_json,
    flatten_with_keys_fn=_flatten_with_keys,
)
torch.serialization.add_safe_globals([Switches, PoolGeometry])
