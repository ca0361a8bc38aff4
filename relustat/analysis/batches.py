"""The inputs that a loader gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor


def batches(op: str, loader: Iterable[Any]) -> Iterator[Tensor]:
    """The model's inputs, batch by batch.

    Args:
        op: who asks, for messages.
        loader: gives tensors, or tuples or lists whose first element is one, as a ``DataLoader``
            with labels does. A tensor is one batch.

    Raises:
        TypeError: if something else is given.
        ValueError: if nothing is, or a batch is empty.
    """
    if isinstance(loader, Tensor):
        loader = [loader]
    index = -1
    for index, batch in enumerate(loader):
        x = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{op}: the loader must give tensors, or tuples that begin with one, got "
                f"{type(batch).__name__} as batch {index}"
            )
        if x.ndim == 0 or x.size(0) == 0:
            raise ValueError(
                f"{op}: batches must hold samples along dim 0, got {list(x.shape)} as batch {index}"
            )
        yield x
    if index < 0:
        raise ValueError(f"{op}: the loader must give at least one batch, got none")
