"""The inputs that a loader gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset


def batches(op: str, loader: Iterable[Any]) -> Iterator[Tensor]:
    """The model's inputs, a batch at a time.

    Args:
        op: the name of the caller, for messages.
        loader: gives tensors, or tuples or lists whose first element is one, as a ``DataLoader``
            with labels does. A tensor is one batch; a single batch with labels is ``[(x, y)]``.

    Returns:
        The batches that hold samples. Empty batches are left out.

    Raises:
        TypeError: if the loader gives something else.
        ValueError: if there is no sample.
    """
    _check_loader(op, loader)
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


def _check_loader(op: str, loader: Any) -> None:
    if isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
        raise TypeError(
            f"{op}: the loader must give batches, got a Dataset; wrap it in a DataLoader"
        )
    if not isinstance(loader, Iterable):
        raise TypeError(f"{op}: the loader must give batches, got {type(loader).__name__}")
    if isinstance(loader, (tuple, list)):
        kinds = {(x.dtype, x.ndim) for x in loader if isinstance(x, Tensor)}
        if len(kinds) > 1:
            raise TypeError(
                f"{op}: batches must be of one dtype and number of dimensions, got tensors of "
                "several; a single batch with labels is [(x, y)]"
            )


def _described(batch: Any) -> str:
    return "a 0-D tensor" if isinstance(batch, Tensor) else type(batch).__name__
