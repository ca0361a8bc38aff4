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

    Returns:
        What holds samples; empty batches are passed over.

    Raises:
        TypeError: if something else is given.
        ValueError: if there is no sample.
    """
    if isinstance(loader, Tensor):
        loader = [loader]
    is_empty = True
    for index, batch in enumerate(loader):
        x = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if not isinstance(x, Tensor) or x.ndim == 0:
            raise TypeError(
                f"{op}: the loader must give tensors [samples, ...], or tuples that begin with "
                f"one, got {_described(batch)} as batch {index}"
            )
        if x.size(0):
            is_empty = False
            yield x
    if is_empty:
        raise ValueError(f"{op}: the loader must give samples, got none")


def _described(batch: Any) -> str:
    return "a 0-D tensor" if isinstance(batch, Tensor) else type(batch).__name__
