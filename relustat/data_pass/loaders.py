"""What is a loader of batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor
from torch.utils.data import Dataset


def check_is_loader(caller: str, loader: object) -> None:
    """Raises TypeError if something is no iterable of batches."""
    rule = f"{caller} must be an iterable of batches, got a {type(loader).__name__}"
    if isinstance(loader, (Tensor, Mapping)):
        raise TypeError(f"{rule}; [x] is a loader of the only batch x")
    if isinstance(loader, Dataset):
        raise TypeError(f"{rule} of samples; torch.utils.data.DataLoader makes batches of them")
    if isinstance(loader, (str, bytes)) or not isinstance(loader, Iterable):
        raise TypeError(rule)


def number_of_batches(loader: Iterable[object]) -> int | None:
    """The number that a loader tells; None if it tells none."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except Exception:  # also of code that users have written
        return None
