"""The rows of a NumPy array in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .images import Normalisation


class ArrayRows(Dataset[Tensor]):
    """Each row along the first dimension of a ``.npy`` file.

    Floating-point numbers become float32, bytes float32 from 0 to 1, other integers int64.

    Args:
        path: the file. Rows are read when they are needed.
        normalise: what is done with a row; None: nothing.

    Raises:
        ValueError: if it is no file of an array of numbers with rows.
    """

    def __init__(self, path: Path, normalise: Normalisation | None) -> None:
        self._path = path
        self._normalise = normalise
        self._array = _opened(path)
        status = path.stat()
        self.identity = f"{status.st_size} {status.st_mtime_ns}"
        self.row_shape: tuple[int, ...] = self._array.shape[1:]

    def __reduce__(self) -> tuple[Any, ...]:
        # To a worker: the path, and not the array.
        return type(self), (self._path, self._normalise)

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: int) -> Tensor:
        row = np.array(self._array[index])
        if row.dtype.kind == "f":
            row = row.astype(np.float32)
        elif row.dtype == np.uint8:
            row = row.astype(np.float32) / 255
        else:
            row = row.astype(np.int64)
        tensor = torch.from_numpy(row)
        return tensor if self._normalise is None else self._normalise(tensor)


def _opened(path: Path) -> Any:
    rule = f"--npy must be a file that numpy.save wrote, of numbers, got {path}"
    if not path.is_file():
        raise ValueError(f"{rule}, which is no file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header makes NumPy raise many kinds
        # NumPy's own message advises to unpickle what is in the file.
        raise ValueError(f"{rule}, which holds something else") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{rule}, which holds several arrays; save one of them")
    if (
        array.dtype.kind not in "fiub"
        or array.dtype == np.uint64
        or not array.ndim
        or not len(array)
    ):
        raise ValueError(f"{rule} with an array of {array.dtype} {list(array.shape)}")
    return array
