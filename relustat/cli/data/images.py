"""The images of a folder, as networks of ImageNet take them."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from relustat._messages import many
from relustat._optional import import_optional
from relustat.cli.messages import first_line

from .batches import Unreadable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Of a scaled image, in pixels, so that no image takes all memory.
_LONGEST_SIDE = 1 << 16


def _pillow() -> Any:
    return import_optional("PIL.Image", "images", "--images")


def _as_bytes(image: Any) -> Any:
    """An image of 16-bit numbers as one of bytes; Pillow would cut them off at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are floats of no known range")
    if not image.mode.startswith("I"):
        return image
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("its pixels are integers of no known range")
    return _pillow().fromarray((pixels // 257).astype(np.uint8))


class Normalisation:
    """Subtracts a mean and divides by a standard deviation, each a number or one for each channel.

    Raises:
        ValueError: if their number is neither 1 nor that of the channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels: int) -> None:
        for name, numbers in (("--mean", mean), ("--std", std)):
            if len(numbers) not in (1, channels):
                raise ValueError(
                    f"{name} must be 1 number or one for each of {many(channels, 'channel')}, "
                    f"got {len(numbers)}"
                )
        if min(std) <= 0:
            raise ValueError(f"--std must be above 0, got {min(std)}")
        self._mean, self._std = torch.tensor(mean), torch.tensor(std)

    def __call__(self, image: Tensor) -> Tensor:
        """Normalises what has its channels in the first dimension."""
        sizes = (-1, *[1] * (image.ndim - 1))
        return (image - self._mean.view(sizes)) / self._std.view(sizes)


class ImageFolder(Dataset[Tensor | Unreadable]):
    """Each image below a folder, float32 [channels, crop, crop]; labels and names do not matter.

    The shorter side is scaled to ``resize`` pixels (bilinear, with antialiasing), the middle is cut
    out, and values from 0 to 1 are normalised: torchvision's transforms for evaluation.

    Raises:
        ImportError: if Pillow is missing.
        ValueError: if there is no folder or no image, or the sizes do not fit.
    """

    def __init__(
        self, folder: Path, *, resize: int, crop: int, channels: int, normalise: Normalisation
    ) -> None:
        if resize < crop:
            raise ValueError(f"--resize must be at least --crop, got {resize} and {crop}")
        if channels not in (1, 3):
            raise ValueError(
                f"--images: the model must take 1 or 3 channels, got {channels}; load them "
                "yourself with --data"
            )
        self._folder = folder
        self._paths = self._found()
        self.identity = self._identity()
        self._resize, self._crop = resize, crop
        self._mode = "RGB" if channels == 3 else "L"
        self._normalise = normalise

    def _found(self) -> list[str]:
        if not self._folder.is_dir():
            raise ValueError(f"--images must be a folder of images, got {self._folder}")
        suffixes = {
            suffix
            for suffix, kind in _pillow().registered_extensions().items()
            if kind in _pillow().OPEN
        }
        found, files, seen = [], 0, set()
        # Data sets are often folders of links to folders.
        for root, folders, names in os.walk(self._folder, followlinks=True):
            where = os.path.realpath(root)
            if where in seen:
                folders.clear()
                continue
            seen.add(where)
            folders.sort()
            files += len(names)
            found += [
                os.path.join(root, name)
                for name in sorted(names)
                if os.path.splitext(name)[1].lower() in suffixes and not name.startswith(".")
            ]
        if not found:
            raise ValueError(
                f"--images must be a folder of images, got {self._folder} with "
                f"{many(files, 'file')} and no image"
            )
        return found

    def _identity(self) -> str:
        """Changes with the names, sizes and times of the files."""
        found = hashlib.sha256()
        for path in self._paths:
            status = os.stat(path)
            found.update(
                f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf8", "replace")
            )
        return found.hexdigest()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor | Unreadable:
        path = self._paths[index]
        try:
            return self._read(path)
        except Exception as error:  # damaged files make Pillow raise many kinds
            # A name may hold the end of a line.
            name = repr(os.path.relpath(path, self._folder))[1:-1]
            return Unreadable(f"{name} ({first_line(error)})")

    def _read(self, path: str) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata
            with _pillow().open(path) as opened:
                image = _as_bytes(opened).convert(self._mode)
        shorter = min(image.size)
        size = tuple(int(self._resize * side / shorter) for side in image.size)
        if max(size) > _LONGEST_SIDE:
            raise ValueError(f"{image.size[0]}x{image.size[1]} pixels are too long")
        image = image.resize(size, _pillow().Resampling.BILINEAR)
        left, top = (round((side - self._crop) / 2) for side in size)
        image = image.crop((left, top, left + self._crop, top + self._crop))
        pixels = np.array(image, dtype=np.float32).reshape(self._crop, self._crop, -1)
        return self._normalise(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
